"""What a proof rests on, as a certificate: the forward pass, its adjoints, the user's lines, and the lemmas between.

Nothing here is trusted. Each line is read by the checker as it is written, and a lemma that it refuses is tried with
other definitions opened; what cannot be said is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from symbackprop.calculus.derivation import Gradient, Lemma
from symbackprop.calculus.lemmas import is_view
from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.certificate import check_proof
from symbackprop.certificate.check_proof import VERSION, Book, Node, Poly, Reader, Refused, deep
from symbackprop.certificate.statements import Names, Writer
from symbackprop.checking.budget import Budget
from symbackprop.checking.proof_search import Sides
from symbackprop.checking.question import Question
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import SymbackpropError, UnsupportedError
from symbackprop.expression.build import (
    ZERO,
    Compare,
    Entry,
    Extremum,
    Index,
    Position,
    Sum,
    Tensor,
    nodes_once,
    tensors_in,
)
from symbackprop.expression.program import Equation, Program, symbols, unused
from symbackprop.expression.recurrence import recurrent
from symbackprop.proofs.theorem import Proof

ENDING = ".sbp"
SECONDS = 6.0  # for lemmas that the verdict did not need
MOST_OPENED, FEW_OPENED, MOST_TERMS, MOST_STEPS = 24, 4, 250, 20_000
KINDS = {"pos": "positive", "prob": "prob", "bern": "bern", "pm1": "pm1", "onehot": "onehot", "simplex": "simplex"}


def certificate_of(verdict: Verdict) -> str:
    """The certificate of a backward pass that is PROVED for all sizes.

    Raises:
        UnsupportedError: it is not, or the format has no word for something in it.
    """
    if verdict.status != "PROVED" or verdict.evidence is None or verdict.claim is None:
        why = "a formula" if verdict.status == "PROVED" else verdict.status
        raise UnsupportedError(f"there are certificates of backward passes that are PROVED; this is {why}")
    if not verdict.for_all_sizes:
        raise UnsupportedError(
            "there is no certificate of a proof at stated sizes", evidence=[f"scope:  {verdict.scope}"]
        )
    gradient, question = verdict.evidence
    return certificate(gradient, question, verdict.claim, verdict.claims, title=verdict.subject, lemmas=verdict.lemmas)


def certificate_of_proof(proof: Proof) -> str:
    """The certificate of what was derived: each gradient as an adjoint.

    Raises:
        UnsupportedError: any depth, or the format has no word for something.
    """
    if proof.parts or proof.status != "PROVED":
        raise UnsupportedError("there is no certificate for any depth yet", help="give the number of layers")
    gradient = differentiate(proof.program)  # line by line, where the proof has gone on to shorter forms
    empty = Program((), (), ())
    emission = Emission(gradient, Question(gradient.program, empty, {}), empty, {})
    emission.returned = {t.name: bar for t, bar in gradient.cotangents.items() if bar in gradient.adjoint.outputs}
    emission.inputs = {t.name: t for t in gradient.cotangents if t.name in emission.returned}
    return accepted(emission, proof.title, ())


def certificate(
    gradient: Gradient,
    question: Question,
    claim: Program,
    claims: Mapping[str, Tensor],
    *,
    title: str,
    lemmas: Sequence[Lemma] = (),
) -> str:
    """The file that says that the claimed tensors are the gradients, as the checker accepts it.

    Args:
        claims: the tensors of `claim` that are claimed to be gradients, by the names of the inputs.
        lemmas: what the tensors of both programs are, as far as that is known.

    Raises:
        UnsupportedError: the format has no word for something, or the checker does not accept a line.
    """
    return accepted(Emission(gradient, question, claim, claims), title, lemmas)


def accepted(emission: Emission, title: str, lemmas: Sequence[Lemma]) -> str:
    """The file, with room for deep recursion.

    Raises:
        UnsupportedError: the checker refuses a line.
    """
    try:
        text: str = deep(lambda: emission.written(title, lemmas))
    except (Refused, RecursionError) as refusal:
        raise UnsupportedError(f"the checker of certificates refuses: {refusal}") from refusal
    return text


class Emission:
    """The lines of a certificate so far, and the checker's book of them."""

    def __init__(self, gradient: Gradient, question: Question, claim: Program, claims: Mapping[str, Tensor]) -> None:
        self.gradient, self.question, self.program = gradient, question, gradient.program
        self.inputs = {name: question.pairs[name][0] for name in claims}
        self.book, self.text = Book(), list[str]()
        self.bars = {bar: tensor for tensor, bar in gradient.cotangents.items()}
        zeros, names = list[Equation](), {t.name for t in (*gradient.adjoint.tensors, *claim.tensors)}
        for tensor in self.inputs.values():
            if tensor not in gradient.cotangents:
                bar = Tensor(unused(f"{tensor.name}_bar", names), tensor.shape)
                zeros.append(Equation(bar, places(tensor), ZERO))
                self.bars[bar] = tensor
        self.derived = replace(gradient.adjoint, equations=(*gradient.adjoint.equations, *zeros))
        own = {e.tensor for e in self.derived.equations} | set(self.derived.inputs)
        self.lines = [e for e in claim.equations if e.tensor not in own]
        self.returned: dict[str, Tensor] = {}
        for name, tensor in claims.items():
            if tensor in own or tensor in self.returned.values():
                copy = Tensor(f"d{name}_returned", tensor.shape)
                at = places(tensor)
                self.lines.append(Equation(copy, at, Entry(tensor, at)))
                tensor = copy
            self.returned[name] = tensor
        copies = [e for e in self.lines if e.tensor not in claim.by_tensor]
        inputs = dict.fromkeys(
            (*claim.inputs, *(t for e in copies for t in tensors_in(e.value) if t not in claim.by_tensor))
        )
        self.claim = replace(claim, inputs=tuple(inputs), equations=(*claim.equations, *copies), outputs=())
        if recurrent((*self.derived.equations, *self.lines)):
            raise UnsupportedError("a certificate has no word for a recurrence yet")
        self.names = Names(self.sizes)
        for parameter in self.derived.parameters:
            self.names.of(parameter)
        for tensor in (*self.derived.tensors, *(e.tensor for e in self.lines)):
            self.names.of(tensor)
        self.writer = Writer(self.names)

    @property
    def sizes(self) -> list[str]:
        """The size symbols that occur anywhere."""
        found: dict[str, None] = {}
        for program in (self.derived, self.claim):
            values = [e.value for e in program.equations]
            shapes = [n for t in program.tensors for n in t.shape]
            shapes += [n.index.size for v in values for n in nodes_once(v) if isinstance(n, (Sum, Extremum, Position))]
            shapes += [a.size for a in program.assumptions if a.size is not None]
            for expr in (*shapes, *values, *program.domain):
                found.update(dict.fromkeys(s.name for s in symbols(expr) if s.kind == "size"))
        return list(found)

    def written(self, title: str, lemmas: Sequence[Lemma]) -> str:
        """The whole file."""
        self.opening(title)
        self.forward()
        self.adjoints()
        self.backward()
        self.lemmas(lemmas)
        return self.closing()

    def say(self, line: str) -> None:
        """Add a line that the checker accepts."""
        try:
            self.book.statement(line)
        except Refused as refusal:
            raise Refused(f"{line[:200]}: {refusal}") from None
        self.text.append(line)

    def opening(self, title: str) -> None:
        """Sizes, facts and inputs."""
        self.say(f"proof {VERSION}")
        self.say("title " + "".join(c if " " <= c <= "~" else "?" for c in title))
        if self.sizes:
            self.say("size " + " ".join(self.sizes))
        for fact in self.program.domain:
            if not isinstance(fact, Compare):
                raise UnsupportedError("a certificate has no word for what is assumed of sizes")
            relation = "<=" if fact.relation == "<" else fact.relation
            more = " + 1" if fact.relation == "<" else ""
            self.say(f"fact {self.writer.text(fact.left, {})}{more} {relation} {self.writer.text(fact.right, {})}")
        for p in self.derived.parameters:
            if p.kind != "size" and p.name != "pi":
                self.say(f"scalar {self.names.of(p)} {p.kind}")
        known = self.program.known
        used = dict.fromkeys((*self.derived.inputs, *self.claim.inputs))
        for t in used:
            if t in {e.tensor for e in (*self.derived.equations, *self.lines)}:
                continue
            shape = [self.writer.text(n, {}) for n in t.shape]
            kind, assumed = "real", known.get(t)
            if assumed is not None and assumed.kind == "labels" and assumed.size is not None:
                kind = f"labels {self.writer.text(assumed.size, {})}"
            elif assumed is not None:
                kind = KINDS[assumed.kind]
            elif t.kind != "real":
                raise UnsupportedError(f"a certificate has no word for the integers {t.name}")
            self.say(f"input {self.names.of(t)}{'[' + ','.join(shape) + ']' if shape else ''} {kind}")

    def forward(self) -> None:
        """The forward pass up to the cost."""
        for e in self.program.equations:
            self.say("forward {} = {}".format(*self.writer.equation(e)) + line_of(e))
        self.say(f"cost {self.names.of(self.program.outputs[0])}")

    def adjoints(self) -> None:
        """The adjoint of each tensor that leads to a gradient that is claimed."""
        wanted = set(self.inputs.values())
        for e in self.derived.equations:
            tensor = self.bars.get(e.tensor)
            if tensor is None or (tensor in self.program.inputs and tensor not in wanted):
                continue
            left, right = self.writer.equation(e)
            of = self.names.of(tensor) + left[len(self.names.of(e.tensor)) :]
            users = " ".join(self.book.users(self.names.of(tensor)))
            self.say(f"adjoint {self.names.of(e.tensor)} of {of} = {right} uses {users}".rstrip())

    def backward(self) -> None:
        """The user's lines."""
        for e in self.lines:
            self.say("backward {} = {}".format(*self.writer.equation(e)) + line_of(e))

    def lemmas(self, known: Sequence[Lemma]) -> None:
        """What tensors of both programs are, in their order."""
        by_tensor = {lemma.equation.tensor: lemma for lemma in known or self.composed()}
        bars = {tensor: bar for bar, tensor in self.bars.items()}
        outputs = {own: bars[self.inputs[name]] for name, own in self.returned.items()}
        for e in (*self.derived.equations, *self.lines):
            lemma = by_tensor.get(e.tensor)
            if self.names.of(e.tensor) not in self.book.definition or e.tensor.kind != "real":
                continue
            done = lemma is not None and self.lemma(lemma.equation, lemma.opened)
            if not done and is_view(e.value):
                done = self.lemma(e, ())
            bar = outputs.get(e.tensor)
            if bar is not None and bar is not e.tensor and not (done and self.met(e.tensor, bar)):
                if done:
                    self.retract(e.tensor)
                if not self.lemma(Equation(e.tensor, e.indices, Entry(bar, e.indices)), ()):
                    raise UnsupportedError(
                        f"the checker does not see that {self.names.of(e.tensor)} is {self.names.of(bar)}"
                    )

    def met(self, own: Tensor, bar: Tensor) -> bool:
        """Whether what is known says that two tensors are one."""
        at = [self.book.atom(self.book.new_index(n)) for n in self.book.axes[self.names.of(own)]]
        a, b = (self.book.read(self.names.of(t), at, {}, frozenset()) for t in (own, bar))
        return a == b

    def retract(self, tensor: Tensor) -> None:
        """Take the last lemma back."""
        self.book.same.pop(self.names.of(tensor))
        self.book.lines -= 1
        self.text.pop()

    def composed(self) -> Sequence[Lemma]:
        """The lemmas of a composed proof, where the verdict needed none."""
        if not self.lines:
            return ()
        sides = Sides(self.question, self.derived, self.claim)
        bars = self.gradient.cotangents
        pairs = [(self.returned[n], bars[t]) for n, t in self.inputs.items() if t in bars]
        try:
            composition = sides.composition(Budget.of(SECONDS))
            composition.walk()
            for pair in pairs:
                composition.proves(*pair)
        except SymbackpropError:
            return ()
        return list(composition.lemmas.values())

    def lemma(self, equation: Equation, opened: Iterable[Tensor]) -> bool:
        """Say a lemma, with these definitions opened or others; False if the checker accepts none."""
        left, right = self.writer.equation(equation, sizes=False)
        name = self.names.of(equation.tensor)
        named = [self.names.of(t) for t in opened if self.names.of(t) in self.book.definition]
        most = MOST_OPENED if equation.tensor in self.returned.values() else FEW_OPENED
        for hints in self.hints(name, f"{left} = {right}", named, most):
            line = f"lemma {left} = {right}" + (f" open {' '.join(hints)}" if hints else "")
            if self.accepts(line):
                self.text.append(line)
                return True
        return False

    def accepts(self, line: str) -> bool:
        """Whether the checker accepts a line; its book is as before if it does not."""
        crossed, lines = dict(self.book.crossed), self.book.lines
        self.book.most = MOST_STEPS
        try:
            self.book.statement(line)
        except Refused:
            self.book.crossed, self.book.lines = crossed, lines
            return False
        finally:
            self.book.most = check_proof.MOST_STEPS
        return True

    def hints(self, name: str, equation: str, named: list[str], most: int) -> Iterator[list[str]]:
        """Choices of definitions to open, the likelier ones first."""
        yield named
        reader = Reader(equation)
        left, _, right = reader.power(), reader.take("="), reader.sum()
        opened = [n for n in named if n not in self.book.same]
        if opened != named:
            yield opened
        for _ in range(most):
            more = self.next_to_open(name, left, right, opened)
            if not more:
                return
            opened = [*opened, *more]
            yield opened

    def next_to_open(self, name: str, left: Node, right: Node, opened: list[str]) -> list[str]:
        """The user's tensors in sight of which nothing is known; else a derivative, else the latest definition."""
        book = self.book
        book.fresh, book.steps, book.most = 0, 0, MOST_STEPS
        env = book.places([p[1] for p in left[2:]], book.axes[name])
        try:
            own = book.value(left, env, frozenset([*opened, name]))
            other = book.value(right, env, frozenset(opened))
            seen = [self.tensors(p) for p in (own, other, book.minus(own, other))]
        except Refused:
            return []
        finally:
            book.most = check_proof.MOST_STEPS
        if len(own) + len(other) > MOST_TERMS:
            return []
        closed = book.definition.keys() - book.same.keys() - {*opened, name}
        able = set().union(*seen) & closed
        alien = [n for n in able if book.kind[n] == "backward"]
        if alien:
            return sorted(alien, key=book.order.__getitem__)
        uneven = (seen[0] ^ seen[1]) & seen[2] & able
        for some in (uneven, seen[2] & able):
            if some:
                return [max(some, key=lambda n: (book.kind[n] == "adjoint", book.order[n]))]
        return []

    def tensors(self, p: Poly) -> set[str]:
        """The tensors in a polynomial."""
        return {n for t in p for b, _ in t[1] for n in self.inside(b)}

    def inside(self, b: int) -> set[str]:
        """The tensors in a base."""
        kind, name, keys, _ = self.book.bases[b]
        inner = {n for k in keys for n in self.tensors(self.book.poly(k))}
        return inner | {name} if kind == "T" else inner

    def closing(self) -> str:
        """Conditions, claims and the end."""
        for name, tensor in self.inputs.items():
            self.say(f"claim {self.names.of(tensor)} {self.names.of(self.returned[name])}")
        for condition in self.book.conditions():
            self.say(f"condition {condition}")
        self.say(f"end {len(self.text) + 1}")
        return "\n".join(self.text) + "\n"


def places(tensor: Tensor) -> tuple[Index, ...]:
    """Free indices for an entry of a tensor."""
    return tuple(Index(f"i{k}", n) for k, n in enumerate(tensor.shape))


def line_of(equation: Equation) -> str:
    """Where it stands in the user's file, if that is known."""
    words = equation.note.split()
    found = [words[k + 1].strip(",:;") for k, w in enumerate(words[:-1]) if w == "line"]
    return f"; line {found[0]}" if found and found[0].isdigit() else ""
