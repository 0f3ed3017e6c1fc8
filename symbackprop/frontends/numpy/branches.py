"""Branches on data: both arms run, each from the same state, and what they leave is merged by `where`.

`control_flow` writes the calls of `HELPERS` into the user's code. A test that is known, or that depends on sizes alone,
chooses an arm as Python does. Of one that depends on data the arms run one after the other; names, attributes, entries
of dictionaries and lists, and arrays that they change become `where(test, first, second)`. What cannot be merged (None
and a number, lists of two lengths) is refused once it is used, or at once where it would be lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Kronecker,
    Multiply,
    Number,
    free_indices,
    nodes_once,
    rewrite,
    subtract,
    where,
)
from symbackprop.frontends.numpy.array import Array, Buffer, Journal, View, array, has_entry, scalar
from symbackprop.frontends.numpy.dtypes import joint_type
from symbackprop.frontends.numpy.elementwise import truth
from symbackprop.frontends.numpy.growing import GrowingList
from symbackprop.frontends.numpy.heap import Heap, Items, put
from symbackprop.frontends.numpy.masked import Masked, selected
from symbackprop.frontends.numpy.opaque import NotYetThere, Opaque, Unsettled
from symbackprop.frontends.numpy.operands import as_array, widened
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import Content, current, defined_as, guarded
from symbackprop.frontends.numpy.size import Size

_UNSET = object()  # a name, or a place of an object, that holds nothing
_NUMERIC = (Array, Size, int, float, np.generic)
HELP = "use np.where, or set it on both ways"


def condition_of(test: Any) -> Expr | None:
    """The test of a branch as the value 0 or 1 if it depends on data; None where Python may ask it."""
    if type(test) is GrowingList:  # `if hs:` asks whether there are items yet
        test = test.length()
    if not isinstance(test, Array) or any(n is not ONE for n in test.axes):
        return None
    flat = test.reshape(()) if test.axes else test
    asked: Array = truth(flat)
    value = asked.read()(())
    return value if has_entry(value) or free_indices(value) else None


class Branch:
    """One `if` as it runs."""

    def __init__(self, test: Any, names: tuple[str, ...] = ()) -> None:
        self.condition = condition_of(test)
        self.merges = self.condition is not None
        self.chosen = True if self.merges else bool(test)
        self.names = names
        self.session = current()

    # --- as the rewritten code calls them

    @guarded
    def then(self) -> bool:
        """Whether the first arm runs."""
        if self.merges:
            self.place = self.session.place()
            self.heap = Heap(self.session)
            self.locals = self._locals()
            self._open(self.condition)
        return self.chosen

    @guarded
    def otherwise(self) -> bool:
        """Whether the second arm runs; what the first has changed is put back."""
        if self.merges:
            self.first = self._taken()
            self.heap.restore(self.first[1])
            for buffer, state in self.journal.before.items():
                buffer.restore(state)
            self.opened = self.journal
            assert self.condition is not None
            self._open(subtract(ONE, self.condition))
        return self.merges or not self.chosen

    @guarded
    def join(self) -> bool:
        """Merge what the arms have left; whether names must be given their values."""
        if self.merges:
            self._merge(self.first, self._taken())
        return self.merges

    @guarded
    def before(self, name: str) -> Any:
        """What a name held before the branch."""
        value = self.locals.get(name, _UNSET)
        return self._unsettled(name) if value is _UNSET else value

    @guarded
    def after(self, name: str) -> Any:
        """What a name holds after the branch."""
        return self.merged_locals[name]

    def must_not_be_left(self, word: str) -> None:
        """Refuse a jump out of an arm, of which the other arm does not know."""
        raise TraceError(f"{word!r} on one way of a branch on data cannot be traced", where=self.session.place(),
                         help="let the loop run on, and choose by np.where")  # fmt: skip

    # --- state

    def _open(self, holds: Expr | None) -> None:
        assert holds is not None
        self.journal = Journal(self.place)
        self.session.arms.append((self.journal.start, holds))
        self.session.journals.append(self.journal)

    def _locals(self) -> Items:
        frame = self.session.frame()
        held = frame.f_locals if frame is not None and self.names else {}
        return {n: held[n] for n in self.names if n in held}

    def _taken(self) -> tuple[Items, dict[int, Items], dict[Buffer, dict[str, Any]]]:
        """What an arm has left: names, objects, arrays."""
        if not self.session.journals or self.session.journals[-1] is not self.journal:
            raise TraceError("an arm of a branch on data is left by an exception that is caught", where=self.place)
        self.session.journals.pop()
        self.session.arms.pop()
        return self._locals(), self.heap.now(), {b: b.state() for b in self.journal.before}

    def _merge(self, first: Any, second: Any) -> None:
        assert self.condition is not None
        self._merge_buffers(first[2], second[2])
        for key in {**first[1], **second[1]}:
            owner, before = self.heap.objects[key], self.heap.before[key]
            put(owner, self._merged_items(first[1].get(key, before), second[1].get(key, before), owner))
        self.merged_locals = {}
        for name in self.names:
            a, b = (v[0].get(name, _UNSET) for v in (first, second))
            self.merged_locals[name] = self.value(a, b, name)

    def _merge_buffers(self, first: Any, second: Any) -> None:
        assert self.condition is not None
        before = {**self.journal.before, **self.opened.before}
        condition = self.condition
        for buffer, old in before.items():
            a, b = first.get(buffer, old), second.get(buffer, old)
            if a["content"] is b["content"]:
                buffer.doubt = a["doubt"] or b["doubt"]
                continue
            buffer.restore(b)
            content = _either(condition, a["content"], b["content"])
            buffer.content = buffer.unsettled = content
            buffer.settled, buffer.order, buffer.uses = False, None, 0
            buffer.doubt = a["doubt"] or b["doubt"]
            if a["version"] != old["version"] or b["version"] != old["version"]:
                buffer.version = a["version"] + b["version"] + 1
            if self.session.loops and not self.session.arms:
                self.session.loops[-1].name_place(buffer)

    def _merged_items(self, first: Items, second: Items, owner: Any) -> Items:
        kind = type(owner).__name__
        if first.keys() != second.keys():
            what = f"a {kind} of another length" if isinstance(owner, (list, set)) else f"other contents of a {kind}"
            raise TraceError(f"a branch on data leaves {what} on each of its ways", where=self.place, help=HELP)
        return {k: self.value(v, second[k], _place(owner, k)) for k, v in first.items()}

    # --- values

    def value(self, first: Any, second: Any, name: str) -> Any:
        """where(test, first, second) of anything.

        Args:
            name: what messages call it.
        """
        if first is second:
            return self._unsettled(name) if first is _UNSET else first
        if isinstance(first, NotYetThere) or isinstance(second, NotYetThere):
            return second if isinstance(first, NotYetThere) else first
        if isinstance(first, Opaque) or isinstance(second, Opaque):
            return first if isinstance(first, Opaque) else second
        if type(first) is type(second) and isinstance(first, (int, str, bytes)) and first == second:
            return first
        if isinstance(first, _NUMERIC) and isinstance(second, _NUMERIC):
            return self._numbers(first, second, name)
        if type(first) is type(second) is tuple and len(first) == len(second):
            return tuple(self.value(a, b, name) for a, b in zip(first, second, strict=True))
        if type(first) is type(second) is list and len(first) == len(second):
            return [self.value(a, b, name) for a, b in zip(first, second, strict=True)]
        if type(first) is type(second) is dict and first.keys() == second.keys():
            return {k: self.value(v, second[k], f"{name}[{k!r}]") for k, v in first.items()}
        return self._unsettled(name)

    def _numbers(self, first: Any, second: Any, name: str) -> Any:
        assert self.condition is not None
        a, b = as_array(first), as_array(second)
        a, b = widened(a, b), widened(b, a)
        if a.axes != b.axes:
            return self._unsettled(name)
        kind = joint_type((a.dtype, a.buffer.weak), (b.dtype, b.buffer.weak))
        result = array(a.axes, _either(self.condition, a.read(), b.read()), kind)
        result.buffer.weak = a.buffer.weak and b.buffer.weak
        result.may_be_number = a.may_be_number or b.may_be_number
        result.buffer.rounding = max(a.buffer.rounding, b.buffer.rounding)
        like = first if isinstance(first, Array) else second if isinstance(second, Array) else a
        if not result.axes:
            return like.like(result)
        either = like.like(Array(result.buffer, None, View(lambda indices: indices, None)))
        either.shared = tuple((v.buffer, v.buffer.version) for v in (first, second) if isinstance(v, Array))
        return either

    def _unsettled(self, name: str) -> Unsettled:
        shown = "the result of a function" if name.startswith("__") else name
        return Unsettled(f"{shown}, on which the two ways of the branch on data in {self.place} do not agree,", HELP)


def _either(condition: Expr, first: Content, second: Content) -> Content:
    match condition:
        case Add((Multiply((Number(minus), inner)), Number(one))) if one == 1 and minus == -1:
            return _either(inner, second, first)
    yes, no = _known(condition, True), _known(condition, False)
    return lambda indices: where(condition, _under(yes, first(indices)), _under(no, second(indices)))


# --- what an arm knows --------------------------------------------------------------------------------------------

DEEPEST, LARGEST = 6, 200  # definitions inside definitions, and nodes of one, that are looked into
INLINED = 40  # nodes of a definition that is written out


def _known(condition: Expr, true: bool) -> dict[Expr, Expr]:
    """The indicators of which a condition tells the value."""
    match condition:
        case Add((Multiply((Number(minus), inner)), Number(one))) if one == 1 and minus == -1:
            return _known(inner, not true)
        case Multiply(factors) if true and not any(isinstance(f, Number) for f in factors):
            return {k: v for f in factors for k, v in _known(f, True).items()}
        case Kronecker(left, right):
            return dict.fromkeys((condition, Kronecker(right, left)), ONE if true else ZERO)
        case Compare():
            return {condition: ONE if true else ZERO}
    return {}


def _under(known: dict[Expr, Expr], value: Expr, depth: int = 0) -> Expr:
    """A value of an arm, in which what the arm knows is decided, also inside the equations that it reads.

    So log(q[i,j]) where i != j does not read the 0 that q has on its diagonal.
    """
    if not known:
        return value
    places = any(isinstance(k, Kronecker) for k in known)  # a diagonal, or a label, that equations leave out

    def meaning(node: Expr) -> Expr | None:
        if node in known:
            return known[node]
        if isinstance(node, Entry) and depth < DEEPEST and places:
            inside = defined_as(node)
            if inside is not None and sum(1 for _ in itertools.islice(nodes_once(inside), LARGEST)) < LARGEST:
                decided = _under(known, inside, depth + 1)
                small = sum(1 for _ in itertools.islice(nodes_once(decided), INLINED)) < INLINED
                return decided if decided is not inside and small else node
        return None

    return rewrite(value, meaning)


def _place(owner: Any, key: Any) -> str:
    kind = type(owner).__name__
    return f"the entry {key!r} of a {kind}" if isinstance(owner, (list, dict)) else f"the attribute {key} of {kind}"


# --- what the rewritten code calls --------------------------------------------------------------------------------


class _Plain:
    """A branch of which Python asks the test: its arms suspend the function, or its names cannot be followed."""

    merges = False

    def __init__(self, test: Any) -> None:
        self.test = test

    @guarded
    def then(self) -> bool:
        """Whether the first arm runs."""
        return bool(self.test)


def _both_values(branch: Branch, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    """The values on the two ways of a branch on data."""
    branch.then()
    a = first()
    branch.otherwise()
    b = second()
    branch.join()
    return a, b


def _either_of(test: Any, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """first() if test else second()"""
    branch = Branch(test)
    if not branch.merges:
        return first() if branch.chosen else second()
    return branch.value(*_both_values(branch, first, second), "a conditional expression")


def _itself(value: Any) -> Any:
    return value


def _joined(name: str, stop: bool) -> Callable[..., Any]:
    """`and`, which stops at what is false, or `or`."""

    def join(value: Any, *later: Callable[[], Any]) -> Any:
        for more in later:
            branch = Branch(value)
            if not branch.merges:
                if branch.chosen is stop:
                    return value
                value = more()
                continue
            keep = partial(_itself, value)
            a, b = _both_values(branch, keep, more) if stop else _both_values(branch, more, keep)
            other = b if stop else a
            assert branch.condition is not None
            if isinstance(other, bool) and isinstance(value, Array) and value.kind == "bool":
                value = other if other is stop else scalar(branch.condition, "bool")
                continue
            booleans = all(isinstance(v, Array) and v.kind == "bool" for v in (value, other))
            value = (
                OPERATIONS[name](scalar(branch.condition, "bool"), other)
                if booleans
                else branch.value(a, b, "a condition")
            )
        return value

    return join


def _denied(value: Any) -> Any:
    condition = condition_of(value)
    return not value if condition is None else scalar(subtract(ONE, condition), "bool")


def _is(left: Any, right: Any) -> Any:
    for side, other in ((left, right), (right, left)):
        if isinstance(side, Unsettled):
            raise side.stop()
        if other is None and isinstance(side, Array) and side.absent is not None:
            return scalar(side.absent, "bool")
    return left is right


def _leave(word: str, around: Iterable[Any]) -> None:
    for owner in around:
        if owner.merges:
            owner.must_not_be_left(word)


def kept(found: list[tuple[Expr | None, Any]]) -> list[Any] | Masked:
    """What a comprehension with a filter gives: a list, or numbers under a mask where the filter depends on data.

    Args:
        found: (what the filter says, None for what it surely keeps; the value).
    """
    if all(c is None for c, _ in found):
        return [v for _, v in found]
    if any(not isinstance(v, _NUMERIC) or as_array(v).axes for _, v in found):
        raise TraceError("a filter on data keeps values that are no numbers", help="use np.where")
    mask = OPERATIONS["stack"]([scalar(ONE if c is None else c, "bool") for c, _ in found])
    return selected(OPERATIONS["stack"]([as_array(v) for _, v in found]), mask)


HELPERS: dict[str, Any] = {
    "__branch__": guarded(Branch),
    "__plainly__": guarded(_Plain),
    "__either__": guarded(_either_of),
    "__both__": guarded(_joined("logical_and", False)),
    "__one_of__": guarded(_joined("logical_or", True)),
    "__denied__": guarded(_denied),
    "__is__": guarded(_is),
    "__leave__": guarded(_leave),
}
__all__ = ["HELPERS", "Branch", "condition_of", "kept"]
