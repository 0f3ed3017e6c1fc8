"""What a proof rests on, as a certificate: the forward pass, its adjoints, the user's lines, and the lemmas between.

Nothing here is trusted. Each line is read by the checker as it is written, unless one like it has been, and a lemma
that it refuses is tried with other definitions opened; what cannot be said is refused by name.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from symbackprop.calculus.derivation import Gradient, Lemma
from symbackprop.calculus.lemmas import is_view
from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.certificate import check_proof
from symbackprop.certificate.check_proof import READER, VERSION, Book, Env, Line, Node, Poly, Refused
from symbackprop.certificate.splits import multiples_of, splits_of
from symbackprop.certificate.statements import Names, Writer, is_arbitrary, show
from symbackprop.checking.budget import Budget
from symbackprop.checking.proof_search import Sides
from symbackprop.checking.question import Question
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import SymbackpropError, UnsupportedError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Position,
    Remainder,
    Sum,
    Symbol,
    Tensor,
    add,
    multiply,
    nodes_once,
    number,
    sum_over,
    tensors_in,
)
from symbackprop.expression.nodes import collector_paused
from symbackprop.expression.program import Equation, Program, symbols, unused
from symbackprop.expression.recurrence import Block, Recurrence, blocks, equations_of
from symbackprop.expression.sizes import simplify
from symbackprop.proofs.theorem import Proof

ENDING = ".sbp"
MOST_LOST = 150_000  # steps of lines that the checker refuses, in the search of definitions to open
SECONDS = 2.0  # for lemmas that the verdict did not need
MOST_OPENED, FEW_OPENED, MOST_TERMS, LEVELS = 24, 12, 250, 3
MOST_STEPS, SOME_STEPS, FEW_STEPS, CHEAP_STEPS = 6_000, 2_000, 200, 200
KINDS = {"pos": "positive", "prob": "prob", "bern": "bern", "pm1": "pm1", "simplex": "real"}


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
    if verdict.lemmas and verdict.program is not None:  # which may speak of partial sums
        gradient = replace(gradient, adjoint=verdict.program)
    return certificate(gradient, question, verdict.claim, verdict.claims, title=verdict.subject, lemmas=verdict.lemmas)


def certificate_of_proof(proof: Proof) -> str:
    """The certificate of what was derived: each gradient as an adjoint.

    Raises:
        UnsupportedError: the proof is not complete, or the format has no word for something.
    """
    if proof.status != "PROVED":
        raise UnsupportedError(f"there are certificates of proofs that are PROVED; this is {proof.status}")
    program = base_and_step(*proof.parts) if proof.parts else proof.program
    if len(program.outputs) != 1:
        raise UnsupportedError("a certificate is about the derivatives of one cost")
    gradient = differentiate(program)  # line by line, where the proof has gone on to shorter forms
    empty = Program((), (), ())
    emission = Emission(gradient, Question(gradient.program, empty, {}), empty, {})
    emission.returned = {t.name: bar for t, bar in gradient.cotangents.items() if bar in gradient.adjoint.outputs}
    emission.inputs = {t.name: t for t in gradient.cotangents if t.name in emission.returned}
    return accepted(emission, proof.title, ())


def base_and_step(base: Program, step: Program) -> Program:
    """One program for any depth: the cost as the last layer gives it, and what a general layer sends back.

    Of the general layer the cost is whatever has the derivatives D by the layer's output z; so has sum(D*z), whose
    derivatives by the layer's inputs are therefore those of the cost.
    """
    (cost,), (_, z) = base.outputs, step.outputs
    sent = Tensor(unused("D", {t.name for t in (*base.tensors, *step.tensors)}), z.shape)
    at = step.by_tensor[z].indices
    own = Tensor("J_base", ()), Tensor("J_step", ())
    last = base.by_tensor[cost]
    equations = [e if e is not last else Equation(own[0], (), e.value) for e in base.equations]
    equations += [e for e in step.equations if e.tensor not in step.outputs or e.tensor is z]
    equations.append(Equation(own[1], (), sum_over(at, multiply(Entry(sent, at), Entry(z, at)))))
    equations.append(Equation(cost, (), add(*(Entry(t, ()) for t in own))))
    read = frozenset().union(*(tensors_in(e.value) for e in equations))
    inputs = tuple(t for t in (*base.inputs, *step.inputs, sent) if t in read)
    return replace(base, inputs=inputs, equations=tuple(equations), outputs=(cost,))


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
    known = {*gradient.adjoint.tensors, *claim.tensors}
    if not all({m.equation.tensor, *m.opened, *tensors_in(m.equation.value)} <= known for m in lemmas):
        raise UnsupportedError("a lemma speaks of a tensor that stands in no equation")
    return accepted(Emission(gradient, question, claim, claims), title, lemmas)


@collector_paused()
def accepted(emission: Emission, title: str, lemmas: Sequence[Lemma]) -> str:
    """The file, with room for deep recursion.

    Raises:
        UnsupportedError: the checker refuses a line.
    """
    try:
        text: str = deep(lambda: emission.written(title, lemmas))
    except (Refused, RecursionError) as refusal:
        raise UnsupportedError(f"the checker of certificates refuses: {refusal}") from refusal
    finally:
        emission.book.forget()
    return text


def deep(function: Callable[[], Any]) -> Any:
    """What a function returns, or raises, with room for deep recursion."""
    found: list[Any] = []

    def call() -> None:
        try:
            found.append((function(), None))
        except BaseException as e:
            found.append((None, e))

    limit, size = sys.getrecursionlimit(), threading.stack_size(256 * 1024 * 1024)
    try:
        sys.setrecursionlimit(max(limit, 20_000))
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if found[0][1] is not None:
        raise found[0][1]
    return found[0][0]


class Draft(Book):
    """The checker's book while a file is written: what is asked twice is found once, and it is done with at the end.

    A line that differs from one before in nothing but the names of tensors, and of sizes that nothing is assumed of, is
    not checked again: in a deep network most lines do. All that a check reads of tensors is compared, their axes, what
    is assumed of them, what lemmas say and the definitions that are put in; a check that asked for conditions of the
    forward pass is done each time. The checker itself leaves nothing out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known_by: tuple[dict[str, Any], list[Any]] | None = None  # lemmas, and the conditions with them
        self.found: dict[Any, Any] = {}  # what checks of lines gave, without names
        self.asked = False
        self.seen: dict[Any, tuple[Poly, int, int]] | None = None  # in one check: what entries are, and the steps

    def within(self, e: Poly, size: Poly) -> Poly:
        """As the checker has it; most places are asked about often."""
        row = ("within", frozenset(e.items()), frozenset(size.items()), len(self.facts))
        if row not in self.table:
            self.table[row] = super().within(e, size)
        found: Poly = self.table[row]
        return found

    def read(self, name: str, places: list[Poly], env: Env, opened: frozenset[str]) -> Poly:
        """As the checker has it, or had it of the same entry in the same check; what that took counts again."""
        told = name not in env and name in (self.definition if name in opened else self.same)
        if self.seen is None or not told:
            return super().read(name, places, env, opened)
        row = name, tuple(frozenset(p.items()) for p in places), opened
        if row in self.seen:
            value, steps, values = self.seen[row]
            self.steps, self.values = self.steps + steps, self.values + values
        else:
            steps, values = self.steps, self.values
            value = super().read(name, places, env, opened)
            self.seen[row] = value, self.steps - steps, self.values - values
        return value

    def nameless(self, p: Poly) -> Any:
        """As the checker has it; noted, since it is what conditions are looked up by."""
        self.asked = True
        return super().nameless(p)

    def known_sign(self, line: Line) -> str:
        """As the checker has it, or had it of such a line."""
        return str(self.once("equation", line, [], lambda: super(Draft, self).known_sign(line)))

    def chain_rule(self, line: Line, users: list[str]) -> None:
        """As the checker has it, or had it of such a line."""
        self.once("adjoint", line, users, lambda: super(Draft, self).chain_rule(line, users))

    def level(self, line: Line) -> None:
        """As the checker has it, or had it of such a line."""
        self.once("lemma", line, [line.name], lambda: super(Draft, self).level(line))

    def once(self, word: str, line: Line, put_in: Collection[str], check: Callable[[], Any]) -> Any:
        """What a check gives, or gave where all was the same but for the names of tensors and sizes.

        Raises:
            Refused: the checker refuses the line.
        """
        order, opened, ahead = [line.name], self.opening(line, "open"), self.opening(line, "ahead")
        rows: list[Any] = [self.unnamed(("entry", n), order) for u in put_in for n in (u, self.bar.get(u, u))]
        rows.append((word, *line.names, self.unnamed(line.value, order)))
        for name in order:  # which grows
            shown = self.definition if name in {*put_in, *opened, *ahead} else {}
            told = [(*t[name][0], self.unnamed(t[name][1], order)) if name in t else () for t in (shown, self.same)]
            sizes = [self.numbered(p, order) for p in (*self.axes.get(name, ()), self.ranges.get(name, {}))]
            flags = self.kind[name] == "size", name == self.cost, name in opened, name in ahead
            rows.append((*sizes, *flags, self.assumed.get(name), *told))
        row = tuple(rows) if self.recurrent.isdisjoint(order) else None
        if row not in self.found:
            self.asked, self.seen = row is None, {}
            try:
                found = check()
            finally:
                self.seen = None
            if self.asked:
                return found
            self.found[row] = found
        return self.found[row]

    @cached_property
    def plain(self) -> set[str]:
        """The sizes of which nothing is known but that they are at least 1."""
        told = set().union(*map(check_proof.names_in, self.laws))
        split = {b.name for size, (_, at) in self.splits.items() for t in (*dict(size), *at) for b, _ in t[1]}
        return {n for n, kind in self.kind.items() if kind == "size"} - told - split

    def numbered(self, size: Poly, order: list[str]) -> frozenset[Any]:
        """The size of an axis, the same way."""
        terms = (([(self.unnamed(("entry", b.name), order), e) for b, e in t[1]], c) for t, c in size.items())
        return frozenset((frozenset(factors), c) for factors, c in terms)

    def unnamed(self, n: Node, order: list[str]) -> Node:
        """An expression with tensors and sizes numbered in the order in which they are first seen."""
        if n[0] == "entry" and (n[1] in self.axes or n[1] in self.plain):
            if n[1] not in order:
                order.append(n[1])
            n = ("entry", order.index(n[1]), *n[2:])
        return tuple(self.unnamed(p, order) if isinstance(p, tuple) else p for p in n)

    def conditions(self) -> list[Any]:
        """As the checker has them, worked out again only where other lemmas are known."""
        if self.known_by is None or self.known_by[0] != self.same:
            self.known_by = dict(self.same), super().conditions()
        return self.known_by[1]

    def forget(self) -> None:
        """Undo the circles by which bases know themselves, which the collector would find with a third of the time."""
        for base in self.table.values():
            if isinstance(base, check_proof.Base):
                base.free = base.inner = frozenset()
        self.table.clear()
        self.found.clear()


class Emission:
    """The lines of a certificate so far, and the checker's book of them."""

    def __init__(self, gradient: Gradient, question: Question, claim: Program, claims: Mapping[str, Tensor]) -> None:
        self.gradient, self.question, self.program = gradient, question, gradient.program
        self.inputs = {name: question.pairs[name][0] for name in claims}
        self.book, self.text, self.hot = Draft(), list[str](), list[str]()
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
        self.blocks: list[Block] = [*blocks(self.derived.equations), *blocks(self.lines)]
        self.splits = splits_of((*self.derived.equations, *self.lines), self.domain)
        self.multiples = multiples_of(self.domain, [*self.sizes, *(t.name for t in self.derived.tensors)])
        self.names = self.named()
        self.writer = Writer(self.names)

    def named(self) -> Names:
        """The names of sizes, parameters and tensors."""
        self.spelled = {n: n for n in self.sizes} | {n: m for n, (_, m) in self.multiples.items()}
        for n in self.sizes:
            if not n.isidentifier():
                self.spelled[n] = unused("".join(c if c.isalnum() else "_" for c in n), self.spelled)
        written = {n: f"{q}*{m}" for n, (q, m) in self.multiples.items()}
        names = Names(self.spelled.values(), {n: m for n, m in self.spelled.items() if n != m} | written)
        for e in (*self.derived.equations, *self.lines):
            for node in nodes_once(e.value):
                if isinstance(node, Apply) and is_arbitrary(node.function):
                    names.function(node.function)
        for parameter in self.derived.parameters:
            names.of(parameter)
        for tensor in (*self.derived.tensors, *(e.tensor for e in self.lines)):
            names.of(tensor)
        return names

    @property
    def domain(self) -> tuple[Expr, ...]:
        """What is assumed of sizes."""
        return (*self.program.domain, *self.claim.domain)

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
        self.lost, self.most_steps, self.noted = 0, MOST_STEPS, ""
        self.asked_for = set[str]()  # what stands by itself in gradients that are refused
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
            self.say("size " + " ".join(self.spelled.values()))
        for fact in self.program.domain:
            if not isinstance(fact, Compare):
                raise UnsupportedError("a certificate has no word for what is assumed of sizes")
            multiple = fact.left.left if isinstance(fact.left, Remainder) else None
            if isinstance(multiple, Symbol) and multiple.name in self.multiples:
                continue
            relation = "<=" if fact.relation == "<" else fact.relation
            more = " + 1" if fact.relation == "<" else ""
            self.say(f"fact {self.writer.text(fact.left, {})}{more} {relation} {self.writer.text(fact.right, {})}")
        for size, how, at in self.splits:
            self.say(f"split {self.writer.text(size, {})} {how}" + (f" {self.writer.text(at, {})}" if at else ""))
        for f, name in self.names.functions.items():
            self.say(f"function {name} {f.arity}")
        for p in self.derived.parameters:
            if p.kind != "size" and p.name != "pi":
                self.say(f"input {self.names.of(p)} {p.kind}")
        defined = {e.tensor for e in (*self.derived.equations, *self.lines)}
        for t in dict.fromkeys((*self.derived.inputs, *self.claim.inputs)):
            if t not in defined:
                self.given(t)
        for line in self.hot:
            self.say(line)

    def given(self, t: Tensor) -> None:
        """An input; one that is one-hot is told by the places of its ones."""
        shape = [self.writer.text(n, {}) for n in t.shape]
        kind, assumed = "real", self.program.known.get(t)
        name = self.names.of(t)
        if assumed is not None and assumed.kind == "labels" and assumed.size is not None:
            kind = f"labels {self.writer.text(assumed.size, {})}"
        elif assumed is not None and assumed.kind == "onehot":
            left, env = self.writer.head(t, places(t))
            *rest, last = env.values()
            name, kind = self.names.unused(f"{name}_place"), f"labels {shape.pop()}"
            self.hot.append(f"forward {left} = ({last} == {name}{f'[{chr(44).join(rest)}]' if rest else ''})")
        elif assumed is not None:
            kind = KINDS[assumed.kind]
        elif t.kind != "real":
            raise UnsupportedError(f"a certificate has no word for the integers {t.name}")
        self.say(f"input {name}{'[' + ','.join(shape) + ']' if shape else ''} {kind}")

    def together(self, word: str, block: Block, lines: Sequence[str]) -> None:
        """The statements of a block; those of a recurrence are read together, each with its rank."""
        if isinstance(block, Recurrence):
            self.say(f"together {len(lines)}")
        for line in lines:
            text, _, note = line.partition(";")
            self.say(f"{word} {text}" + (f";{note}" if note and note != self.noted else ""))
            self.noted = note or self.noted

    def rank(self, block: Block, e: Equation) -> str:
        """The rank of an entry of a recurrence: when it is computed."""
        if not isinstance(block, Recurrence):
            return ""
        _, env = self.writer.head(e.tensor, e.indices)
        clock = block.clocks[e.tensor]
        when = add(multiply(number(block.pace), clock.time(e.indices)), number(block.ranks[e.tensor]))
        return f" by {self.writer.text(simplify(when), env)}"

    def forward(self) -> None:
        """The forward pass up to the cost."""
        for block in blocks(self.program.equations):
            lines = [(e, "{} = {}".format(*self.writer.equation(e))) for e in equations_of(block)]
            self.together("forward", block, [text + self.rank(block, e) + line_of(e) for e, text in lines])
        self.say(f"cost {self.names.of(self.program.outputs[0])}")

    def adjoints(self) -> None:
        """The adjoint of each tensor that leads to a gradient that is claimed, and partial sums of these."""
        wanted, own = set(self.inputs.values()), {e.tensor for e in self.program.equations}
        for block in blocks(self.derived.equations):
            equations = [e for e in equations_of(block) if e.tensor not in own]
            bars = [(e, self.bars.get(e.tensor)) for e in equations]
            kept = [(e, t) for e, t in bars if t is None or t not in self.program.inputs or t in wanted]
            told = [(e, self.adjoint(e, t) + self.rank(block, e)) for e, t in kept if t is not None]
            if any(t is None for _, t in kept):
                told = [(e, "{} = {}".format(*self.writer.equation(e)) + self.rank(block, e)) for e, _ in kept]
            if told:
                self.together("adjoint" if kept[0][1] is not None else "let", block, [text for _, text in told])

    def adjoint(self, e: Equation, tensor: Tensor) -> str:
        """The equation of an adjoint."""
        left, right = self.writer.equation(e)
        name = self.names.of(tensor)
        own = self.names.of(e.tensor)
        users = self.users(name)
        return f"{own} of {name}{left[len(own) :]} = {right}" + (f" uses {users}" if users else "")

    def users(self, name: str) -> str:
        """The equations in which a tensor stands and that lead to the cost."""
        book = self.book
        active = (u for u in book.definition if u == book.cost or u in book.reads.get(book.cost, ()))
        return " ".join(u for u in active if name in book.mentions[u])

    def backward(self) -> None:
        """The user's lines."""
        for block in blocks(self.lines):
            lines = [(e, "{} = {}".format(*self.writer.equation(e))) for e in equations_of(block)]
            self.together("backward", block, [text + self.rank(block, e) + line_of(e) for e, text in lines])

    def lemmas(self, known: Sequence[Lemma]) -> None:
        """What tensors of both programs are, in their order."""
        bars = {tensor: bar for bar, tensor in self.bars.items()}
        outputs = {own: bars[self.inputs[name]] for name, own in self.returned.items()}
        ways: list[Callable[[], None]] = [lambda: self.told(known, outputs)]
        if not known:
            later = (lambda: self.told(self.alike, outputs), lambda: self.told(self.composed(), outputs))
            ways = [lambda: self.shortly(outputs), *later]
        text, same, count = list(self.text), dict(self.book.same), self.book.lines
        for k, way in enumerate(ways):
            try:
                way()
                self.granted = self.book.conditions()
                return
            except (UnsupportedError, Refused):
                if k == len(ways) - 1:
                    raise
                self.text, self.book.same, self.book.lines = list(text), dict(same), count

    def shortly(self, outputs: Mapping[Tensor, Tensor]) -> None:
        """Say each gradient with all definitions opened, and lemmas on the way where that is refused."""
        wanted = self.at_once(outputs)
        if wanted:
            self.told(self.alike, outputs, wanted)

    def told(self, known: Sequence[Lemma], outputs: Mapping[Tensor, Tensor], wanted: Collection[str] = ()) -> None:
        """Say what tensors are, where that is known, and each gradient.

        Args:
            wanted: the tensors that matter, if not all do.

        Raises:
            UnsupportedError: the checker does not see that a gradient is what it is.
        """
        by_tensor = {lemma.equation.tensor: lemma for lemma in known}
        for block in self.blocks:
            if isinstance(block, Recurrence):
                self.induction([by_tensor[e.tensor] for e in equations_of(block) if e.tensor in by_tensor])
            for e in equations_of(block):
                bar = outputs.get(e.tensor)
                if self.names.of(e.tensor) not in self.book.definition or e.tensor.kind != "real":
                    continue
                if wanted and self.names.of(e.tensor) not in wanted:
                    continue
                lemma = by_tensor.get(e.tensor) if not isinstance(block, Recurrence) else None
                done = self.names.of(e.tensor) in self.book.same
                done = done or (lemma is not None and self.lemma(lemma.equation, lemma.opened))
                if not done and is_view(e.value) and not isinstance(block, Recurrence):
                    done = self.lemma(e, ())
                if bar is not None and bar is not e.tensor and not (done and self.met(e.tensor, bar)):
                    if done:
                        self.retract(e.tensor)
                    if not self.lemma(Equation(e.tensor, e.indices, Entry(bar, e.indices)), ()):
                        what = f"{self.names.of(e.tensor)} is {self.names.of(bar)}"
                        raise UnsupportedError(f"the checker does not see that {what}")

    def at_once(self, outputs: Mapping[Tensor, Tensor]) -> set[str]:
        """Say what is computed again, and each gradient with all lines of the user and all adjoints opened.

        Where that is refused and was cheap, or of one gradient alone, what is left of the forward pass is opened too;
        elsewhere lemmas on the way are cheaper.

        Returns:
            The gradients that the checker refuses, and what they depend on.
        """
        self.book.unmoved()  # which lemmas ask for, and what is computed again is told by its value
        book, seen, refused = self.book, dict[Any, list[Equation]](), list[tuple[Equation, set[str], int]]()
        for e in (*self.derived.equations, *self.lines):
            name, bar = self.names.of(e.tensor), outputs.get(e.tensor)
            if name not in book.definition or e.tensor.kind != "real":
                continue
            self.known_before(e, seen, bar is not None)
            if bar is None or bar is e.tensor or self.met(e.tensor, bar):
                continue
            if name in book.same:
                self.retract(e.tensor)
            other, equation = self.names.of(bar), Equation(e.tensor, e.indices, Entry(bar, e.indices))
            own = {n for n in book.reads[name] if book.kind[n] == "backward"}
            hints = own | {n for n in (other, *book.reads[other]) if book.kind[n] == "adjoint"}
            alike = next((r for r in refused if own and {n for n in r[1] if book.kind[n] == "backward"} <= own), None)
            if alike is not None:  # made of the same lines of the user, and more
                refused.append((equation, hints | {n for n in alike[1] if book.kind[n] == "forward"}, alike[2]))
            elif not self.opened(equation, hints, FEW_STEPS if len(outputs) > 1 else SOME_STEPS):
                refused.append((equation, hints | self.bare(), book.steps))
                self.asked_for |= {n for n in self.bare() if book.kind[n] == "forward"}
        cheap = len(refused) == 1 or sum(steps for _, _, steps in refused) <= CHEAP_STEPS
        while cheap and refused and self.opened_by_levels(*refused[0][:2]):
            refused.pop(0)
        ends = {n for e, _, _ in refused for n in (self.names.of(e.tensor), self.names.of(outputs[e.tensor]))}
        return ends.union(*(book.reads[n] for n in ends))

    def known_before(self, e: Equation, seen: dict[Any, list[Equation]], returned: bool) -> None:
        """Say what a view is of, and that a line of the user computes again what was computed before.

        Args:
            seen: the equations before this one, by their axes and the tensors that stand in them.
        """
        name = self.names.of(e.tensor)
        if is_view(e.value):
            self.lemma(e, ())
        elif name not in self.book.recurrent and not returned:
            axes = tuple(frozenset(n.items()) for n in self.book.axes[name] if check_proof.constant(n) != 1)
            before = seen.setdefault((axes, frozenset(self.leaves(self.book.definition[name][1], []))), [])
            able = list(before) if self.book.kind[name] == "backward" else []
            before.append(e)
            meant = self.meaning(name) if able else None
            first = next((b for b in able if self.meaning(self.names.of(b.tensor)) == meant), None)
            if first is not None:
                at = iter(i for i in e.indices if i.size is not ONE)
                there = [next(at) if i.size is not ONE else ZERO for i in first.indices]
                self.lemma(Equation(e.tensor, e.indices, Entry(first.tensor, tuple(there))), (first.tensor,), 0)

    def opened_by_levels(self, equation: Equation, hints: set[str]) -> bool:
        """Say a lemma with these definitions opened, and what then stands by itself, as long as that is something."""
        for _ in range(LEVELS):
            if self.opened(equation, hints, SOME_STEPS):
                return True
            if not self.bare() - hints:
                return False
            hints = hints | self.bare()
        return False

    def bare(self) -> set[str]:
        """What could be opened of what stands by itself in a lemma that was refused."""
        if sum(map(len, self.book.sides)) > MOST_TERMS:
            return set()
        return {n for p in self.book.sides for n in factors(p) if n in self.book.definition} - self.book.recurrent

    def opened(self, equation: Equation, hints: set[str], steps: int) -> bool:
        """Say a lemma with just these definitions opened, in a few steps."""
        self.most_steps = steps
        done = self.lemma(equation, [t for t, n in self.names.tensors.items() if n in hints - self.book.same.keys()], 0)
        self.most_steps = MOST_STEPS
        return done

    def meaning(self, name: str) -> Any:
        """What is the same of tensors that are computed alike."""
        names, node = self.book.definition[name]
        order = iter(range(len(names)))
        env = {
            n: check_proof.number(0)
            if check_proof.constant(size) == 1
            else check_proof.atom(self.book.index(f"?{next(order)}", size))
            for n, size in zip(names, self.book.axes[name], strict=True)
        }
        try:
            return frozenset(self.book.value(node, env).items())
        except Refused:
            return name

    def induction(self, lemmas: Sequence[Lemma]) -> None:
        """Lemmas about a recurrence, which hold together; none if the checker does not accept them."""
        lines = []
        for m in lemmas:
            names = [self.names.of(t) for t in m.opened]
            first, rest = (names[:1], names[1:]) if m.ahead else ([], list(dict.fromkeys(names)))
            hints = "".join(f" {w} {' '.join(ns)}" for w, ns in (("open", rest), ("ahead", first)) if ns)
            lines.append("lemma {} = {}".format(*self.writer.equation(m.equation, sizes=False)) + hints)
        lines = [f"together {len(lines)}", *lines] if len(lines) > 1 else lines
        if lines and self.accepts(*lines):
            self.text += lines

    def met(self, own: Tensor, bar: Tensor) -> bool:
        """Whether what is known says that two tensors are one."""
        at = [check_proof.atom(self.book.new_index(n)) for n in self.book.axes[self.names.of(own)]]
        a, b = (self.book.read(self.names.of(t), at, {}, frozenset()) for t in (own, bar))
        return a == b

    def retract(self, tensor: Tensor) -> None:
        """Take the last lemma back."""
        self.book.same.pop(self.names.of(tensor))
        self.book.lines -= 1
        self.text.pop()

    @cached_property
    def alike(self) -> Sequence[Lemma]:
        """What each of the user's tensors seems to be, by numbers."""
        if not self.lines:
            return ()
        alike, found = self.sides.alike, list[Lemma]()
        for e in self.derived.equations:
            alike.add(e.tensor)
        for e in self.lines:
            every = [s for s in alike.of(e.tensor) if not s.groups]
            seen = [s for s in every if not s.blind and s.factor is ONE] or every
            if seen and not seen[-1].blind and e.tensor.kind == "real":
                found.append(Lemma(Equation(e.tensor, e.indices, seen[-1].at(e.indices)), ()))
            alike.add(e.tensor)
        return found

    @cached_property
    def sides(self) -> Sides:
        """Both programs, with the numbers of their tensors."""
        return Sides(self.question, self.derived, self.claim)

    def composed(self) -> Sequence[Lemma]:
        """The lemmas of a composed proof, where the verdict needed none."""
        if not self.lines:
            return ()
        bars = self.gradient.cotangents
        pairs = [(self.returned[n], bars[t]) for n, t in self.inputs.items() if t in bars]
        try:
            composition = self.sides.composition(Budget.of(SECONDS))
            composition.walk()
            for pair in pairs:
                composition.proves(*pair)
        except SymbackpropError:
            return ()
        return list(composition.lemmas.values())

    def lemma(self, equation: Equation, opened: Iterable[Tensor], most: int | None = None) -> bool:
        """Say a lemma, with these definitions opened or others; False if the checker accepts none."""
        left, right = self.writer.equation(equation, sizes=False)
        name = self.names.of(equation.tensor)
        named = [n for n in dict.fromkeys(map(self.names.of, opened)) if n in self.book.definition]
        if most is None:
            most = MOST_OPENED if equation.tensor in self.returned.values() else FEW_OPENED
        hints, tried = named, list[list[str]]()
        if most and not named:
            hints = self.levelled(name, READER.read(right), [])
            there = self.leaves(("entry", name), [name, *hints]) | self.leaves(READER.read(right), hints)
            hints += [n for n in self.book.definition if n in there & self.asked_for]
        for _ in range(most + 2):
            tried.append(hints)
            line = f"lemma {left} = {right}" + (f" open {' '.join(hints)}" if hints else "")
            if self.accepts(line):
                self.text.append(line)
                return True
            closed = [n for n in hints if n not in self.book.same]
            if most and named and len(tried) == 1:
                hints = self.levelled(name, READER.read(right), closed)
            if hints in tried:
                hints = [*closed, *(self.next_to_open(name, closed) if most else ())]
            if hints in tried:
                return False
        return False

    def accepts(self, *lines: str) -> bool:
        """Whether the checker accepts lines; its book is as before if it does not."""
        if self.lost > MOST_LOST:
            raise UnsupportedError("the certificate takes too long to find")
        count, same = self.book.lines, dict(self.book.same)
        self.book.most, self.book.sides = self.most_steps, ({}, {})
        try:
            for line in lines:
                self.book.statement(line)
        except Refused:
            self.lost += self.book.steps
            self.book.lines, self.book.same, self.book.waiting, self.book.together = count, same, 0, []
            return False
        finally:
            self.book.most = check_proof.MOST_STEPS
        return True

    def levelled(self, name: str, right: Node, opened: list[str]) -> list[str]:
        """With the user's tensors that nothing is known of, and derivatives until both sides are level."""
        book, order = self.book, list(self.book.kind)
        for _ in range(MOST_OPENED):
            sides = [self.leaves(node, opened) for node in (book.definition[name][1], right)]
            alien = [n for n in sides[0] | sides[1] if book.kind[n] == "backward" and n != name]
            uneven = [n for n in sides[0] ^ sides[1] if book.kind[n] == "adjoint" and n != name]
            more = alien or sorted(uneven, key=order.index)[-1:]
            if not more:
                break
            opened = [*opened, *sorted(more, key=order.index)]
        return opened

    def leaves(self, node: Node, opened: list[str]) -> set[str]:
        """The tensors in an expression, with these definitions and all that is known put in."""
        found = set[str]()
        for n in check_proof.names_in(node) & self.book.axes.keys():
            table = self.book.definition if n in opened else self.book.same
            found |= (
                self.leaves(table[n][1], opened)
                if n in table and not (n in opened and n in self.book.recurrent)
                else {n}
            )
        return found

    def next_to_open(self, name: str, opened: list[str]) -> list[str]:
        """Of what stands in a lemma that was refused: the user's tensors, else derivatives, else other definitions."""
        book, (own, other) = self.book, self.book.sides
        if len(own) + len(other) > MOST_TERMS:
            return []
        gap = check_proof.less(own, other)
        seen = [tensors(p) for p in (own, other)]
        able = tensors(gap) & (book.definition.keys() - book.same.keys() - {*opened, name})
        uneven, bare = (seen[0] ^ seen[1]) & able, factors(gap) & able
        forward = {n for n in bare if book.kind[n] == "forward"}
        for some in (uneven & bare, forward, uneven, bare, able):
            for kind in ("backward", "adjoint", "forward"):
                more = [n for n in some if book.kind[n] == kind]
                if more:
                    return sorted(more, key=list(book.kind).index)
        return []

    def closing(self) -> str:
        """Conditions, claims and the end."""
        for name, tensor in self.inputs.items():
            self.say(f"claim {self.names.of(tensor)} {self.names.of(self.returned[name])}")
        for how, what, guard, name in self.granted:
            told = [f"not {show(g[1])}" if g[0] == "not" else show(g) for g in guard]
            self.say(f"condition {how} {show(what)} in {name}" + (f" where {' and '.join(told)}" if told else ""))
        self.say(f"end {len(self.text) + 1}")
        return "\n".join(self.text) + "\n"


def factors(p: Poly) -> set[str]:
    """Those that are no arguments of functions there."""
    found = set[str]()
    for b in {b for t in p for b, _ in t[1]}:
        found |= factors(b.polys[0]) if b.kind == "P" else {b.name} if b.kind == "T" else set()
    return found


def tensors(p: Poly) -> set[str]:
    """The tensors in a polynomial."""
    return {x.name for t in p for b, _ in t[1] for x in b.inner if x.kind == "T"}


def places(tensor: Tensor) -> tuple[Index, ...]:
    """Free indices for an entry of a tensor."""
    return tuple(Index(f"i{k}", n) for k, n in enumerate(tensor.shape))


def line_of(equation: Equation) -> str:
    """Where it stands in the user's file, if that is known."""
    words = equation.note.split()
    found = [words[k + 1].strip(",:;") for k, w in enumerate(words[:-1]) if w == "line"]
    return f"; line {found[0]}" if found and found[0].isdigit() else ""
