"""What a line may lack or have in the wrong place: a factor, a slope, another tensor, the state of another round.

Each function of a line yields nodes with what might have been meant in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from symbackprop.checking.diagnosis.misfits import fits
from symbackprop.checking.diagnosis.node_slips import both, extra, stands
from symbackprop.checking.diagnosis.vocabulary import Change, Vocabulary, Wording, value_nodes
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Sum,
    Tensor,
    Where,
    add,
    close_sum,
    divide,
    entries_once,
    free_indices,
    fresh,
    multiply,
    negate,
    number,
    power,
    rewrite,
    substitute,
    subtract,
    tensors_in,
)
from symbackprop.expression.program import Equation
from symbackprop.expression.sizes import decide, simplify
from symbackprop.rendering.text import to_text

MAXIMUM_FACTORS = 8
MAXIMUM_OTHERS = 40  # tensors of the same shape that are tried in the place of one
Found = Iterator[tuple[Expr, Change]]


def scaled(line: Equation, v: Vocabulary) -> Found:
    """A factor is missing: in the line, in one of its terms, or under a sum."""
    places = [line.value]
    body = line.value
    while isinstance(body, Sum) or (
        isinstance(body, Multiply) and any(isinstance(f, (Sum, Add)) for f in body.factors)
    ):
        body = body.body if isinstance(body, Sum) else next(f for f in body.factors if isinstance(f, (Sum, Add)))
        places.append(body)
    terms = [term for node in places if isinstance(node, Add) for term in node.terms]
    places = list(dict.fromkeys((*places, *terms)))
    factors = list(_whole_factors(line, v))
    for node in places:
        where = f" in the term {v.text(node)}" if node in terms else ""
        for tag, words, factor in factors:
            told = (words[0].partition(":")[0] + where, words[1] + where) if where else words
            yield node, (tag, told, multiply(node, factor))
    for node in value_nodes(line.value):
        if isinstance(node, Where):
            for tag, words, factor in factors:
                if node.then is not ZERO:
                    yield (
                        node,
                        (("then", tag), words, Where(node.condition, multiply(node.then, factor), node.otherwise)),
                    )
                if node.otherwise is not ZERO:
                    new = Where(node.condition, node.then, multiply(node.otherwise, factor))
                    yield node, (("otherwise", tag), words, new)
    if v.derivation:
        yield line.value, ("nothing", extra("it"), ZERO)
    for node in value_nodes(line.value):
        if isinstance(node, Multiply) and len(node.factors) <= MAXIMUM_FACTORS:
            yield from _exchanged_factors(node, factors, v)
    for node in places[1:]:  # under a sum, what has the summed index too
        running = tuple(i for i in free_indices(node) if i not in line.indices)
        if running and len(running) <= 2:
            for tag, words, factor in _entries((*line.indices, *running), line.tensor, v):
                if free_indices(factor) & set(running):
                    yield node, (tag, words, multiply(node, factor))


def _exchanged_factors(node: Multiply, factors: Sequence[Change], v: Vocabulary) -> Found:
    """Another factor in the place of one."""
    choices = [(old, (*node.factors[:k], *node.factors[k + 1 :])) for k, old in enumerate(node.factors)]
    choices += [(multiply(p, q), _without_both(node, p, q)) for p in node.factors for q in node.factors if _pair(p, q)]
    choices += [(multiply(f, f), _without(node, f)) for f in set(node.factors) if node.factors.count(f) == 2]
    for old, rest in choices:
        for tag, words, new in factors:
            sizes = isinstance(tag, tuple) and tag[0] in ("by all", "times all")
            if new is not old and not isinstance(new, Number) and not sizes:
                what = words[0].removesuffix(" is missing")
                was = v.text(old)
                both = (f"{what} belongs where the factor {was} stands", f"{what} stands where {was} belongs")
                yield node, (("for", v.key(old), tag), both, multiply(*rest, new))


def _pair(p: Expr, q: Expr) -> bool:
    """p and 1 - p: together the slope of a sigmoid."""
    return not isinstance(p, Number) and q is add(ONE, negate(p))


def _without_both(node: Multiply, p: Expr, q: Expr) -> tuple[Expr, ...]:
    return tuple(f for f in node.factors if f is not p and f is not q)


def _without(node: Multiply, factor: Expr) -> tuple[Expr, ...]:
    return tuple(f for f in node.factors if f is not factor)


def _whole_factors(line: Equation, v: Vocabulary) -> Iterator[Change]:
    """A number, a size, an entry or a slope."""
    for value in (Fraction(-1), Fraction(2), Fraction(1, 2)):
        right, wrong = _lack(f"a factor {to_text(number(value))}")
        why = ": the sign is wrong" if value == -1 else ""
        yield ("sign" if value == -1 else "times", value), (right + why, wrong + why), number(value)
    for size in v.sizes:
        why = f": {v.means[size]} is a mean over {size.name}" if size in v.means else ""
        right, wrong = _lack(f"a factor 1/{size.name}")
        yield ("by", size), (right + why, wrong), power(size, -1)
        yield ("times", size), _lack(f"a factor {size.name}"), size
        root = power(size, Fraction(1, 2))
        yield ("root", size), _lack(f"a factor 1/sqrt({size.name})"), power(root, -1)
        yield ("times root", size), _lack(f"a factor sqrt({size.name})"), root
        less = add(size, MINUS_ONE)
        yield ("less", size), _lack(f"a factor {size.name}/({size.name} - 1)"), divide(size, less)
        yield ("more", size), _lack(f"a factor ({size.name} - 1)/{size.name}"), divide(less, size)
    for shape in dict.fromkeys(t.shape for t in v.forward.inputs if len(t.shape) > 1):
        every = multiply(*shape)
        yield ("by all", every), _lack(f"a factor 1/({v.text(every)})"), power(every, -1)
        yield ("times all", every), _lack(f"a factor {v.text(every)}"), every
    for constant in v.constants:
        yield ("constant", v.key(constant)), _lack(f"a factor {v.text(constant)}"), constant
    for value in v.numbers:
        if abs(value) not in (0, 1, 2):
            yield ("times", value), _lack(f"a factor {to_text(number(value))}"), number(value)
            yield ("times", 1 / value), _lack(f"a factor {to_text(number(1 / value))}"), number(1 / value)
    yield from _entries(line.indices, line.tensor, v)
    for running, words, local in v.slopes:
        for here in _at(tuple(i.size for i in running), line.indices):
            there: dict[Expr, Expr] = dict(zip(running, here, strict=True))
            yield ("slope", v.key(local)), _lack(words), substitute(local, there)


def _entries(indices: tuple[Index, ...], tensor: Tensor, v: Vocabulary) -> Iterator[Change]:
    """Entries of tensors at the line's indices, and one over them."""
    for other in v.before(tensor):
        for here in (*_at(other.shape, indices), *_laid_out(other.shape, indices, v)):
            entry = Entry(other, here)
            yield ("entry", v.label(other)), _lack(f"the factor {v.text(entry)}"), entry
            inverse = _lack(f"a factor 1/{v.text(entry)}")
            yield ("inverse", v.label(other)), inverse, power(entry, -1)


def _laid_out(shape: tuple[Expr, ...], indices: tuple[Index, ...], v: Vocabulary) -> Iterator[tuple[Expr, ...]]:
    """Places in an array whose axes split or merge others, as an array of this shape is read elsewhere."""
    for layout in v.layouts.get(shape, ()):
        theirs = sorted(set().union(*(free_indices(i) for i in layout)), key=lambda i: i.uid)
        table = {i: [j for j in indices if j.size is i.size] for i in theirs}
        if all(len(found) == 1 for found in table.values()):
            yield tuple(substitute(i, {k: found[0] for k, found in table.items()}) for i in layout)


def _at(shape: tuple[Expr, ...], indices: tuple[Index, ...]) -> Iterator[tuple[Expr, ...]]:
    """Places in an array of this shape at these indices, where that is unambiguous: axes of length 1 are read at 0."""
    chosen: list[Expr] = []
    for size in shape:
        fitting = [i for i in indices if i.size is size and i not in chosen]
        if isinstance(size, Number) and size.value == 1:
            chosen.append(ZERO)
        elif not fitting:
            return
        else:
            chosen.append(fitting[0])
    if not shape or any(isinstance(i, Index) for i in chosen):
        yield tuple(chosen)


def replaced(line: Equation, v: Vocabulary) -> Found:
    """Another tensor of the same shape, or the same one a step earlier or later."""
    before = v.before(line.tensor)
    for node in value_nodes(line.value):
        if isinstance(node, Power) and isinstance(node.base, Entry):
            used = node.base.tensor
            for other in [t for t in before if t.shape == used.shape and v.alike(t) != v.alike(used)][-MAXIMUM_OTHERS:]:
                new = multiply(node, node.base, power(Entry(other, node.base.indices), -1))
                words = f"{v.called(other)} belongs where one factor {v.called(used)} stands"
                yield node, (("one of", v.label(other)), (words, f"one factor {v.called(other)} is wrong"), new)
        if not isinstance(node, Entry) or node.tensor.kind != "real":
            continue
        used = node.tensor
        for step, turn, other_turn in ((1, "next", "previous"), (-1, "previous", "next")):
            state = v.following.get((step, v.alike(used)))
            if state is not None and state.shape == used.shape:
                first, second = (f"{v.called(state)} of the {t} round belongs there" for t in (turn, other_turn))
                yield node, (("step", step, v.chain(used)), (first, second), Entry(state, node.indices))
        yield from _steps_beside(node, v)
        for other, new in _in_place_of(line, node, before, v):
            yield node, (("other", v.label(other)), _stood(node, new, v), new)


def _steps_beside(node: Entry, v: Vocabulary) -> Found:
    """The same tensor a step of a recurrence earlier or later."""
    axis = v.step_axis(node.tensor)
    if axis is None:
        return
    told = node.tensor in v.variables or node.tensor in v.forward.inputs
    called = v.called(node.tensor) if told else "what is read there"
    for by, turn, other_turn in ((ONE, "next", "previous"), (MINUS_ONE, "previous", "next")):
        place = simplify(add(node.indices[axis], by))
        new = Entry(node.tensor, (*node.indices[:axis], place, *node.indices[axis + 1 :]))
        first, second = (f"{called} of the {t} step belongs there" for t in (turn, other_turn))
        yield node, (("beside", by), (first, second), new)


def added(line: Equation, v: Vocabulary) -> Found:
    """Another gradient that should be added to one."""
    before = [t for t in v.before(line.tensor) if t in v.sensitive]
    for node in value_nodes(line.value):
        if isinstance(node, Entry) and node.tensor in v.sensitive:
            running = tuple(i for i in node.indices if isinstance(i, Index))
            for other in before[-MAXIMUM_OTHERS:]:
                if other is node.tensor:
                    continue
                places = [node.indices] if other.shape == node.tensor.shape else list(_at(other.shape, running))
                for here in places:
                    new = Entry(other, here)
                    words = (f"{v.text(new)} is to be added to {v.text(node)}", f"{v.text(new)} does not belong there")
                    yield node, (("added", v.label(other)), words, add(node, new))


def lacking(line: Equation, v: Vocabulary) -> Found:
    """Another gradient that should be added to the line, or a part of one: the way around a layer is forgotten."""
    before = [t for t in v.before(line.tensor) if t in v.sensitive]
    alike = [(t, line.indices, "") for t in before if t.shape == line.tensor.shape][-MAXIMUM_OTHERS:]
    longer = [t for t in before if len(t.shape) == len(line.tensor.shape) and t.shape != line.tensor.shape]
    parts = [(t, here, end) for t in longer[-MAXIMUM_OTHERS:] for here, end in _parts(t, line.indices)]
    for other, here, end in (*alike, *parts) if line.tensor in v.sensitive else ():
        new = Entry(other, here)
        words = (f"the term {v.text(new)} is missing", f"the term {v.text(new)} does not belong there")
        yield line.value, (("added", end, v.label(other)), words, add(line.value, new))


def other_parts(line: Equation, v: Vocabulary) -> Found:
    """The other end of an array of which a part is read: x[:, :n] and x[:, -n:]."""
    for node in value_nodes(line.value):
        if isinstance(node, Entry) and node.tensor.kind == "real" and node.indices:
            parts = {Entry(node.tensor, here): end for here, end in _parts(node.tensor, [*map(_running, node.indices)])}
            for new, end in parts.items() if node in parts else ():
                if new is not node:
                    called = v.called(node.tensor)
                    words = both(f"the {end} of {called} belongs there, not its {parts[node]}")
                    yield node, (("part", end), words, new)
                    words = both(f"the beginning and the end of {called} are interchanged")
                    yield node, ("part", words, new)
                    yield node, (("part", node.tensor), words, new)  # in one round alone


def _running(place: Expr) -> Expr:
    """The index that runs along a part of an axis; a place that is none stays what it is."""
    within = free_indices(place)
    return next(iter(within)) if len(within) == 1 and isinstance(place, Add) else place


def _parts(tensor: Tensor, places: Sequence[Expr]) -> Iterator[tuple[tuple[Expr, ...], str]]:
    """The beginning and the end of an array that is longer along one axis than the indices that run along it."""
    sizes = [i.size if isinstance(i, Index) else n for i, n in zip(places, tensor.shape, strict=True)]
    differing = [k for k, (n, m) in enumerate(zip(tensor.shape, sizes, strict=True)) if n is not m]
    if len(differing) == 1:
        (axis,) = differing
        more = simplify(subtract(tensor.shape[axis], sizes[axis]))
        if decide("<", ZERO, more):
            yield tuple(places), "beginning"
            yield (*places[:axis], simplify(add(places[axis], more)), *places[axis + 1 :]), "end"


def turned_sums(line: Equation, v: Vocabulary) -> Found:
    """A sum or a mean over the wrong axis, in the line or in an earlier one that it reads."""
    for node in value_nodes(line.value):
        if isinstance(node, Sum):
            for new in _turned(node, line.indices):
                yield node, ("axis", _AXIS, new)
        earlier = v.equations.get(node.tensor) if isinstance(node, Entry) else None
        if earlier is None or not isinstance(node, Entry) or node.tensor not in v.sensitive:
            continue
        scale, body = _scale_and_sum(earlier.value)
        if isinstance(body, Sum):
            here: dict[Expr, Expr] = dict(zip(earlier.indices, node.indices, strict=True))
            for new in _turned(substitute(body, here), line.indices):
                assert isinstance(new, Sum)
                if scale is ONE:
                    yield node, ("axis", _AXIS, new)
                elif scale is power(body.index.size, -1):
                    yield node, ("axis", _AXIS, multiply(power(new.index.size, -1), new))


_AXIS = ("it is summed over the wrong axis", "it is summed over the wrong axis")


def _scale_and_sum(expr: Expr) -> tuple[Expr, Expr]:
    if isinstance(expr, Multiply) and sum(isinstance(f, Sum) for f in expr.factors) == 1:
        return multiply(*(f for f in expr.factors if not isinstance(f, Sum))), next(
            f for f in expr.factors if isinstance(f, Sum)
        )
    return ONE, expr


def _turned(node: Expr, indices: tuple[Index, ...]) -> Iterator[Expr]:
    """The sum over each other axis, at the place of the line that was summed over."""
    if isinstance(node, Sum):
        for place in (i for i in indices if i.size is node.index.size and i not in free_indices(node.body)):
            for other in sorted(free_indices(node) & set(indices), key=lambda i: i.uid):
                running = fresh(other.name, other.size)
                yield close_sum(running, substitute(node.body, {node.index: place, other: running}))


def products(line: Equation, v: Vocabulary) -> Found:
    """A matrix by which a gradient should be multiplied on its way back."""
    matrices = [t for t in v.forward.inputs if t.kind == "real" and len(t.shape) == 2 and t.shape[0] is t.shape[1]]
    for node in value_nodes(line.value):
        if not isinstance(node, Entry) or node.tensor not in v.sensitive:
            continue
        for matrix in matrices:
            for index in node.indices:
                if isinstance(index, Index) and index.size is matrix.shape[0]:
                    for turned in (False, True):
                        running = fresh(index.name, index.size)
                        places = (running, index) if turned else (index, running)
                        entry = Entry(matrix, places)
                        new = close_sum(running, multiply(substitute(node, {index: running}), entry))
                        words = _lack(f"the product of {v.text(node)} with {v.called(matrix)}")
                        yield node, (("product", v.label(matrix), turned), words, new)


def _in_place_of(
    line: Equation, node: Entry, before: Sequence[Tensor], v: Vocabulary
) -> Iterator[tuple[Tensor, Entry]]:
    """Entries of other tensors: at the same place of the same shape, at the same indices of a smaller one."""
    used, running = node.tensor, tuple(i for i in node.indices if isinstance(i, Index))
    others = [t for t in before if v.alike(t) != v.alike(used)]
    for other in [t for t in others if t.shape == used.shape][-MAXIMUM_OTHERS:]:
        yield other, Entry(other, node.indices)
    for other in [t for t in others if _holds_the_start(t, used)][-MAXIMUM_OTHERS:]:
        yield other, Entry(other, node.indices)
    for entry in entries_once(line.value):
        if entry is not node and free_indices(entry) <= free_indices(node) and entry.tensor.shape == used.shape:
            yield entry.tensor, entry
    for other in [t for t in others if t.shape != used.shape][-MAXIMUM_OTHERS:]:
        for here in _at(other.shape, running):
            yield other, Entry(other, here)


def _holds_the_start(tensor: Tensor, used: Tensor) -> bool:
    """True if a tensor is one entry longer along its first axis: states with the one before the first step."""
    return (
        len(tensor.shape) == len(used.shape) > 0
        and tensor.shape[1:] == used.shape[1:]
        and simplify(subtract(tensor.shape[0], used.shape[0])) is ONE
    )


def _stood(node: Entry, new: Entry, v: Vocabulary) -> Wording:
    used, other = node.tensor, new.tensor
    if used is other:
        return stands(v.text(new), v.text(node))
    right, wrong = _name(other, used, v), _name(used, other, v)
    return stands(right, wrong) if right != wrong else both(f"{right}, as another call has it, belongs there")


def _name(tensor: Tensor, beside: Tensor, v: Vocabulary) -> str:
    """The user's name, with the line where two tensors share it."""
    name = v.called(tensor)
    if name != v.called(beside):
        return name
    note = v.note(tensor)
    return f"{name} of {note}" if note else f"{name} as it was handed in"


def interchanged(line: Equation, v: Vocabulary) -> Found:
    """Two tensors of the line stand in each other's place."""
    used = sorted((t for t in tensors_in(line.value) if t.kind == "real"), key=lambda t: t.name)
    fitting = fits(line.value, v)
    for k, first in enumerate(used):
        for second in used[k + 1 :]:
            if first.shape == second.shape or (len(first.shape) == len(second.shape) and not fitting):
                names = {first: second, second: first}

                def visit(node: Expr, names: dict[Tensor, Tensor] = names) -> Expr | None:
                    if isinstance(node, Entry) and node.tensor in names:
                        return Entry(names[node.tensor], node.indices)
                    return None

                words = both(f"{v.called(first)} and {v.called(second)} are interchanged")
                yield line.value, (("interchanged", v.label(first), v.label(second)), words, rewrite(line.value, visit))


def multiplied(line: Equation, v: Vocabulary) -> Found:
    """A tensor that should be multiplied by another wherever it stands."""
    for node in value_nodes(line.value):
        if isinstance(node, Entry) and node.tensor.kind == "real":
            sizes = node.tensor.shape
            yield from _times_ratio(node, line, v)
            for other in v.before(line.tensor):
                places = [[i for i, s in zip(node.indices, sizes, strict=True) if s is size] for size in other.shape]
                if other.shape and all(len(p) == 1 for p in places):
                    entry = Entry(other, tuple(p[0] for p in places))
                    what = f"the factor {v.text(entry)} is missing where {v.called(node.tensor)} stands"
                    words = (what, f"the factor {v.text(entry)} is too many")
                    yield node, (("times", v.label(other)), words, multiply(node, entry))


def _times_ratio(node: Entry, line: Equation, v: Vocabulary) -> Found:
    """n/(n - eps) for an n = norm + eps of the backward pass: of the factors of a denominator one is the bare norm."""
    for other in (e for e in v.lines if v.place[e.tensor] < v.place[line.tensor]):
        terms = other.value.terms if isinstance(other.value, Add) else ()
        if not terms or not isinstance(terms[-1], Number) or not 0 < abs(terms[-1].value) < 1:
            continue
        places = [
            [i for i, s in zip(node.indices, node.tensor.shape, strict=True) if s is n] for n in other.tensor.shape
        ]
        if all(len(p) == 1 or n is ONE for p, n in zip(places, other.tensor.shape, strict=True)):
            at = tuple(p[0] if p and n is not ONE else ZERO for p, n in zip(places, other.tensor.shape, strict=True))
            small = v.text(terms[-1])
            bare = add(other.at(at), negate(terms[-1]))
            name = v.called(other.tensor)
            words = (
                f"the term with {v.called(node.tensor)} is to be divided by {name} without {small} once",
                f"the term with {v.called(node.tensor)} is not to be divided by {name} without {small}",
            )
            yield node, (("bare", v.label(other.tensor)), words, multiply(node, divide(Entry(other.tensor, at), bare)))


def _lack(what: str) -> Wording:
    return f"{what} is missing", f"{what} is too many"
