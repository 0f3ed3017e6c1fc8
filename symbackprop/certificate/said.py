"""What a certificate says, line by line, for those who write it in another language.

The checker has accepted the text; here it is only taken apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from symbackprop.certificate.check_proof import Node
from symbackprop.certificate.reader import Reader
from symbackprop.errors import UnsupportedError


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
            elif word in ("split", "let", "together") or " by " in rest.partition("for ")[0].partition(";")[0]:
                raise UnsupportedError(f"a file for Coq has no word yet for the statement {line[:60]!r}")
            elif word not in ("proof", "end"):
                getattr(found, f"_{word}")(Reader(rest.partition(";")[0]))
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

    def _size(self, r: Reader) -> None:
        while r.see():
            self.sizes.append(r.name())

    def _fact(self, r: Reader) -> None:
        self.facts.append(r.expression())

    def _input(self, r: Reader) -> None:
        _, name, *shape = r.atom()
        kind = r.name()
        self.inputs[name] = (kind, tuple(shape))
        if kind == "labels":
            self.labels[name] = r.expression()

    def _head(self, r: Reader) -> tuple[str, tuple[str, ...], tuple[Node, ...]]:
        _, name, *places = r.atom()
        sizes = tuple(p[2] for p in places if p[0] == ":")
        return name, tuple(p[1][1] if p[0] == ":" else p[1] for p in places), sizes

    def _forward(self, r: Reader) -> None:
        head = self._head(r)
        self.forward[head[0]] = Line(*head, r.after("="))

    def _backward(self, r: Reader) -> None:
        head = self._head(r)
        self.backward[head[0]] = Line(*head, r.after("="))

    def _adjoint(self, r: Reader) -> None:
        name = r.name()
        r.take("of")
        of, indices, sizes = self._head(r)
        self.adjoints[of] = Line(name, indices, sizes, r.after("="))

    def _lemma(self, r: Reader) -> None:
        name, indices, _ = self._head(r)
        value = r.after("=")
        self.lemmas[name] = Line(name, indices, self.shape(name), value, tuple(r.names("open")))

    def _cost(self, r: Reader) -> None:
        self.cost = r.name()

    def _claim(self, r: Reader) -> None:
        of = r.name()
        self.claims[of] = r.name()
