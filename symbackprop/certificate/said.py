"""What a certificate says, line by line, for those who write it in another language.

The checker has accepted the text; here it is only taken apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from symbackprop.certificate.check_proof import Node, input_of
from symbackprop.certificate.reader import Reader
from symbackprop.errors import UnsupportedError

READER = Reader()


def inside(n: Node) -> Iterator[Node]:
    """All nodes of a tree."""
    yield n
    for part in n[1:]:
        if isinstance(part, tuple):
            yield from inside(part)


@dataclass(frozen=True)
class Line:
    """An equation: the name, its indices with their sizes, the value; of a lemma also the definitions put in."""

    name: str
    indices: tuple[str, ...]
    sizes: tuple[Node, ...]
    value: Node
    opened: tuple[str, ...] = ()


@dataclass
class Statements:
    """What a certificate says, by kinds of statements; adjoints stand by the names of what they are the adjoints of."""

    title: str = ""
    sizes: list[str] = field(default_factory=list)
    facts: list[Node] = field(default_factory=list)
    inputs: dict[str, tuple[str, tuple[Node, ...]]] = field(default_factory=dict)
    labels: dict[str, Node] = field(default_factory=dict)
    forward: dict[str, Line] = field(default_factory=dict)
    backward: dict[str, Line] = field(default_factory=dict)
    adjoints: dict[str, Line] = field(default_factory=dict)
    lemmas: dict[str, Line] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)
    cost: str = ""

    @classmethod
    def read(cls, certificate: str) -> Statements:
        """The statements of a certificate that the checker accepts."""
        found = cls()
        for line in certificate.splitlines():
            word, _, rest = line.partition(" ")
            if word == "title":
                found.title = rest
            elif word == "condition":
                found.conditions.append(rest)
            elif (
                word in ("split", "let", "together", "function")
                or " by " in rest.partition("for ")[0].partition(";")[0]
            ):
                raise UnsupportedError(f"a file for Coq has no word yet for the statement {line[:60]!r}")
            elif word not in ("proof", "end"):
                getattr(found, f"_{word}")(rest.partition(";")[0].strip())
        return found

    @property
    def lines(self) -> Iterator[Line]:
        """All equations."""
        for lines in (self.forward, self.adjoints, self.backward, self.lemmas):
            yield from lines.values()

    @property
    def indices(self) -> list[str]:
        """The names of all indices."""
        bound = (n[1] for line in self.lines for n in inside(line.value) if n[0] in ("sum", "max", "min"))
        return list(dict.fromkeys([*(i for line in self.lines for i in line.indices), *bound]))

    def shape(self, tensor: str) -> tuple[Node, ...]:
        """The sizes of an input or of what has an equation."""
        if tensor in self.inputs:
            return self.inputs[tensor][1]
        found = self.forward.get(tensor) or self.backward.get(tensor)
        return found.sizes if found else next(a.sizes for a in self.adjoints.values() if a.name == tensor)

    def _size(self, text: str) -> None:
        self.sizes += text.split()

    def _fact(self, text: str) -> None:
        self.facts.append(READER.read(text))

    def _input(self, text: str) -> None:
        left, kind, labels = input_of(text)
        _, name, *shape = READER.read(left)
        self.inputs[name] = (kind, tuple(shape))
        if labels:
            self.labels[name] = READER.read(labels)

    def _line(self, text: str) -> Line:
        name, indices, sizes, value, after = READER.line(text)
        return Line(name, tuple(indices), tuple(sizes), value, tuple(after.get("open", "").split()))

    def _forward(self, text: str) -> None:
        line = self._line(text)
        self.forward[line.name] = line

    def _backward(self, text: str) -> None:
        line = self._line(text)
        self.backward[line.name] = line

    def _adjoint(self, text: str) -> None:
        name, _, rest = text.partition(" of ")
        line = self._line(rest)
        self.adjoints[line.name] = replace(line, name=name, opened=())

    def _lemma(self, text: str) -> None:
        line = self._line(text)
        self.lemmas[line.name] = replace(line, sizes=self.shape(line.name))

    def _cost(self, text: str) -> None:
        self.cost = text

    def _claim(self, text: str) -> None:
        of, by = text.split()
        self.claims[of] = by
