"""check: a NumPy backward pass against its forward pass, for every size.

    verdict = check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "M")})

Both functions are traced into equations, the gradients are derived from the forward's equations, and each gradient
that the backward returns is compared with the derived one by normal form. Before anything is called proved it is
examined by exact numbers; what numbers refute is reported with the point, the gradients that are wrong and, where one
was proved, the cure.
"""

from __future__ import annotations

import itertools
import linecache
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from symbackprop.checking.budget import SHARES, Budget
from symbackprop.checking.decide import (
    PROVED_RIGHT,
    Look,
    ProofGoal,
    confirm_pair,
    decide,
    decide_pair,
    goal_of,
    look,
    of_wrong_shape,
    refuted,
    sizes_in_words,
    untraced,
)
from symbackprop.checking.diagnosis.edited_function import as_written, edited
from symbackprop.checking.freeing import LARGE, LONG, freed
from symbackprop.checking.progress import Observer, Progress, report, watched
from symbackprop.checking.raising import failure
from symbackprop.checking.refute import Stage, wrong_gradients
from symbackprop.checking.running_lines import Line, lines_that_run
from symbackprop.checking.trace_agreement import agree_with_numpy
from symbackprop.checking.transposable import transposable
from symbackprop.checking.verdict import GIVEN_SIZES, SURROGATE, CuredLine, Verdict
from symbackprop.errors import (
    BudgetError,
    DataError,
    MalformedError,
    SymbackpropError,
    TraceError,
    UnsupportedError,
)
from symbackprop.expression.build import (
    ZERO,
    Apply,
    Compare,
    Entry,
    Expr,
    Number,
    Symbol,
    Tensor,
    children,
    mentioned,
    nodes_once,
    tensors_in,
)
from symbackprop.expression.functions import STOP_GRADIENT
from symbackprop.expression.nodes import collector_paused
from symbackprop.expression.program import UPSTREAM
from symbackprop.expression.program import symbols as symbols_of
from symbackprop.expression.shown import enumerated
from symbackprop.expression.sizes import decide as decided
from symbackprop.frontends.numpy.errors import CodeRaisesError, NeedsConcreteSizes, NeverFits, ShapesDoNotFit
from symbackprop.frontends.numpy.time_limit import OutOfTime, as_seconds, within
from symbackprop.frontends.numpy.traced import Traced, other_roles, trace_pair
from symbackprop.frontends.numpy.tracer import name_of
from symbackprop.frontends.passes import Pass, framework_of
from symbackprop.frontends.size_text import parse_where
from symbackprop.rendering.text import to_text

CONCRETE_SCREENED, CONCRETE_PROVED, MAXIMUM_CHOICES = 7, 3, 80
ENOUGH = 2  # proofs at stated sizes
FEW, MAXIMUM_GRID = 3, 10_000  # symbols, and choices of their values
LARGER = 5  # where windows of 3 overlap that are 2 apart
LARGEST_PRODUCT = 64  # of stated sizes: a loop over all of them is run that often
MOST_SYMBOLS = 4  # that are fixed then
LONG_SUM = 6  # terms: rather than to write them out, a symbol is tried for their number
CASE_OF_THIS = "the sizes given are a case of this"
MOST_QUESTIONS = 8  # about lengths that have symbols
MOST_CASES = 4  # sizes of which it is told apart whether they are 1
TOO_LARGE = 20_000  # entries of inputs of fixed sizes
LEFT_OUT_SHOWN = 4
LONGEST_STATED = 100  # lines: a whole model is not easier at stated sizes
Shapes = Mapping[str, Sequence[str | int]]


@dataclass(frozen=True)
class Case:
    """What is asked: two functions, shapes, and what is assumed.

    Args:
        roles: what the backward's own arguments are taken for, where their names are not to say it.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: Shapes
    assume: Mapping[str, str]
    where: str | None
    roles: Mapping[str, str] | None = None

    def trace(self, sizes: Mapping[str, int] | None, seconds: float) -> Traced:
        """Both functions as equations, which give what NumPy gives."""
        report("equations traced")
        asked = (self.forward, self.backward, self.shapes, self.assume, self.where, sizes)
        traced = trace_pair(*asked, roles=self.roles, seconds=seconds)
        report("NumPy's results compared")
        unasked = agree_with_numpy(
            traced, self.forward, self.backward, choices=2 if sizes else _choices_of(self.forward)
        )
        return replace(traced.written(), unasked=unasked)


def _choices_of(function: Callable[..., Any]) -> int:
    """At how many choices of sizes a function is run: each is a compilation for JAX."""
    return 3 if framework_of(function) == "JAX" else 4


def answer(case: Case, seconds: float, observer: Observer | None = None) -> Verdict:
    """The verdict on a backward pass, within the budget, whatever the user's code does."""
    subject, progress = f"gradients of {name_of(case.forward)}", Progress(observer)
    try:
        with watched(progress):
            return within(_limit(seconds), lambda: judged(case, Budget.awaited(seconds)))
    except OutOfTime:
        done = f"; by then: {progress.so_far}" if progress.done else ""
        return Verdict("UNDECIDED", subject, reason=f"no answer within {seconds:g} s{done}")
    except KeyboardInterrupt:
        done = f"; by then: {progress.so_far}" if progress.done else ""
        raise KeyboardInterrupt(f"{subject}: interrupted{done}") from None
    except BaseException as error:  # the user's code may raise anything
        return untraced(_unforeseen(error), subject)


def judged(case: Case, budget: Budget) -> Verdict:
    """With symbols for long axes of a fixed length, if that is enough; else as the sizes are given."""
    with collector_paused():
        general = _freed(case, budget)
        verdict = _checked(case, budget) if general is None else general
        if verdict.status == "UNDECIDED":
            verdict = _with_symbols(case, budget) or verdict
        verdict = _read_twice(case, verdict, budget)
        verdict = _with_other_roles(case, verdict, budget)
        verdict = _of_symmetric(case, verdict, budget)
        return _with_judged_code(case, verdict, budget)


def _with_judged_code(case: Case, verdict: Verdict, budget: Budget) -> Verdict:
    """The verdict with code for a line only where the function with that line is proved, as the user would check it."""
    lines = {line.number: line.code for line in verdict.cured if line.code}
    if not lines:
        return verdict
    each, returned = len(lines) == sum(bool(line.code) for line in verdict.cured), tuple(verdict.claims)
    changed = edited(case.backward, lines, returned) if each else None
    try:
        right = changed is not None and bool(confirmed(replace(case, backward=changed), budget.part("cured code")))
    except SymbackpropError:
        right = False

    def shown(line: CuredLine) -> CuredLine:
        code = as_written(case.backward, line.number, line.code, returned) if right and line.code else ""
        return replace(line, code=code)

    return replace(verdict, cured=tuple(map(shown, verdict.cured)))


def _read_twice(case: Case, verdict: Verdict, budget: Budget) -> Verdict:
    """UNDECIDED where a backward is the gradient of a forward only if what the forward detaches is no constant.

    A framework never differentiates such a forward, so `detach` in it changes nothing; but its author may mean it.
    """
    forward = case.forward
    if verdict.status != "REFUTED" or not getattr(forward, "unrecorded", False) or not _has_constants(verdict):
        return verdict
    assert isinstance(forward, Pass), "of others nothing is said about their differentiation"
    if _all_constant(verdict):
        return judged(replace(case, forward=forward.without_constants()), budget)
    try:
        other = confirmed(replace(case, forward=forward.without_constants()), budget)
    except SymbackpropError:
        return verdict
    if not other:
        return verdict
    reason = (f"{forward.__name__} detaches something, or turns gradients off. Read as a constant, the backward is not "
              "the gradient; read as if nothing was detached (in this forward it has no effect), it is")  # fmt: skip
    return replace(other, status="UNDECIDED", subject=verdict.subject, scope="", conditions=(), reason=reason)


def _with_other_roles(case: Case, verdict: Verdict, budget: Budget) -> Verdict:
    """The proof where the backward's second argument is read as the other thing that it may be by its name.

    Of `return y, h` and `backward(dy, s)` the s may be h, or the gradient of h. A backward pass that is right under
    one of the two was written for that one; the verdict says which was taken. One that leaves an upstream gradient
    unused is right under no reading: it was forgotten.
    """
    if case.roles is not None or verdict.status not in ("REFUTED", "MALFORMED") or not isinstance(case.shapes, Mapping):
        return verdict
    try:
        roles = other_roles(case.forward, case.backward, case.shapes)
        other = replace(case, roles=roles)
        if not roles or not confirmed(other, budget):
            return verdict
        if "cache" in roles.values() and not _uses_every_upstream(case.trace(None, budget.left)):
            return verdict
        found = _checked(other, budget)
    except SymbackpropError:
        return verdict
    return found if found.status == "PROVED" else verdict


def _uses_every_upstream(traced: Traced) -> bool:
    used = set().union(*(tensors_in(e.value) for e in traced.backward.equations))
    return used.issuperset(traced.upstream)


def _of_symmetric(case: Case, verdict: Verdict, budget: Budget) -> Verdict:
    """UNDECIDED where a backward is the gradient for symmetric matrices alone, and the forward is written for such.

    Where it is not the gradient for these either, a symmetric counterexample says more.
    """
    if verdict.status != "REFUTED" or verdict.program is None:
        return verdict
    names = transposable(case.forward, verdict.program)
    if not names or set(verdict.wrong) <= set(names):  # a transpose of the matrix itself is forgotten
        return verdict
    kinds = {**case.assume, **dict.fromkeys(names, "symmetric")}
    other = _checked(replace(case, assume=kinds), budget)
    shown = ", ".join(names)
    told = f"the forward cannot tell {shown} from {'its transpose' if len(names) == 1 else 'their transposes'}"
    if other.status == "REFUTED":
        return replace(other, notes=(*other.notes, f"{told}, so symmetric matrices were looked at"))
    if other.status != "PROVED":
        return verdict
    reason = (
        f"where {shown} is symmetric the backward is the gradient (proved), at other matrices it is not, and {told}"
    )
    help = f"help: if symmetric ones are meant, say so: assume={dict.fromkeys(names, 'symmetric')}"
    return replace(other, status="UNDECIDED", scope="", conditions=(), reason=f"{reason}\n{help}")


def _has_constants(verdict: Verdict) -> bool:
    """True if something in the forward counts as a constant."""
    lines = () if verdict.program is None else verdict.program.equations
    return any(isinstance(n, Apply) and n.function is STOP_GRADIENT for e in lines for n in nodes_once(e.value))


def _all_constant(verdict: Verdict) -> bool:
    """True if nothing in the outputs depends on inputs but through constants: then nobody means that reading."""
    program = verdict.program
    if program is None:
        return False
    cost = program.by_tensor[program.outputs[0]]
    ends = [t for t in mentioned(cost.value) if t in program.by_tensor]
    waiting: list[Expr] = [program.by_tensor[t].value for t in ends] if cost.note == UPSTREAM else [cost.value]
    reached: set[Tensor] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, Apply) and node.function is STOP_GRADIENT:
            continue
        if isinstance(node, Entry) and node.tensor not in reached:
            reached.add(node.tensor)
            waiting += [program.by_tensor[node.tensor].value] if node.tensor in program.by_tensor else ()
        waiting += children(node)
    return not any(t.kind == "real" and t in reached for t in program.inputs)


def confirmed(case: Case, budget: Budget, sizes: Mapping[str, int] | None = None) -> Verdict:
    """The verdict without a search for counterexamples: PROVED or UNDECIDED.

    Args:
        sizes: those that are fixed, for which alone it is then.
    """
    return confirm_pair(case.trace(sizes or None, budget.left), name_of(case.backward), budget)


def _limit(seconds: Any) -> float:
    """After how many seconds an answer is waited for no longer: a little beyond the budget, which the work keeps."""
    return 1.1 * as_seconds(seconds) + 0.3


def _unforeseen(error: BaseException) -> SymbackpropError:
    """What to tell of an exception that no part of the check has foreseen."""
    if isinstance(error, SymbackpropError):
        return error
    if isinstance(error, (OverflowError, MemoryError, RecursionError)):
        return BudgetError(f"sizes or numbers are too large to be examined ({type(error).__name__})")
    return UnsupportedError(f"internal error: {type(error).__name__}: {error}", help="please report this case")


def _freed(case: Case, budget: Budget) -> Verdict | None:
    """The verdict where long axes of a fixed length are symbols, if that is enough; None where there are none."""
    found = _with_free_axes(case, budget.half(), LARGE, LONG)
    if found is None:
        return None
    general, traced = found
    part, subject = budget.half(), f"gradients of {name_of(case.forward)}"
    verdict = _checked(general, part) if traced is None else decide_pair(traced, subject, _scope(traced), part)
    proved = _of_given_lengths(verdict, case)
    if proved is not None:
        return proved
    if sum(math.prod(n for n in shape if isinstance(n, int)) for shape in case.shapes.values()) < TOO_LARGE:
        return None
    said = verdict.status if verdict.status != "PROVED" else "no proof of these lengths"
    name, shape = next((n, s) for n, s in general.shapes.items() if s != tuple(case.shapes[n]))
    reason = (
        "arrays of this size cannot be examined by exact numbers; with a symbol for each long axis, such as "
        f"{name}: {tuple(shape)}, the answer is {said}"
    )
    return Verdict("UNDECIDED", subject, reason=reason)


def _with_symbols(case: Case, budget: Budget) -> Verdict | None:
    """The proof where all axes of a fixed length are symbols, if there is one: sums of three terms are no easier."""
    found = _with_free_axes(case, budget, 0, 2)
    if found is None or found[1] is None:
        return None
    traced = found[1]
    verdict = decide_pair(traced, f"gradients of {name_of(case.forward)}", _scope(traced), budget)
    return _of_given_lengths(verdict, case)


def _with_free_axes(case: Case, budget: Budget, large: int, long: int) -> tuple[Case, Traced | None] | None:
    """The same question with symbols for axes of a fixed length, as `freed` has it; None where there are none.

    What the code asks of their lengths is answered by those that they have, or they are numbers again, as a kernel's.
    With its trace; without one if the code asks for something else.
    """
    kept = set[int]()
    general = _with_symbols_for(case, large, long, kept)
    if general is None:
        return None
    lengths, told = _lengths(case), list[str]()
    for _ in range(MOST_QUESTIONS):
        try:
            return general, general.trace(None, budget.left)
        except (NeedsConcreteSizes, ShapesDoNotFit) as stop:
            asked = list(itertools.chain(*stop.questions))
            answers = [text for text in asked if _meets(text, lengths) and text not in (general.where or "")]
            kept |= set() if answers else {lengths[s] for s in stop.symbols if s in lengths}
            free = _with_symbols_for(case, large, long, kept)
            if free is None:
                return None
            if free.shapes == general.shapes and not answers:
                return general, None
            symbols = {w for shape in free.shapes.values() for w in _text(shape)}
            told = [t for t in dict.fromkeys((*told, *answers)) if symbols.issuperset(_text(t))]
            general = replace(free, where=", ".join(filter(None, (case.where, *told))) or None)
        except SymbackpropError:
            return general, None
    return None


def _with_symbols_for(case: Case, large: int, long: int, kept: Collection[int]) -> Case | None:
    found = freed(case.shapes, case.assume, large, long, kept)
    return None if found is None else replace(case, shapes=found[0], assume=found[1])


def _lengths(case: Case) -> dict[str, int]:
    """The lengths that axes have, by the symbols that may stand for them."""
    return {f"n{n}": n for shape in case.shapes.values() for n in shape if isinstance(n, int)}


def _of_given_lengths(verdict: Verdict, case: Case) -> Verdict | None:
    """A proof in which symbols stand for lengths as one of these; None unless it is of all sizes and excludes none.

    Of other sizes than the open ones it says nothing: lengths that are equal or multiples stay so.
    """
    excluded = any(_excludes(text, _lengths(case)) for text in verdict.conditions)
    if not verdict.for_all_sizes or excluded:
        return None
    open_sizes = dict.fromkeys(w for shape in case.shapes.values() for w in _text(shape))
    return replace(verdict, scope=_of_some(open_sizes), notes=(*verdict.notes, CASE_OF_THIS))


def _excludes(condition: str, sizes: Mapping[str, int]) -> bool:
    """Whether a condition of a proof is one that these sizes do not meet; what it says of entries they all meet."""
    try:
        relations = parse_where(condition.replace("!=", "=="), sizes)
    except SymbackpropError:
        return False
    holds = all(decided(r.relation, r.left, r.right) for r in relations if isinstance(r, Compare))
    return holds if "!=" in condition else not holds


def _checked(case: Case, budget: Budget, cases: int = 0) -> Verdict:
    """The verdict for all sizes, or else at stated ones.

    Args:
        cases: how often it was told apart whether a size is 1.
    """
    subject = f"gradients of {name_of(case.forward)}"
    try:
        traced = case.trace(None, budget.left)
    except NeedsConcreteSizes as stop:
        domain = _domain(case, stop, budget)
        if domain is not None:
            where, note = domain
            verdict = _checked(replace(case, where=where), budget, cases)
            if verdict.status in ("PROVED", "REFUTED"):
                return replace(verdict, notes=(*verdict.notes, note))
        told_apart = _by_cases(case, stop, budget, cases) if cases < MOST_CASES else None
        if told_apart is not None:
            return told_apart
        return _at_concrete_sizes(case, stop, subject, budget)
    except ShapesDoNotFit as stop:
        divided = _where_it_divides(case, stop, budget, cases)
        return untraced(stop, subject) if divided is None else divided
    except CodeRaisesError as error:
        return untraced(_own_fault(case, error, None) or error, subject)
    except SymbackpropError as error:
        return untraced(error, subject)
    written_out = max((n for shape in case.shapes.values() for n in shape if isinstance(n, int)), default=0)
    easier = (lambda: _with_symbols(case, budget.half())) if written_out >= LONG_SUM else None
    verdict = decide_pair(traced, subject, _scope(traced), budget, easier)
    if verdict.status != "UNDECIDED":
        return verdict
    symbols, whole_model = _telling_symbols(traced), len(traced.backward.equations) > LONGEST_STATED
    if not symbols or whole_model or budget.left < SHARES["stated sizes"].seconds / 4:
        return verdict
    why = NeedsConcreteSizes("no proof was found", symbols)
    stated = _at_concrete_sizes(case, why, subject, budget.part("stated sizes"))
    return stated if stated.status in ("PROVED", "REFUTED") else verdict


def _domain(case: Case, stop: NeedsConcreteSizes, budget: Budget) -> tuple[str, str] | None:
    """(the sizes with what the trace asks of them, a note), where the forward raises at all others; None else.

    An image smaller than the kernel: NumPy makes no array of a negative length. That it raises is asked of NumPy, and
    followed for all of these sizes.
    """
    for holds, fails in stop.questions:
        with_it, without = (", ".join(filter(None, (case.where, text))) for text in (holds, fails))
        found = failure(case.forward, case.backward, case.shapes, case.assume, without)
        if found is not None and not found.of_backward and _raises(replace(case, where=without), found.kind, budget):
            return with_it, f"of sizes with {holds}: at others the forward raises {found.kind}"
    return None


def _where_it_divides(case: Case, stop: ShapesDoNotFit, budget: Budget, cases: int) -> Verdict | None:
    """The verdict on sizes that divide, where shapes fit with no others: halves of an axis that are added.

    NumPy need not refuse all others, since an axis of length 1 fits to any: so it is a condition.
    """
    for holds, _ in stop.questions:
        where = ", ".join(filter(None, (case.where, holds)))
        verdict = _checked(replace(case, where=where), budget, cases)
        if verdict.status in ("PROVED", "REFUTED"):
            note = f"not asked about sizes without {holds}: {stop.what}"
            conditions = (holds, *verdict.conditions) if verdict.status == "PROVED" else ()
            return replace(verdict, conditions=conditions, notes=(*verdict.notes, note))
    return None


def _raises(case: Case, kind: str, budget: Budget) -> bool:
    """Whether the code raises at all sizes, as far as it can be followed."""
    try:
        case.trace(None, budget.left)
    except CodeRaisesError as error:
        return error.kind == kind
    except NeverFits as error:
        return error.raised.__name__ == kind
    except SymbackpropError:
        return False
    return False


def _by_cases(case: Case, stop: NeedsConcreteSizes, budget: Budget, cases: int) -> Verdict | None:
    """The verdict on code that asks whether a size is 1, or less than a number: on the sizes beyond in general, and on
    each of these by itself.

    None where that does not settle it for all sizes.
    """
    name, small = _small_sizes(stop.questions[0]) if stop.questions else ("", [])
    if not small or cases + len(small) > MOST_CASES or not any(name in _text(s) for s in case.shapes.values()):
        return None
    where = ", ".join(filter(None, (case.where, f"{name} > {len(small)}")))
    told = [_checked(replace(case, where=where), budget.half(), cases + len(small))]
    for n in small if told[0].for_all_sizes else ():
        told.append(_checked(_with_number(case, name, n), budget.half(), cases + len(small)))
    wrong = next((v for v in told if v.status == "REFUTED"), None)
    if wrong is not None or not all(v.for_all_sizes for v in told):
        return wrong
    conditions = tuple(dict.fromkeys(c for v in told for c in v.conditions))
    own = f"{' and '.join(f'{name} = {n}' for n in small)}, of which the code asks, has a proof of its own"
    return replace(
        told[0], conditions=conditions, notes=tuple(dict.fromkeys((*(n for v in told for n in v.notes), own)))
    )


def _small_sizes(questions: tuple[str, str]) -> tuple[str, list[int]]:
    """(name, sizes) of a question, or its opposite, that holds at a few small sizes: T < 3.

    That it holds at none beyond is not known: T % 10 < 3 is asked again there.
    """
    names = set(_text(questions[0]))
    for question in questions if len(names) == 1 else ():
        (name,) = names
        small = [n for n in range(1, LARGER + MOST_CASES) if _meets(question, {name: n})]
        if small and small == list(range(1, len(small) + 1)) and len(small) < MOST_CASES:
            return name, small
    return "", []


def _text(shape: Any) -> list[str]:
    """The words in a shape."""
    return re.findall(r"[A-Za-z_]\w*", str(shape))


def _with_number(case: Case, name: str, size: int) -> Case:
    """The same question with a number for a size."""

    def stated(text: Any) -> Any:
        return re.sub(rf"\b{name}\b", str(size), text) if isinstance(text, str) else text

    shapes = {k: tuple(map(stated, s)) if isinstance(s, (tuple, list)) else stated(s) for k, s in case.shapes.items()}
    kinds = {k: ":".join([kind, *map(stated, size)]) for k, (kind, *size) in
             ((k, str(a).split(":")) for k, a in case.assume.items())}  # fmt: skip
    return replace(case, shapes=shapes, assume=kinds, where=stated(case.where))


def _scope(traced: Traced) -> str:
    """The sizes of which a proof speaks: all, if no axis was given as a number."""
    axes = [n for t in traced.forward.inputs for n in t.shape]
    if not any(isinstance(n, Number) for n in axes):
        return "all sizes"
    return _of_some(dict.fromkeys(s.name for n in axes for s in symbols_of(n) if s.kind == "size"))


def _of_some(open_sizes: Collection[str]) -> str:
    """The scope of a proof in which some axes were given as numbers."""
    return f"all sizes of {', '.join(open_sizes)}, the others as given" if open_sizes else GIVEN_SIZES


def intention(text: str | None) -> bool:
    """Whether a backward pass is meant to be another one than the gradient.

    Raises:
        MalformedError: the text says something else.
    """
    if text not in (None, SURROGATE):
        raise MalformedError(f"intended is {text!r}", help=f'write intended="{SURROGATE}", or leave it out')
    return text is not None


def as_intended(verdict: Verdict) -> Verdict:
    """The verdict on a backward pass that is meant not to be the gradient: what it is instead is no fault."""
    if verdict.status == "PROVED":
        reason = 'the backward is declared a surrogate, but it is the gradient itself: leave intended="surrogate" out'
        return replace(verdict, status="MALFORMED", scope="", conditions=(), reason=reason, diagnosis=reason)
    if verdict.status != "REFUTED":
        return replace(verdict, notes=(*verdict.notes, "declared a surrogate: nothing was found about it"))
    instead = tuple(f"instead of it, d{name}: {text}" for name, text in _claimed_lines(verdict))
    note = f"a surrogate, as declared: {enumerated(verdict.wrong)} is not the gradient of the forward pass"
    return replace(verdict, status="SURROGATE", diagnosis=note, notes=(*verdict.notes, *instead), cured=(), cure="")


def _claimed_lines(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """For each gradient that is another one: what the backward returns for it."""
    lines = {} if verdict.claim is None else verdict.claim.by_tensor
    for name in verdict.wrong[:LEFT_OUT_SHOWN]:
        tensor = verdict.claims[name]
        yield name, to_text(lines[tensor].value) if tensor in lines else tensor.name


def complete(verdict: Verdict) -> Verdict:
    """The verdict on a backward pass of which every gradient was asked: what was not returned is a fault."""
    if not (verdict and verdict.unjudged):
        return verdict
    reason = f"no gradient was returned of {enumerated(verdict.unjudged)}; what was returned is proved"
    return replace(verdict, status="MALFORMED", scope="", conditions=(), reason=reason, diagnosis=reason)


def _telling_symbols(traced: Traced) -> tuple[str, ...]:
    """The size symbols to fix where no proof for all sizes was found: those that sizes are computed from, or all."""
    shapes = [n for p in (traced.forward, traced.backward) for t in p.tensors for n in t.shape]
    computed = [s for n in shapes if not isinstance(n, (Symbol, Number)) for s in symbols_of(n)]
    found = computed or [s for n in shapes for s in symbols_of(n)]
    return tuple(dict.fromkeys(s.name for s in found if s.kind == "size"))[:MOST_SYMBOLS]


def _own_fault(case: Case, error: CodeRaisesError, sizes: Mapping[str, int] | None) -> MalformedError | None:
    """The error of code that raises on NumPy's arrays too, whatever their sizes; None if it does not."""
    found = failure(case.forward, case.backward, case.shapes, case.assume, case.where, sizes)
    if found is None or found.kind != error.kind or (sizes and not found.of_backward):
        return None  # a forward that refuses some sizes restricts the domain
    return MalformedError(
        error.what + (f", where {sizes_in_words(sizes)}" if sizes else ""), where=error.where, help=error.help
    )


# Sizes that must be numbers.


@dataclass
class Stated:
    """What is known of several stated sizes.

    Args:
        symbols: the sizes that are stated.
        traces: the functions at the sizes at which they could be followed.
        lines: the user's lines that ran at these sizes, in the order of `traces`.
        elsewhere: those that ran at sizes at which the functions could not be followed.
        left_out: which sizes these are, by the reason.
    """

    symbols: tuple[str, ...]
    traces: list[Traced] = field(default_factory=list)
    lines: list[set[Line]] = field(default_factory=list)
    elsewhere: set[Line] = field(default_factory=set)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def notes(self) -> tuple[str, ...]:
        """Which sizes were left out, and why."""
        return tuple(
            f"left out: {'; '.join(places[:LEFT_OUT_SHOWN])}{' ...' if len(places) > LEFT_OUT_SHOWN else ''}: {reason}"
            for reason, places in self.left_out.items()
        )

    def gap(self, proved: Sequence[int]) -> str:
        """Why proofs at these of the traces do not say enough; "" if they do."""
        telling = [k for k in proved if all(n > 1 for n in self.traces[k].sizes.values())]
        possible = [k for k, t in enumerate(self.traces) if all(n > 1 for n in t.sizes.values())]
        if len(telling) < min(ENOUGH, len(possible) + len(self.left_out)):
            why = "a proof at one choice of sizes" if telling else "an axis of length 1"
            return f"{why} proves nothing alone" + "".join(f"; {note}" for note in self.notes()[:1])
        ran = set().union(*(self.lines[k] for k in proved))
        missing = set().union(*self.lines, self.elsewhere) - ran
        if missing:
            file, number = min(missing)
            return f"line {number} runs at other sizes only: {linecache.getline(file, number).strip()}".rstrip(": ")
        return ""


def _at_concrete_sizes(case: Case, stop: NeedsConcreteSizes, subject: str, budget: Budget) -> Verdict:
    """Look at several stated sizes of the symbols that a loop or a branch depends on; the others stay free.

    Numbers first, at all of them: a fault may show only where windows overlap or a sequence is longer. Then proofs at
    the first few.
    """
    stated = Stated(tuple(stop.symbols))
    half = budget.half()
    try:
        for sizes in _choices(stated.symbols, stop.questions):
            if len(stated.traces) == max(CONCRETE_SCREENED, len(stated.symbols) + 4) or half.spent:
                break
            _trace_at(case, sizes, budget, stated)
    except NeedsConcreteSizes as more:
        if set(more.symbols) <= set(stated.symbols):
            return untraced(more, subject)
        return _at_concrete_sizes(case, _joined(stop, more), subject, budget)
    except SymbackpropError as error:
        return untraced(error, subject)
    verdict = _decided_at(stated, subject, budget)
    why = f"not for all sizes: {stop.what}" + (f" ({stop.where})" if stop.where else "")
    return replace(verdict, notes=(*verdict.notes, *stated.notes(), *((why,) if verdict else ())))


def _decided_at(stated: Stated, subject: str, budget: Budget) -> Verdict:
    """Numbers at all of these sizes, proofs at the first few."""
    matters: list[ProofGoal] = []
    for traced in stated.traces:
        try:
            matters.append(goal_of(traced))
        except SymbackpropError as error:
            return untraced(error, subject)
    named = f"{subject}: {', '.join(matters[0].names)}" if matters else subject
    stages: list[tuple[Stage, list[ProofGoal]]] = [("first look", matters), ("directed", matters[CONCRETE_PROVED:])]
    for stage, some in stages:
        for goal in some:
            verdict = _screened(goal, named, stage, budget)
            if verdict is not None:
                return _with_all_wrong(verdict, matters, budget)
    verdicts: list[Verdict] = []
    order = sorted(range(min(CONCRETE_PROVED, len(matters))), key=lambda k: sum(matters[k].traced.sizes.values()))
    for k in order:
        verdicts.append(decide(matters[k], named, "", budget))
        if verdicts[-1].status != "PROVED":
            break
    return _summed_up(verdicts, order, stated, subject)


def _with_all_wrong(verdict: Verdict, goals: Sequence[ProofGoal], budget: Budget) -> Verdict:
    """A refutation with the gradients that are wrong at other stated sizes as well: a fault may show there alone."""
    wrong = set(verdict.wrong)
    for goal in goals if verdict.status == "REFUTED" else ():
        left = [n for n in goal.names if n not in wrong]
        seconds = budget.part("look at stated sizes").left
        if left:
            wrong |= {*wrong_gradients(goal.question, left, budget_seconds=seconds, stage="first look")}
    if wrong == set(verdict.wrong):
        return verdict
    notes = tuple(n for n in verdict.notes if not n.startswith(PROVED_RIGHT))
    return replace(verdict, wrong=tuple(n for n in goals[0].names if n in wrong), notes=notes)


def _trace_at(case: Case, sizes: Mapping[str, int], budget: Budget, stated: Stated) -> None:
    """Follow both functions at these sizes; where the domain or the functions refuse them, that is noted."""
    with lines_that_run((case.forward, case.backward)) as lines:
        try:
            traced = case.trace(sizes, budget.part("trace at stated sizes").left)
            if any(n is ZERO for t in traced.forward.outputs for n in t.shape):
                stated.left_out.setdefault("what the forward returns is empty", []).append(sizes_in_words(sizes))
                return
            stated.traces.append(traced)
            stated.lines.append(lines)
            return
        except (NeedsConcreteSizes, BudgetError):
            raise
        except DataError:
            return  # outside the domain
        except (CodeRaisesError, TraceError) as error:
            stop = error
    own = _own_fault(case, stop, sizes) if isinstance(stop, CodeRaisesError) else None
    if own is not None:
        raise own from None
    refused = failure(case.forward, case.backward, case.shapes, case.assume, case.where, sizes)
    if isinstance(stop, ShapesDoNotFit) and (refused is None or refused.of_backward):
        raise stop
    if refused is None:
        stated.elsewhere |= lines
    line = f" ({stop.where})" if stop.where else ""
    reason = stop.what + line + (f": {stop.help}" if stop.help else "")
    # the shapes that do not fit differ from size to size: what stops at one line is told once
    known = next((why for why in stated.left_out if line and line in why), reason)
    stated.left_out.setdefault(known, []).append(sizes_in_words(sizes))


def _screened(goal: ProofGoal, subject: str, stage: Stage, budget: Budget) -> Verdict | None:
    """The verdict that numbers alone give at these sizes, or None."""
    try:
        malformed = of_wrong_shape(goal, subject) if stage == "first look" else None
        if malformed is not None:
            return malformed
        found = look(goal, goal.names, Look(stage, "look at stated sizes"), budget)
    except SymbackpropError:
        return None  # the proof will say what is the matter
    return None if found is None else refuted(goal, subject, found, budget)


def _joined(first: NeedsConcreteSizes, more: NeedsConcreteSizes) -> NeedsConcreteSizes:
    symbols = tuple(dict.fromkeys((*first.symbols, *more.symbols)))
    return NeedsConcreteSizes(more.what, symbols, tuple(dict.fromkeys((*first.questions, *more.questions))))


def _summed_up(verdicts: list[Verdict], order: list[int], stated: Stated, subject: str) -> Verdict:
    """One verdict from those at several sizes."""
    if not verdicts:
        symbols = ", ".join(stated.symbols)
        if stated.left_out:
            why, where = next(iter(stated.left_out.items()))
            return Verdict("UNDECIDED", subject, reason=f"{why}, where {where[0]}")
        return Verdict("UNDECIDED", subject, reason=f"no small sizes of {symbols} were found that the functions accept")
    last, proved = verdicts[-1], [k for k, v in zip(order, verdicts, strict=False) if v.status == "PROVED"]
    places = " and ".join(sizes_in_words(stated.traces[k].sizes) for k in proved)
    scope = f"the stated sizes {places} alone; every size of the other axes"
    notes = last.notes
    if last.status == "UNDECIDED" and len(proved) >= ENOUGH:
        notes = (f"no proof in time at {sizes_in_words(stated.traces[order[len(proved)]].sizes)}, where numbers agree",)
        last = verdicts[len(proved) - 1]
        notes = (*last.notes, *notes)
    elif last.status == "UNDECIDED" and proved:
        return replace(last, notes=(*last.notes, f"proved at {places}"))
    elif last.status != "PROVED":
        return last
    gap = stated.gap(proved)
    if gap:
        return Verdict("UNDECIDED", last.subject, reason=gap, notes=(f"proved at {places}",))
    return replace(last, scope=scope, notes=notes)


def _choices(symbols: tuple[str, ...], questions: Sequence[tuple[str, str]] = ()) -> Iterator[dict[str, int]]:
    """Small unequal sizes from 3 upwards first, two larger ones, equal ones, each size 1 in turn, others, larger ones.

    Of more than `FEW` symbols the products grow fast: there sizes of 2 come first, then each is larger in turn.

    Args:
        questions: relations on which the functions depend, each with its opposite: sizes with either come among the
            first.
    """
    few = len(symbols) <= FEW
    values = itertools.islice(itertools.product(range(1, 8 if few else 4), repeat=len(symbols)), MAXIMUM_GRID)
    grid = [dict(zip(symbols, v, strict=True)) for v in values]
    ranked = sorted(grid, key=_near_three if few else _few_entries)
    small = [s for s in ranked if math.prod(s.values()) <= LARGEST_PRODUCT]
    spread = [small[len(small) // 3], small[len(small) // 2]]
    if not few:
        spread = [{n: LARGER if n == symbol else rest for n in symbols} for rest in (2, 3) for symbol in symbols]
    ones = [next(s for s in ranked if s[symbol] == 1) for symbol in symbols]
    equal = [dict.fromkeys(symbols, 2)] if len(symbols) > 1 else []
    sides = [
        s
        for text in itertools.chain(*questions[:FEW])
        for s in itertools.islice(filter(partial(_meets, text), ranked), 1)
    ]
    chosen = [*ranked[:2], *spread, *sides, *equal, *ones[:2], *small[:MAXIMUM_CHOICES], *ranked[:MAXIMUM_CHOICES]]
    if few:  # where few small ones are in the domain: sizes that leave 2 when 4 divides them
        chosen += [dict.fromkeys(symbols, 3) | {symbol: n} for n in range(8, 25) for symbol in symbols]
    yield from dict((tuple(s.items()), s) for s in chosen).values()


def _meets(text: str, sizes: Mapping[str, int]) -> bool:
    """Whether sizes meet a relation; one that names others too is met by none."""
    try:
        return all(decided(r.relation, r.left, r.right) for r in parse_where(text, sizes) if isinstance(r, Compare))
    except SymbackpropError:
        return False


def _near_three(sizes: Mapping[str, int]) -> tuple[int, int, int]:
    values = sizes.values()
    return sum(v < 2 for v in values), len(values) - len(set(values)), sum((v - 3) ** 2 for v in values)


def _few_entries(sizes: Mapping[str, int]) -> tuple[int, int, int]:
    return sum(v < 2 for v in sizes.values()), math.prod(sizes.values()), _alike(sizes)


def _alike(sizes: Mapping[str, int]) -> int:
    """How many pairs of sizes are equal: a swapped pair of axes shows only where they differ."""
    return sum(a == b for a, b in itertools.combinations(sizes.values(), 2))
