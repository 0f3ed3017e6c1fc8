"""Derivatives that the user's own code asks for: jax.vjp and jax.grad, torch.autograd.grad and .backward().

What is differentiated is given a tensor of its own, a `Leaf`; the equations that depend on it lie between the leaf
and the outputs. Reverse mode makes their adjoint equations, which the session takes up as if the user had written them.
So names and symbolic sizes are kept. Nothing here is trusted: the framework runs the same code beside the equations.

What code says about its own differentiation in between (`detach`, `no_grad`, rules) decides what these derivatives
are, and is refused, or named as a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import CotangentBuilder, with_cost
from symbackprop.errors import ProofError, TraceError, UnsupportedError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Tensor,
    children,
    mentioned,
    substitute,
)
from symbackprop.expression.functions import STOP_GRADIENT
from symbackprop.expression.program import Equation, Program, symbols
from symbackprop.expression.recurrence import in_order
from symbackprop.frontends.numpy.array import Array, Buffer, array
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.session import axis_indices, current, entry, places_of
from symbackprop.normal_form.modulo_equations import Resolver

SECONDS = 5.0  # of work that a rule inside a function may take to be shown right


@dataclass
class Leaf:
    """What derivatives are asked of.

    Args:
        tensor: its values; examples and rounds of loops have axes before its own.
        loops: the indices of these.
        values: it as an array.
        gradient: what `.backward()` has added up.
        hidden: what was met since that keeps values from being differentiated; "" if nothing was.
    """

    tensor: Tensor
    loops: tuple[Index, ...]
    values: Array
    gradient: Array | None = None
    hidden: str = ""


def leaf(value: Array) -> Leaf:
    """The same numbers as a leaf of its own."""
    session = current()
    name = session.variable_of(lambda held: isinstance(held, Array) and held.buffer is value.buffer)
    tensor = _defined(value, name or "leaf")
    made = Leaf(tensor, _loops(), _array(tensor, _loops()))
    session.leaves.append(made)
    return made


def leaf_of(value: Array) -> Leaf | None:
    """The leaf that an array is."""
    return next((one for one in current().leaves if one.values.buffer is value.buffer), None)


def pulled_back(
    outputs: Sequence[Array], cotangents: Sequence[Array], leaves: Sequence[Leaf], *, replayed: bool = False
) -> list[Array | None]:
    """What the cotangents of the outputs send back to the leaves; None where an output does not depend on one.

    Args:
        replayed: the kernel replays each step.

    Raises:
        TraceError: it was asked for elsewhere than in the loop, or the examples, of the leaf.
    """
    hidden = next((one.hidden for one in leaves if one.hidden), "")
    if hidden:
        raise TraceError(f"{hidden} inside a function that the code itself differentiates cannot be traced")
    if any(one.loops != _loops() for one in leaves):
        raise TraceError("a derivative that is asked for in another loop than its function ran in cannot be traced")
    ends = [_defined(value, "value") for value in outputs]
    given = [_defined(value, "cotangent") for value in cotangents]
    if any(a.shape != b.shape for a, b in zip(ends, given, strict=True)):
        raise TraceError("a cotangent does not have the shape of its output")
    bars = _cotangents(ends, given, [one.tensor for one in leaves], replayed)
    return [_array(bar, one.loops) if bar else None for bar, one in zip(bars, leaves, strict=True)]


def is_rule_of(
    rule: Callable[[list[Array]], Sequence[Array | None]], outputs: Sequence[Array], leaves: Sequence[Leaf]
) -> bool:
    """True if a derivative rule sends back what the formula does that computed the outputs from the leaves.

    That is shown for cotangents that are free: the kernel replays the formula's derivative, and the normal form finds
    the rule equal to it. A formula that reads more than its leaves, as a tensor in a list, has no derivative by that.

    Args:
        rule: from the cotangents of the outputs, what it sends to each leaf; None for nothing.
    """
    session = current()
    if _reads_past(outputs, {one.tensor for one in leaves}):
        return False
    free = [session.new_tensor("upstream", (*(i.size for i in _loops()), *o.axes)) for o in outputs]
    cotangents = [_array(t, _loops()) for t in free]
    try:
        derived, claimed = pulled_back(outputs, cotangents, leaves, replayed=True), rule(cotangents)
    except ProofError:
        return False
    nothing = [array(one.values.axes, lambda _: ZERO) for one in leaves]
    pairs = zip(derived, claimed, nothing, strict=True)
    return are_equal((zero if own is None else own, zero if said is None else said) for own, said, zero in pairs)


def are_equal(pairs: Iterable[tuple[Array, Any]]) -> bool:
    """True if the normal form finds both arrays of each pair equal; what that asks for becomes a condition."""
    session = current()
    resolver = Resolver(session.equations, session.facts_here(), seconds=SECONDS)
    for one, other in pairs:
        indices = axis_indices(one.axes)
        if as_array(other).axes != one.axes:
            return False
        left, right = (as_array(v).read()(places_of(indices)) for v in (one, other))
        resolver.equations.update({e.tensor: e for e in session.equations})  # what reading has written down
        if not resolver.equal(left, right):
            return False
    for condition in resolver.used:
        session.conditions[condition] = None
    return True


def depends_on_a_leaf(value: Array) -> bool:
    """True if a value is computed from something that the code itself differentiates by."""
    roots = {one.tensor for one in current().leaves}
    read = mentioned(value.buffer.content(axis_indices(value.buffer.shape))) if roots else frozenset()
    return any(_depends(tensor, roots, set()) for tensor in read)


def hide(what: str) -> None:
    """Note that values are computed from here on of which no derivative is asked."""
    for one in current().leaves:
        one.hidden = one.hidden or what


def _reads_past(outputs: Sequence[Array], leaves: set[Tensor]) -> bool:
    """True if values change with data that is none of the leaves and reaches them past these."""
    values, seen = current().values, set[Tensor]()
    waiting = [value.buffer.content(axis_indices(value.buffer.shape)) for value in outputs]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (Compare, Kronecker)) or (isinstance(node, Apply) and node.function is STOP_GRADIENT):
            continue
        if not isinstance(node, Entry):
            waiting += children(node)
        elif node.tensor.kind == "real" and node.tensor not in leaves | seen:
            if node.tensor not in values:
                return True
            seen.add(node.tensor)
            waiting.append(values[node.tensor])
    return False


def _loops() -> tuple[Index, ...]:
    return tuple(loop.index for loop in current().loops)


def _array(tensor: Tensor, loops: tuple[Index, ...]) -> Array:
    shape = tensor.shape[len(loops) :]
    buffer = Buffer(shape, entry(tensor, loops), "real")
    buffer.settled = True
    return Array(buffer, scalar=not shape)


def _defined(value: Array, name: str) -> Tensor:
    """A tensor of its own with these values, at all rounds of the loops that are running."""
    session, loops = current(), _loops()
    whole = array(value.axes, value.read())
    indices = axis_indices((*(i.size for i in loops), *value.axes))
    shape = tuple(i.size for i in indices)
    inner: dict[Expr, Expr] = dict(zip(loops, indices, strict=False))
    own = indices[len(loops) :]
    places = tuple(ZERO if i.size is ONE else i for i in own)
    content = substitute(whole.buffer.content(places), inner)
    if session.is_carried(content):
        raise session.loops[-1].stop()
    tensor = session.new_tensor(name, shape)
    if loops:
        session.rounds[tensor] = loops
    session.equations.append(Equation(tensor, indices, content, ""))
    session.values[tensor] = content
    return tensor


def _depends(start: Tensor, roots: set[Tensor], free: set[Tensor]) -> bool:
    """Whether a tensor leads back to one of the roots; `free` gathers those that do not."""
    values, reached, waiting = current().values, set[Tensor](), [start]
    while waiting:
        tensor = waiting.pop()
        if tensor in roots:
            return True
        if tensor not in reached and tensor not in free:
            reached.add(tensor)
            waiting += mentioned(values[tensor]) if tensor in values else ()
    free |= reached
    return False


def _cotangents(ends: list[Tensor], given: list[Tensor], roots: list[Tensor], replayed: bool) -> list[Tensor | None]:
    """The adjoint equations between ends and roots, taken up by the session: the cotangent of each root."""
    session = current()
    between = _between(ends, set(roots))
    reached = {e.tensor for e in between}
    outside = {t for e in between for t in mentioned(e.value)} - reached
    if not outside & set(roots):
        return [None] * len(roots)
    live = [k for k, end in enumerate(ends) if end in reached]
    inputs = tuple(t for t in outside if t not in given)
    parameters = {s: None for e in between for s in symbols(e.value) if s.kind != "size" and s.name != "pi"}
    program = Program(inputs, tuple(between), tuple(ends[k] for k in live), tuple(parameters), (), session.facts.domain)
    whole, _ = with_cost(program, tuple(given[k] for k in live))
    (cost,) = whole.outputs
    active = [t for t in (*roots, *(e.tensor for e in between)) if t.kind == "real" and t in reached | outside]
    bars = {t: session.new_tensor(f"{t.name}_bar", t.shape) for t in dict.fromkeys(active)}
    builder = CotangentBuilder(whole, Entry(cost), bars, session.facts_here())
    kernel = Kernel(whole) if replayed else None
    places = {e.tensor: e.indices for e in session.equations if e.tensor in bars}
    for tensor in [*reversed([e.tensor for e in between if e.tensor in bars]), *(r for r in roots if r in bars)]:
        try:
            derivation = builder.derive(tensor, places[tensor])
        except UnsupportedError as refused:
            raise TraceError(f"a derivative inside the code cannot be followed: {refused.what}") from refused
        for condition in kernel.replay(derivation) if kernel is not None else ():
            session.conditions[condition] = None
        bar, value = bars[tensor], derivation.right
        session.equations.append(Equation(bar, places[tensor], value, ""))
        session.values[bar] = value
        if tensor in session.rounds:
            session.rounds[bar] = session.rounds[tensor]
    return [bars.get(root) for root in roots]


def _between(ends: list[Tensor], roots: set[Tensor]) -> list[Equation]:
    """The equations by which the ends depend on the roots, in the order of computation."""
    defined = {e.tensor: e for e in current().equations}
    free: set[Tensor] = set()
    reached: dict[Tensor, None] = {}
    waiting = list(ends)
    while waiting:
        tensor = waiting.pop()
        if tensor in roots or tensor in reached or tensor not in defined:
            continue
        if _depends(tensor, roots, free):
            reached[tensor] = None
            waiting += mentioned(defined[tensor].value)
    return list(in_order(e for e in current().equations if e.tensor in reached))


__all__ = ["Leaf", "are_equal", "depends_on_a_leaf", "hide", "is_rule_of", "leaf", "leaf_of", "pulled_back"]
