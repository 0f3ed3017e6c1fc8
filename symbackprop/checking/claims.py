"""Claims about a Program, proved line by line or refuted by numbers: what a textbook states beside its gradients.

    claims = Claims(program)
    claims.theorem("scaling", "dJ_dt = c*f_prime(t)", ...)      # the kernel replays each line
    claims.refuted("a claim that is false", "J = f(t)")          # exact numbers at which it fails
    claims.proof("Title").theorems

A theorem is a chain of equalities left = line = line ...; between two lines the normal form decides, with the
program's equations or the derived cotangents put in where they are needed. Which were put in is found here
(`definitions`) and checked by the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symbackprop.calculus.derivation import Derivation, Gradient, Step
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import CotangentBuilder, differentiate
from symbackprop.checking.budget import SHARES
from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.question import Question, question_of_formula
from symbackprop.checking.refute import refute
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import ProofError
from symbackprop.expression.build import Entry, Expr, Index, Tensor, rewrite, substitute, tensors_in
from symbackprop.expression.functions import Function, derivative
from symbackprop.expression.program import Equation, Program, symbols
from symbackprop.frontends.formula import Scope, left_indices, parse, split_equation
from symbackprop.normal_form.definitions import Definitions
from symbackprop.proofs.network import ALL_SIZES
from symbackprop.proofs.program import replayed
from symbackprop.proofs.shortening.unit_axes import factored
from symbackprop.proofs.theorem import Proof, Theorem
from symbackprop.rendering.text import to_text

Line = tuple[str, str]


@dataclass(frozen=True)
class Refutation:
    """A false claim and numbers at which it fails.

    Args:
        left, claimed: the two sides.
        remark: what is wrong with it, one or two sentences.
    """

    name: str
    left: Expr
    claimed: Expr
    counterexample: Counterexample
    remark: str = ""

    @property
    def text(self) -> str:
        """The false equation in plain text."""
        return f"{to_text(self.left)} = {to_text(self.claimed)}"


@dataclass(frozen=True)
class Exhibit:
    """What one folder shows.

    Args:
        line: what is claimed, in one sentence.
        proofs: the theorems, in the order in which they are told.
        refutations: the false claims near by.
        verdicts: on code written by hand.
        notation: how the mathematics is written; "" for what suits the proofs.
    """

    title: str
    line: str
    proofs: tuple[Proof, ...]
    refutations: Sequence[Refutation] = ()
    verdicts: Sequence[Verdict] = ()
    notation: str = ""


@dataclass
class Claims:
    """The claims about one program.

    Args:
        program: its output is the cost if cotangents are spoken of.
        wanted: True to derive the cotangents of the program's only output.
        name: how the cotangent of a tensor is called.
        functions: further functions that formulas may use, by name.
        derived: the cotangents, where they have been derived already.
    """

    program: Program
    wanted: bool = False
    name: Callable[[Tensor], str] = lambda t: f"dJ_d{t.name}"
    functions: Mapping[str, Function] = field(default_factory=dict)
    derived: Gradient | None = None
    theorems: list[Theorem] = field(default_factory=list, init=False)
    refutations: list[Refutation] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.kernel = Kernel(self.program)
        self.gradient = self.derived
        self._derived: dict[Tensor, Derivation] = self.derived.derivations if self.derived else {}
        if self.wanted and len(self.program.outputs) == 1:
            self.gradient = differentiate(self.program, name=self.name)
            self._derived = self.gradient.derivations
        elif self.wanted:
            self._derived = _open_cotangents(self.program, self.name)
        replayed(self._derived, self.kernel)
        cotangents = [_as_equation(d) for d in self._derived.values()]
        self._cotangents = {e.tensor: e for e in cotangents}
        self._definitions = Definitions(self.program, [*self.program.equations, *cotangents])
        self._scope = self._names()

    def _names(self) -> Scope:
        meant = next(iter(self._derived.values())).definitions if self._derived else {}
        tensors = {t.name: t for t in (*self.program.tensors, *meant)}
        scalars: dict[str, Expr] = {s.name: s for s in (*self.program.sizes, *self.program.parameters)}
        scalars |= {s.name: s for e in self.program.equations for s in symbols(e.value)}
        found = {f.name: f for f in _functions(e.value for e in self.program.equations)}
        found |= {derivative(f).name: derivative(f) for f in found.values() if f.primitive_of is None}
        return Scope(tensors, scalars, {**found, **self.functions}, arithmetic=True)

    # Theorems.

    def theorem(self, name: str, statement: str, *lines: Line, remark: str = "", why: str = "") -> Theorem:
        """Prove left = right, by way of further lines that lead to `right`, each a formula and its reason.

        Args:
            statement: "dJ_dW1[i,j] = a1[j]*delta2[i]".
            lines: formulas between left and right, each with the reason why the one before equals it.
            why: the reason for the last line.

        Raises:
            ProofError: a line could not be shown equal to the one before.
        """
        left, right = self._sides(statement)
        scope = self._inside(left)
        derivation = self._start(name, left)
        with self.kernel.unrecorded():
            for text, reason in lines:
                derivation = self._extended(derivation, parse(text, scope), reason)
            if derivation.right is not right:
                reason = why or "Both sides are the same once the definitions are put in."
                derivation = self._extended(derivation, right, reason)
            used = self.kernel.replay(derivation)
        conditions = tuple(dict.fromkeys((*self.program.conditions, *used)))
        proved = Theorem(name, replace(derivation, conditions=conditions), "PROVED", ALL_SIZES, conditions, remark)
        self.theorems.append(proved)
        return proved

    def _sides(self, statement: str) -> tuple[Entry, Expr]:
        left_text, right_text = split_equation(statement)
        name, indices = left_indices(left_text, self._scope)
        left = Entry(self._scope.tensors[name], indices)
        return left, parse(right_text, self._inside(left))

    def _inside(self, left: Entry) -> Scope:
        return replace(self._scope, indices={i.name: i for i in left.indices if isinstance(i, Index)})

    def _start(self, name: str, left: Entry) -> Derivation:
        """The derivation of a cotangent in the indices asked for; of anything else, nothing yet."""
        whole = next(
            (d for d in self._derived.values() if isinstance(d.left, Entry) and d.left.tensor is left.tensor), None
        )
        if whole is None:
            return Derivation(name, self.program, left, left, (), cost=Entry(self.program.outputs[0]))
        assert isinstance(whole.left, Entry)
        names = dict(zip(whole.left.indices, left.indices, strict=True))
        here: Expr = left
        steps = []
        for step in whole.steps:  # renaming makes new bound indices, so each line is renamed once
            steps.append(replace(step, before=here, after=substitute(step.after, names)))
            here = steps[-1].after
        return replace(whole, name=name, left=left, right=here, steps=tuple(steps))

    def _extended(self, derivation: Derivation, after: Expr, reason: str) -> Derivation:
        """The derivation with the steps from its right side to `after`."""
        before = derivation.right
        plain = _with(derivation, [Step(before, after, "algebra", reason)])
        if self._accepts(plain):
            return plain
        answer = self._definitions.equal(before, after)
        if not answer.equal:
            raise ProofError(f"{derivation.name}: could not show {to_text(before)} = {to_text(after)}: {answer.reason}")
        derived = [t for t in answer.opened if t in self._cotangents]
        uses = tuple(t for t in answer.opened if t not in self._cotangents)
        shown = self._by_way_of(derivation, after, derived, uses, reason)
        if shown is None:
            raise ProofError(f"{derivation.name}: the kernel refused {to_text(before)} = {to_text(after)}")
        for tensor in sorted(tensors_in(after) & set(derived), key=lambda t: t.name):  # a name that both sides can keep
            fewer = [t for t in derived if t is not tensor]
            shorter = self._by_way_of(derivation, after, fewer, uses, reason)
            if shorter is not None:
                derived, shown = fewer, shorter
        return shown

    def _by_way_of(
        self, derivation: Derivation, after: Expr, derived: Sequence[Tensor], uses: tuple[Tensor, ...], reason: str
    ) -> Derivation | None:
        """The derivation as far as `after`, with these cotangents written out on the way; None if that is no proof."""
        before = derivation.right
        opened, first = self._put_in(before, derived)
        closed, last = self._put_in(after, derived)
        steps = [
            Step(before, opened, "earlier_result", f"Put in {_listed(first)}, worked out above.", tuple(first)),
            Step(opened, closed, "equation", reason, uses),
            Step(closed, after, "earlier_result", f"This is {_listed(last)}, worked out above.", tuple(last)),
        ]
        longer = _with(derivation, [s for s in steps if s.before is not s.after])
        return longer if self._accepts(longer, len(derivation.steps)) else None

    def _put_in(self, expr: Expr, derived: Sequence[Tensor]) -> tuple[Expr, list[Tensor]]:
        """The expression with cotangents written out, and which ones."""
        found: dict[Tensor, None] = {}

        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in derived:
                found[node.tensor] = None
                equation = self._cotangents[node.tensor]
                return rewrite(equation.at(node.indices), visit)
            return None

        out = rewrite(expr, visit)
        return (factored(out), list(found)) if found else (expr, [])

    def _accepts(self, derivation: Derivation, start: int = -1) -> bool:
        return all(self.kernel.accepts(step, derivation) for step in derivation.steps[start:])

    # Refutations.

    def refuted(self, name: str, statement: str, *, remark: str = "", seed: int = 0) -> Refutation:
        """Find exact numbers at which left and right differ.

        Raises:
            ProofError: none were found.
        """
        left, claimed = self._sides(statement)
        seconds = SHARES["a false claim"].seconds
        found = refute(self._question(left, claimed), budget_seconds=seconds, shrink_seconds=seconds, seed=seed)
        if found is None:
            raise ProofError(f"{name}: no numbers were found at which {to_text(left)} = {to_text(claimed)} fails")
        inputs = {
            n: a for n, a in found.inputs.items() if any(t.name == n for t in self.program.inputs)
        }  # without the probe
        refutation = Refutation(name, left, claimed, replace(found, inputs=inputs), remark)
        self.refutations.append(refutation)
        return refutation

    def _question(self, left: Entry, claimed: Expr) -> Question:
        derived = {bar: d.definitions[bar] for bar, d in zip(self._cotangents, self._derived.values(), strict=True)}
        return question_of_formula(self.program, left, claimed, derived)

    def proof(self, title: str) -> Proof:
        """All theorems so far, as one proof."""
        value = self.program.equations[-1].value
        return Proof(
            title, self.program, value, tuple(self.theorems), self.gradient, None, (), 0.0, self.program.conditions
        )


def _as_equation(derivation: Derivation) -> Equation:
    left = derivation.left
    assert isinstance(left, Entry)
    return Equation(left.tensor, tuple(i for i in left.indices if isinstance(i, Index)), derivation.right)


def _open_cotangents(program: Program, name: Callable[[Tensor], str]) -> dict[Tensor, Derivation]:
    """Cotangents where equations that are not listed read some outputs: those of the outputs stay names."""
    cost, *outside = program.outputs
    known = {t: Tensor(name(t), t.shape) for t in program.tensors if t is not cost}
    builder = CotangentBuilder(program, Entry(cost), known)
    derived: dict[Tensor, Derivation] = {}
    for tensor in reversed(program.tensors):
        if tensor in known and tensor not in outside:
            equation = program.by_tensor.get(tensor)
            places = (
                equation.indices if equation else tuple(Index("ijkpq"[k], size) for k, size in enumerate(tensor.shape))
            )
            derived[tensor] = builder.derive(tensor, places)
    return derived


def _listed(tensors: Sequence[Tensor]) -> str:
    """The names: a, b and c."""
    names = [t.name for t in tensors]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _with(derivation: Derivation, steps: Sequence[Step]) -> Derivation:
    right = steps[-1].after if steps else derivation.right
    return replace(derivation, right=right, steps=(*derivation.steps, *steps))


def _functions(expressions: Iterable[Expr]) -> list[Function]:
    found: dict[Function, None] = {}

    def look(node: Expr) -> Expr | None:
        function = getattr(node, "function", None)
        if function is not None:
            found[function] = None
        return None

    for expression in expressions:
        rewrite(expression, look)
    return list(found)
