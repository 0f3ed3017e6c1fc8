"""A program and its gradients as two functions: a forward pass, what it keeps, and a backward pass.

Frameworks that differentiate take a function so: PyTorch as a `torch.autograd.Function`, JAX as a `custom_vjp`.

    forward    x, w        ->  out, and what is kept: x, w, r
    backward   x, w, r, dout  ->  x_bar, w_bar

What is kept is chosen by cost. Inputs and outputs are there anyway. Of the rest a sum, a product of matrices, an
exponential or a root is kept; sums and products of what is kept are computed again, which costs less than to write
them to memory and read them. Main name: `passes`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from symbackprop.codegen.lowering.form import (
    Form,
    Gather,
    Join,
    Map,
    Statement,
    all_symbols,
    equation_text,
    is_plain,
    only,
    reads,
    rewritten,
    size_sources,
    subexpressions,
)
from symbackprop.codegen.lowering.lower import lower
from symbackprop.codegen.lowering.share import is_sum, share
from symbackprop.codegen.lowering.tidy import tidied
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Number,
    Power,
    Symbol,
    Tensor,
    apply,
    entries,
    multiply,
    negate,
    rewrite,
)
from symbackprop.expression.functions import EXP, FUNCTIONS
from symbackprop.expression.program import Equation, Program, symbols, unused

CHEAP_POWER = 3  # the largest exponent that is a few products


@dataclass(frozen=True)
class Passes:
    """The two passes.

    Args:
        forward: from the inputs to the outputs, then what is kept and is no input.
        backward: from what is kept and the upstream gradients to the gradients.
        outputs: what the function returns.
        kept: inputs, outputs and tensors of the forward pass.
        sizes: those that the backward pass needs and no array that it takes tells.
        upstream: for each output its upstream gradient.
        gradients: of each input that has one.
    """

    forward: Form
    backward: Form
    outputs: tuple[Tensor, ...]
    kept: tuple[Tensor, ...]
    sizes: tuple[Symbol, ...]
    upstream: tuple[Tensor, ...]
    gradients: Mapping[Tensor, Tensor]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the function takes."""
        return self.forward.inputs

    @property
    def parameters(self) -> tuple[Symbol, ...]:
        """Numbers that it takes after them."""
        return tuple(dict.fromkeys((*self.forward.parameters, *self.backward.parameters)))


def passes(
    adjoint: Program, outputs: tuple[Tensor, ...], upstream: tuple[Tensor, ...], gradients: Mapping[Tensor, Tensor]
) -> Passes:
    """The two passes of a program with its cotangents.

    Args:
        adjoint: forward equations and those of the cotangents.
        outputs: what the function returns.
        upstream: the inputs that are upstream gradients; none if the single output is a cost, of which the cotangents
            are derivatives: they are multiplied by a new one then.
        gradients: for each input the tensor of its gradient.

    Raises:
        UnsupportedError: as `lower`.
    """
    if not upstream:
        adjoint, upstream, gradients = _met(adjoint, gradients)
    whole = replace(adjoint, outputs=(*outputs, *gradients.values()))
    whole = copies_read_through(replace(whole, equations=tuple(map(_by_name, whole.equations))))
    derived = _derived(whole, outputs)
    texts = {e.tensor: equation_text(e.left, e.value) for e in whole.equations if e.tensor in derived}
    told: dict[Tensor | Entry, str] = dict(texts.items())
    form = lower(whole, told)
    form = _without_copies(form if form.loops else share(tidied(form), is_sum))
    inputs = tuple(t for t in adjoint.inputs if t not in upstream)
    first = _needed(form, outputs)
    kept = _kept(form, first, outputs, inputs, gradients.values())
    again = _needed(form, gradients.values(), kept)
    forward = _part(replace(form, inputs=inputs), first, (*outputs, *(t for t in kept if t not in inputs)))
    backward = _part(replace(form, inputs=(*kept, *upstream)), again, tuple(gradients.values()))
    return Passes(forward, backward, outputs, kept, _untold(backward), upstream, gradients)


def _met(
    adjoint: Program, gradients: Mapping[Tensor, Tensor]
) -> tuple[Program, tuple[Tensor, ...], Mapping[Tensor, Tensor]]:
    """The program whose gradients are those of dout * cost, where dout is a new input."""
    dout = Tensor(unused("dout", {t.name for t in adjoint.tensors} | {s.name for s in adjoint.parameters}))
    read = {e.tensor for equation in adjoint.equations for e in entries(equation.value)}
    taken = {t.name for t in (*adjoint.tensors, dout)}
    equations, found = list(adjoint.equations), dict[Tensor, Tensor]()
    for tensor, bar in gradients.items():
        place = next(p for p, e in enumerate(equations) if e.tensor is bar)
        own = equations[place]
        if bar in read:  # by other cotangents, which are met themselves
            found[tensor] = Tensor(unused(f"{bar.name}_met", taken), bar.shape)
            taken.add(found[tensor].name)
            value = multiply(Entry(dout, ()), Entry(bar, own.indices))
            equations.append(replace(own, tensor=found[tensor], value=value))
        else:
            found[tensor] = bar
            equations[place] = replace(own, value=multiply(Entry(dout, ()), own.value))
    program = replace(adjoint, inputs=(*adjoint.inputs, dout), equations=tuple(equations))
    return program, (dout,), found


def _derived(program: Program, outputs: Iterable[Tensor]) -> set[Tensor]:
    """The tensors that the outputs do not need: the reader knows the others, which are the function itself."""
    needed, waiting = set[Tensor](), list(outputs)
    while waiting:
        tensor = waiting.pop()
        if tensor in program.by_tensor and tensor not in needed:
            needed.add(tensor)
            waiting += [e.tensor for e in entries(program.by_tensor[tensor].value)]
    return {e.tensor for e in program.equations} - needed


# Which statements belong to which pass


def _makers(form: Form) -> dict[Tensor, list[Statement]]:
    found: dict[Tensor, list[Statement]] = {}
    for statement in form.statements:
        found.setdefault(statement.target.tensor, []).append(statement)
    return found


def _needed(form: Form, wanted: Iterable[Tensor], known: Collection[Tensor] = ()) -> set[Tensor]:
    """The tensors that must be computed for those that are wanted, where some are known."""
    makers, found, waiting = _makers(form), set[Tensor](), list(wanted)
    while waiting:
        tensor = waiting.pop()
        if tensor in makers and tensor not in found and tensor not in known:
            found.add(tensor)
            waiting += [t for s in makers[tensor] for t in reads(s)]
    return found


def _kept(
    form: Form,
    first: Collection[Tensor],
    outputs: Collection[Tensor],
    inputs: tuple[Tensor, ...],
    gradients: Iterable[Tensor],
) -> tuple[Tensor, ...]:
    """What the backward pass takes from the forward pass: inputs, then what was computed, in order."""
    makers = _makers(form)
    again = _needed(form, gradients, first)
    wanted = {t for b in again for s in makers[b] for t in reads(s) if t in first or t in inputs}
    wanted |= {t for t in gradients if t in first}
    free = {*inputs, *outputs}
    stepped = {s.target.tensor for loop in form.loops for s in form.statements[loop.first : loop.last]}
    kept = set[Tensor]()
    for statement in reversed(form.statements):
        tensor = statement.target.tensor
        if tensor not in first or tensor not in wanted or tensor in kept:
            continue
        more = [t for t in reads(statement) if t not in free and t not in wanted]
        alone = len(makers[tensor]) == 1 and tensor not in stepped
        if tensor in free or not alone or not _is_cheap(statement) or any(_weighs(t, tensor) for t in more):
            kept.add(tensor)
        else:
            wanted |= set(reads(statement))
    order = [t for t in dict.fromkeys(s.target.tensor for s in form.statements) if t in kept]
    return (*(t for t in inputs if t in wanted), *order)


def _weighs(read: Tensor, instead: Tensor) -> bool:
    """True if keeping `read` takes about as much memory as keeping what is computed from it."""
    return len(read.shape) >= len(instead.shape)


def _is_cheap(statement: Statement) -> bool:
    """True for look-ups and for sums and products, which cost less than to keep what they give."""
    if not is_plain(statement.target):
        return False
    if isinstance(statement, (Gather, Join)):
        return True
    return isinstance(statement, Map) and not any(map(_is_costly, subexpressions(statement.value)))


def _is_costly(expr: Expr) -> bool:
    if isinstance(expr, Power):
        exponent = expr.exponent
        whole = isinstance(exponent, Number) and exponent.value.denominator == 1
        return not (whole and isinstance(exponent, Number) and abs(exponent.value) <= CHEAP_POWER)
    return isinstance(expr, Apply) and expr.function.name not in ("abs", "relu")


def _part(form: Form, tensors: Collection[Tensor], outputs: tuple[Tensor, ...]) -> Form:
    """The statements that compute these tensors, with their loops."""
    return only(form, [p for p, s in enumerate(form.statements) if s.target.tensor in tensors], outputs)


def _untold(form: Form) -> tuple[Symbol, ...]:
    """Sizes that a form needs and none of its inputs tells."""
    known = {*size_sources(form.inputs), *form.parameters, *(loop.step for loop in form.loops)}
    used = [s for statement in form.statements for s in all_symbols(statement)]
    used += [s for loop in form.loops for s in symbols(loop.count)]
    return tuple(dict.fromkeys(s for s in used if s not in known))


# Functions by their names


def _by_name(equation: Equation) -> Equation:
    """The equation with 1/(exp(-z) + 1) as the function that every framework has: sigmoid(z)."""
    return replace(equation, value=rewrite(equation.value, _sigmoid))


def _sigmoid(expr: Expr) -> Expr | None:
    if not isinstance(expr, Power) or expr.exponent is not MINUS_ONE or not isinstance(expr.base, Add):
        return None
    other = [t for t in expr.base.terms if t is not ONE]
    if len(expr.base.terms) != 2 or len(other) != 1 or not isinstance(other[0], Apply) or other[0].function != EXP:
        return None
    return apply(FUNCTIONS["sigmoid"], negate(rewrite(other[0].arguments[0], _sigmoid)))


# Copies


def copies_read_through(program: Program) -> Program:
    """The program in which what is read of a copy of another tensor is read of that one: dout in place of out_bar."""
    same: dict[Tensor, Tensor] = {}
    for block in program.blocks:
        if not isinstance(block, Equation) or not isinstance(block.value, Entry) or block.tensor in program.outputs:
            continue
        (e, other) = block, block.value.tensor
        if block.value.indices == e.indices and (other.shape, other.kind) == (e.tensor.shape, e.tensor.kind):
            same[e.tensor] = same.get(other, other)
    equations = [replace(e, value=_through(e.value, same)) for e in program.equations if e.tensor not in same]
    return replace(program, equations=tuple(equations)) if same else program


def _through(expr: Expr, same: Mapping[Tensor, Tensor]) -> Expr:
    def entry(e: Expr) -> Expr | None:
        if not isinstance(e, Entry) or e.tensor not in same:
            return None
        return Entry(same[e.tensor], tuple(_through(i, same) for i in e.indices))

    return rewrite(expr, entry)


def _without_copies(form: Form) -> Form:
    """The form in which what is a copy of another whole array is that array, unless it is returned."""
    same: dict[Tensor, Tensor] = {}
    inside = {p for loop in form.loops for p in range(loop.first, loop.last)}
    starts = {t for loop in form.loops for t in loop.axes}
    gone = set[int]()
    for place, s in enumerate(form.statements):
        plain = isinstance(s, Map) and isinstance(s.value, Entry) and is_plain(s.target) and place not in inside
        if plain and isinstance(s, Map) and isinstance(s.value, Entry) and s.target.tensor not in form.outputs:
            whole = s.value.indices == s.target.indices and s.value.tensor.shape == s.target.tensor.shape
            if whole and s.target.tensor not in starts and s.value.tensor.kind == s.target.tensor.kind:
                same[s.target.tensor] = same.get(s.value.tensor, s.value.tensor)
                gone.add(place)
    if not same:
        return form

    def entry(e: Entry) -> Entry:
        return Entry(same.get(e.tensor, e.tensor), e.indices)

    statements = tuple(rewritten(s, entry, lambda value: _through(value, same)) for s in form.statements)
    copied = replace(form, statements=statements)
    return replace(only(copied, set(range(len(statements))) - gone, form.outputs), parameters=form.parameters)


# Which gradients a statement serves


def by_gradient(form: Form, gradients: Iterable[Tensor]) -> tuple[list[int], dict[Tensor, list[int]]]:
    """(the statements that several gradients need, for each gradient those that it alone needs), by their places.

    A loop is one thing: what it computes belongs together.
    """
    serves: dict[int, set[Tensor]] = {p: set() for p in range(len(form.statements))}
    blocks = {p: range(loop.first, loop.last) for loop in form.loops for p in range(loop.first, loop.last)}
    wanted = list(gradients)
    for gradient in wanted:
        needed = {gradient}
        for _ in range(2):  # a loop reads what other statements of its own have made
            for place in reversed(range(len(form.statements))):
                block = blocks.get(place, range(place, place + 1))
                if any(form.statements[p].target.tensor in needed for p in block):
                    needed |= {t for p in block for t in (form.statements[p].target.tensor, *reads(form.statements[p]))}
                    for p in block:
                        serves[p].add(gradient)
    common = [p for p, g in serves.items() if len(g) != 1]
    return common, {g: [p for p, own in serves.items() if own == {g}] for g in wanted}


def read_outside(form: Form, places: Collection[int]) -> tuple[Tensor, ...]:
    """What these statements compute and others read, or the form returns."""
    made = {form.statements[p].target.tensor for p in places}
    rest = {t for p, s in enumerate(form.statements) if p not in places for t in reads(s)}
    return tuple(t for t in dict.fromkeys(form.statements[p].target.tensor for p in places)
                 if t in made and (t in rest or t in form.outputs))  # fmt: skip


__all__ = ["Passes", "by_gradient", "copies_read_through", "passes", "read_outside"]
