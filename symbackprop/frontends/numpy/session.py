"""One tracing session: the equations written so far, what is known about sizes, and where in the user's code we are.

Arrays and sizes ask `current()` for the session they belong to. This module must not know what an array is: it defines
tensors from a function of indices, and finds the user's name for an object by looking at the frames of his own code.
"""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeVar

from symbackprop.errors import TraceError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Symbol,
    Tensor,
    Where,
    add,
    entries_once,
    free_indices,
    kronecker,
    multiply,
    nodes_once,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.program import PART, Equation, symbols
from symbackprop.expression.sizes import NO_FACTS, Facts, Relation, decide, quotient, simplify
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes, ShapesDoNotFit, size_symbols
from symbackprop.frontends.numpy.infinity import MINUS_INFINITY, finite, is_infinite
from symbackprop.rendering.text import to_text

Content = Callable[[tuple[Expr, ...]], Expr]
F = TypeVar("F", bound=Callable[..., Any])
UNWRITTEN = "unwritten "
MOST_HELD = 200  # things of one dictionary among which a name is sought
_SPARE = "ijklpqrsuvabcdefgh"


class Call(NamedTuple):
    """A function of the user's that runs, and the line that runs in it."""

    function: str
    line: int
    file: str = ""


@dataclass(eq=False)
class Ran:
    """A line of the user's code that computed an array, and the tensor that this became, if it became one.

    Args:
        idle: whether the array is a number, or another one as it is.
        calls: the function that it lies in, the one that called that, and so on.
    """

    line: int
    tensor: Tensor | None = None
    idle: Callable[[], bool] = field(default=lambda: False, repr=False)
    calls: tuple[Call, ...] = ()


class Session:
    """The state of one trace.

    Args:
        facts: what is known about sizes and labels.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.equations: list[Equation] = []
        self.variables: dict[Tensor, str] = {}  # the user's own name for a tensor
        self.ran: list[Ran] = []  # lines of the user's code that computed something, in the order in which they ran
        self._calls: tuple[Call, ...] = ()
        self.codes: dict[int, CodeType] = {}  # the user's code, rebuilt, by its id
        self.library: dict[int, CodeType] = {}  # that of a library, rebuilt with it: its names and lines are not told
        self.names: dict[str, int] = {}  # each with the last number that was given to one of that name
        self.drawn: dict[Tensor, TraceError] = {}  # arrays of random numbers: no result may depend on them
        self.conditions: dict[str, None] = {}
        self.empties = 0
        self.values: dict[Tensor, Expr] = {}  # what the equations' right sides are
        self.intervals: dict[Expr, object] = {}  # the memo of `integers.interval`
        self.two_valued: dict[Tensor, tuple[int, int]] = {}  # inputs whose entries have two values alone
        self.journals: list[Any] = []  # what open branches on data must know of arrays that are written
        self.arms: list[tuple[int, Expr]] = []  # running arms of branches on data: when they began, what holds there
        self._facts_in_arms: dict[tuple[Expr, ...], Facts] = {(): facts}
        self.loops: list[Any] = []  # loops over symbolic ranges that are running
        self.rounds: dict[Tensor, tuple[Index, ...]] = {}  # the loops' indices that a tensor has before its own
        self.carried: set[Tensor] = set()  # what a round finds, which no equation may hold
        self.pending: dict[Tensor, frozenset[Tensor]] = {}  # what inner loops leave, not known yet: what it reads
        self.leaves: list[Any] = []  # what the user's own code differentiates by
        self.unknowns = 0
        self.passes = 0  # of the bodies of loops over symbolic ranges
        self.sizes: tuple[str, ...] = ()  # the symbolic ones of the inputs
        self.stop: BaseException | None = None  # the first one that left the tracer
        self.stopped_at: str | None = None  # and the line of the user's code

    def remember(self, stop: BaseException) -> None:
        """Enter an exception that goes out to the user's code, unless it is NumPy's own answer."""
        if self.stop is None and not getattr(stop, "as_numpy", False):
            self.stop, self.stopped_at = stop, self.place()

    def place(self) -> str | None:
        """The running line of the user's code: "line 14: u, s, v = np.linalg.svd(x)"."""
        frame = self.frame()
        return line_text(frame.f_code.co_filename, frame.f_lineno) if frame else None

    # --- equations

    def new_tensor(self, hint: str, shape: tuple[Expr, ...], kind: str = "real") -> Tensor:
        """A tensor whose name is `hint`, or hint_2 ... where that is taken."""
        name, count = hint, self.names.get(hint, 1)
        while name in self.names:
            count += 1
            name = f"{hint}_{count}"
        self.names[hint] = count
        self.names.setdefault(name, 1)
        return Tensor(name, shape, kind)  # type: ignore[arg-type]

    def define(
        self,
        shape: tuple[Expr, ...],
        content: Content,
        kind: str,
        variable: str | None,
        line: int | None,
        born: int = 0,
        hint: str = "t",
        written: str = "",
    ) -> Tensor:
        """Write the equation of a new tensor whose entries are `content`, computed in that line of the user's code.

        Args:
            hint: how the tensor is called where there is no variable.
            written: the user's expression for it.
            born: when its array was made: in an arm of a branch it may read what is not there elsewhere.
        """
        indices = axis_indices(shape)
        inside = [arm for arm in self.arms if arm[0] < born]
        with self._knowing(inside if born else self.arms):  # the arms that it was made in
            value = content(places_of(indices))
        with self._knowing([]):
            if inside and _may_read_outside(value):  # where the arms do not run nobody asks, and there may be no entry
                value = where(multiply(*(condition for _, condition in inside)), value, ZERO)
        rounds = tuple(loop.index for loop in self.loops if loop.index in free_indices(value))
        if self.is_carried(value):
            raise self.loops[-1].stop()
        if rounds:
            outer = axis_indices((*(i.size for i in rounds), *shape))
            inner = dict(zip((*rounds, *indices), outer, strict=True))
            indices, shape, value = outer, tuple(i.size for i in outer), substitute(value, inner)
        if MINUS_INFINITY in symbols(value):
            raise TraceError("minus infinity is used in a way that cannot be traced", help="use a number such as -1e9")
        tensor = self.new_tensor(variable or hint, shape, kind)
        if rounds:
            self.rounds[tensor] = rounds
        if variable:
            self.variables[tensor] = variable
        place = f"line {line}" if variable else f"{PART}line {line}"
        shown = "" if variable or rounds else written  # what is written stands for one round
        self.equations.append(Equation(tensor, indices, value, place if line else "", shown))
        self.values[tensor] = value
        return tensor

    @contextmanager
    def _knowing(self, arms: list[tuple[int, Expr]]) -> Iterator[None]:
        """What holds in these arms is known inside, and nothing of others."""
        every, self.arms = self.arms, arms
        try:
            yield
        finally:
            self.arms = every

    def meaning(self, read: Entry) -> Expr | None:
        """The right side of an entry's equation, in the indices that it was written in; None for an input's."""
        return self.values.get(read.tensor)

    def facts_here(self) -> Facts:
        """What is known about sizes and rounds where the arms of branches run that are running."""
        known = tuple(dict.fromkeys(r for _, condition in self.arms for r in _inequalities(condition, self.facts)))
        if known not in self._facts_in_arms:
            self._facts_in_arms[known] = Facts((*self.facts.domain, *known), self.facts.ranges)
        return self._facts_in_arms[known]

    # --- loops over symbolic ranges

    def in_steps(self) -> bool:
        """True in a round of a loop of which is known how its rounds depend on each other."""
        return bool(self.loops) and bool(getattr(self.loops[-1], "found", None))

    def is_carried(self, value: Expr) -> bool:
        """True if a value depends on what a round of a loop finds."""
        return bool(self.loops) and any(e.tensor in self.carried for e in entries_once(value))

    def memory(self) -> tuple[Any, ...]:
        """What must be as it was when the body of a loop runs again."""
        return (list(self.equations), dict(self.variables), dict(self.names), dict(self.drawn), dict(self.conditions),
                dict(self.values), dict(self.rounds), len(self.ran))  # fmt: skip

    def recall(self, memory: tuple[Any, ...]) -> None:
        """Forget what has come since; the unknown numbers of loops stay known."""
        carried = {t: v for t, v in self.values.items() if t in self.carried}
        equations, variables, names, drawn, conditions, values, rounds, ran = memory
        del self.ran[ran:]
        self.equations, self.variables, self.names = list(equations), dict(variables), dict(names)
        self.drawn, self.conditions = dict(drawn), dict(conditions)
        self.values, self.rounds = {**values, **carried}, dict(rounds)

    def unwritten(self) -> Symbol:
        """What the entries of an np.empty array are before they are written."""
        self.empties += 1
        return Symbol(f"{UNWRITTEN}{self.empties}", "real")

    # --- the user's code

    def frame(self) -> FrameType | None:
        """The innermost frame that runs the user's code."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and id(frame.f_code) not in self.codes:
            frame = frame.f_back
        return frame

    def calls(self) -> tuple[Call, ...]:
        """The user's functions that run, the innermost first; what has no name is a part of what it stands in."""
        found, frame = list[Call](), self.frame()
        while frame is not None:
            if id(frame.f_code) in self.codes and not frame.f_code.co_name.startswith("<"):
                code = frame.f_code
                found.append(Call(function_of(code), frame.f_lineno, code.co_filename))
            frame = frame.f_back
        if self._calls != tuple(found):
            self._calls = tuple(found)
        return self._calls  # a line computes several arrays

    def is_users(self, frame: FrameType | None) -> bool:
        """True if the user's code runs there, or calls what runs there and only hands on."""
        while frame is not None and id(frame.f_code) not in self.codes:
            if id(frame.f_code) not in _HANDING_ON and frame.f_code not in _GUARDS:
                return False
            frame = frame.f_back
        return frame is not None

    def has_source(self) -> bool:
        """True if the source of the running code of the user's is there."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
            frame = frame.f_back
        return frame is None or bool(linecache.getlines(frame.f_code.co_filename))

    def may_catch(self) -> bool:
        """True if running code of the user's has handlers of exceptions (or contexts, which may be such)."""
        frame = self.frame()
        while frame is not None:
            known = id(frame.f_code) in self.codes or id(frame.f_code) in self.library
            if known and frame.f_code.co_exceptiontable:
                return True
            frame = frame.f_back
        return False

    def line(self) -> int | None:
        """The line of the user's file that is running."""
        frame = self.frame()
        return frame.f_lineno if frame else None

    def variable_of(self, matches: Callable[[object], bool], makers: Iterable[Call] = ()) -> str | None:
        """What the user calls the first object that matches: a local name, or an attribute or key of what has one.

        Args:
            makers: the function that computed it, and those that called that one. What they call it comes before the
                name that a helper has for it.
        """
        frame = self.frame()
        if frame is None:
            return None
        for name in (*(call.function for call in makers), ""):
            outer: FrameType | None = frame
            while (
                outer is not None and name and (id(outer.f_code) not in self.codes or function_of(outer.f_code) != name)
            ):
                outer = outer.f_back
            own = None if outer is None else _name_among(outer.f_locals, matches)
            if own is not None:
                return own
        held = (item for value in dict(frame.f_locals).values() for item in _held(value).items())
        names = (name for name, value in held if matches(value) and isinstance(name, str) and name.isidentifier())
        return next(names, None)


def function_of(code: CodeType) -> str:
    """What the user calls a function: "Linear.backward"."""
    return code.co_qualname.rpartition("<locals>.")[2]


def _name_among(local: Mapping[str, object], matches: Callable[[object], bool]) -> str | None:
    return next((name for name, value in dict(local).items() if matches(value)), None)


def _held(value: Any) -> dict[Any, Any]:
    """What an object of the user's holds by name, or a dictionary; of very many things the latest, where one looks for
    what has just been computed.
    """
    if isinstance(value, (type, ModuleType, FunctionType)):
        return {}
    try:
        held = value if type(value) is dict else object.__getattribute__(value, "__dict__")
        return dict([*itertools.islice(reversed(held.items()), MOST_HELD)][::-1])
    except AttributeError:
        return {}


_SESSION: ContextVar[Session] = ContextVar("session")


def current() -> Session:
    """The session that is running."""
    return _SESSION.get()


def assume(condition: str) -> None:
    """Note what a reading of the user's code assumes; the verdict tells it."""
    session = _SESSION.get(None)
    if session is not None:
        session.conditions[condition] = None


def no_rounds_in(shape: tuple[Expr, ...]) -> None:
    """Refuse a shape that depends on the round of a loop over a symbolic range."""
    session = _SESSION.get(None)
    if session and session.loops and any(loop.index in free_indices(n) for n in shape for loop in session.loops):
        raise session.loops[-1].stop()


def defined_as(expr: Entry) -> Expr | None:
    """The right side of an entry's equation; None for inputs."""
    session = _SESSION.get(None)
    for equation in reversed(session.equations) if session else ():
        if equation.tensor is expr.tensor:
            return substitute(equation.value, dict(zip(equation.indices, expr.indices, strict=True)))
    return None


def value_of(expr: Expr) -> Expr:
    """What an entry stands for, where an equation of the session says so; other expressions are themselves."""
    inside = defined_as(expr) if isinstance(expr, Entry) else None
    return expr if inside is None else value_of(inside)


def user_line() -> int | None:
    """The line of the user's code that is running, if any is."""
    session = _SESSION.get(None)
    return session.line() if session else None


class Instruction(NamedTuple):
    """An instruction of the user's code."""

    code: CodeType
    place: int

    @property
    def written(self) -> str:
        """The expression that it works out, as it stands in the file: "w.sum()"; "" if that is not known."""
        first, last, start, stop = next(itertools.islice(self.code.co_positions(), self.place // 2, None))
        if first is None or first != last:
            return ""
        text = linecache.getline(self.code.co_filename, first).encode()[start:stop].decode(errors="replace")
        try:
            ast.parse(text, mode="eval")
        except (SyntaxError, ValueError, RecursionError):  # a statement: p /= p.sum()
            return ""
        return text


class Result:
    """What an operation returns, which can be told by which instruction of the user's code it is the result of."""

    __slots__ = ()
    axes: tuple[Expr, ...]
    may_be_number: bool  # 0.0 in the first round, or on one way of a branch, and else an array of these axes

    def is_result_of(self, instruction: Instruction) -> None:
        """Note the instruction."""


@contextmanager
def running(session: Session) -> Iterator[None]:
    """Make `session` the current one."""
    token = _SESSION.set(session)
    try:
        yield
    finally:
        _SESSION.reset(token)


# --- what leaves the tracer ---------------------------------------------------------------------------------------
#
# An exception that goes out to the user's code must be NumPy's own for every size (`as_numpy`), or the trace has
# failed: the session remembers it, whatever the code does with it (`except`, `finally: return`, a generator,
# contextlib), and every later operation of that session raises it again.


def as_numpy(error: Exception) -> Exception:
    """An exception that NumPy raises as well, at all sizes: code may catch it and go on."""
    error.as_numpy = True  # type: ignore[attr-defined]
    return error


def used_as_array() -> Exception:
    """The stop where something is asked of what may be a number that a number answers otherwise, or not at all."""
    what, sizes = "a number that becomes an array later is used as an array", current().sizes
    return NeedsConcreteSizes(what, sizes) if sizes else TraceError(what, help="begin with an array: np.zeros(...)")


def _numbers_among(args: tuple[Any, ...], shown: str, entrywise: bool) -> list[Result]:
    """Nothing, or the arrays of which some may be numbers, where the operation does not tell them apart."""
    arrays = [a for a in args if issubclass(type(a), Result)]
    if not any(a.may_be_number for a in arrays):
        return []
    if not entrywise or (shown == "setitem" and arrays[0].may_be_number):
        raise used_as_array()
    return arrays


def guarded(function: F, shown: str = "", entrywise: bool | None = None) -> F:
    """A function that the user's code can reach: what it raises is remembered.

    Args:
        shown: NumPy's name of it, which has arguments that are not followed.
        entrywise: whether it works entry by entry; None where that is of no importance.
    """
    if hasattr(function, "guards"):
        return function

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        session = _SESSION.get(None)
        if session is None:
            return function(*args, **options)
        if session.stop is not None:
            raise session.stop
        try:
            arrays = _numbers_among(args, shown, entrywise) if entrywise is not None else []
            result = function(*args, **options)
        except ShapesDoNotFit as stop:
            if not session.may_catch():
                session.remember(stop)
                raise
            if not session.sizes:
                raise as_numpy(stop.raised(stop.what)) from None
            session.remember(needed := NeedsConcreteSizes(stop.what, session.sizes))
            raise needed from stop
        except BaseException as stop:
            if shown and isinstance(stop, TypeError) and stop.__traceback__ and stop.__traceback__.tb_next is None:
                session.remember(unknown := _unknown_argument(stop, shown))  # the call itself: nothing has run
                raise unknown from None
            session.remember(stop)
            raise
        if issubclass(type(result), Result):  # of its type nobody is asked
            if arrays:  # it is an array for sure beside another one of its shape
                result.may_be_number = not any(not a.may_be_number and a.axes == result.axes for a in arrays)
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and id(frame.f_code) in _HANDING_ON:
                frame = frame.f_back
            if frame is not None and id(frame.f_code) in session.codes:
                result.is_result_of(Instruction(frame.f_code, frame.f_lasti))
        return result

    call.guards = function  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


_HANDING_ON: dict[int, CodeType] = {}  # by the id: constants in code may have no hash


def hands_on(function: F) -> F:
    """A function whose result is that of the operation that it calls, and is so the result of who called it."""
    code: CodeType = function.__code__
    _HANDING_ON[id(code)] = code
    return function


def _unknown_argument(error: TypeError, shown: str) -> TraceError:
    """What to say of a call with arguments that the operation does not have."""
    named = re.search(r"keyword argument '(\w+)'", str(error))
    return TraceError(f"np.{shown} with {f'the argument {named[1]}' if named else 'these arguments'} cannot be traced")


def asked_by_user() -> bool:
    """True if traced code asks, be it through the standard library; False for the tracer's own messages."""
    session = _SESSION.get(None)
    frame: FrameType | None = sys._getframe(2)
    while session is not None and frame is not None:
        if id(frame.f_code) in session.codes or id(frame.f_code) in session.library:
            return True
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] == _PACKAGE and frame.f_code not in _GUARDS and name not in _FOR_USERS:
            return False
        frame = frame.f_back
    return False


def line_text(file: str, line: int) -> str:
    """A line of a file as a message shows it; its number alone where the file cannot be read."""
    return f"line {line}: {linecache.getline(file, line).strip()}".rstrip(": ")


_PACKAGE = __name__.partition(".")[0]
_FOR_USERS = (f"{__package__}.python_builtins",)  # getattr(x, name) asks for the user
_GUARDS = {next(c for c in guarded.__code__.co_consts if isinstance(c, CodeType))}


def index_name(size: Expr, used: set[str]) -> str:
    """A name for an index over an axis: n for an axis of size N, else i, j, k ..."""
    names = [s.name.lower() for s in symbols(size)][:1] + list(_SPARE)
    return next((n for n in names if n not in used), f"i{len(used)}")


def axis_indices(shape: tuple[Expr, ...]) -> tuple[Index, ...]:
    """Free indices with different names for the axes of a shape."""
    used: set[str] = set()
    indices = []
    for size in shape:
        name = index_name(size, used)
        used.add(name)
        indices.append(Index(name, size))
    return tuple(indices)


def places_of(indices: Iterable[Index]) -> tuple[Expr, ...]:
    """The places that indices run through: 0 along an axis of length 1."""
    return tuple(ZERO if i.size is ONE else i for i in indices)


def _facts() -> Facts:
    session = _SESSION.get(None)
    return session.facts_here() if session else NO_FACTS


def reduced(expr: Expr) -> Expr:
    """`sizes.simplify` with the facts of the session."""
    return simplify(expr, _facts())


def quotient_of(total: Expr, divisor: Expr) -> Expr | None:
    """`sizes.quotient` with the facts of the session."""
    return quotient(total, divisor, _facts())


def at_each_case(content: Content, places: tuple[Expr, ...]) -> Expr:
    """An entry at places that are told by cases, as an array of given integers is: the entry by these cases."""
    case = next((n for place in places for n in nodes_once(place) if isinstance(n, Where)), None)
    if case is None:
        return content(tuple(map(reduced, places)))
    then, otherwise = (tuple(substitute(p, {case: v}) for p in places) for v in (case.then, case.otherwise))
    value = where(case.condition, at_each_case(content, then), at_each_case(content, otherwise))
    return finite(value, ONE, _facts()) if is_infinite(value) else value


def is_so(relation: Relation, left: Expr, right: Expr) -> bool | None:
    """`sizes.decide` with the facts of the session."""
    return decide(relation, left, right, _facts())


_OPPOSITE: dict[Relation, str] = {"<": ">=", "<=": ">"}


def must_know(relation: Relation, left: Expr, right: Expr, why: str) -> bool:
    """The truth of a relation between sizes.

    Raises:
        NeedsConcreteSizes: it depends on the sizes.
    """
    answer = is_so(relation, left, right)
    if answer is None:
        if relation == "==" and left in (ONE, ZERO):
            left, right = right, left
        question, opposite = f"{to_text(left)} {relation} {to_text(right)}", ""
        if relation != "==":
            opposite = f"{to_text(left)} {_OPPOSITE[relation]} {to_text(right)}"
        elif is_so("<=", right, left):
            opposite = f"{to_text(left)} > {to_text(right)}"
        raise NeedsConcreteSizes(
            why,
            size_symbols(left, right),
            _equalities(left, right, (question, opposite)) if relation == "==" else _questions(relation, left, right),
            evidence=[f"it depends on whether {question}"],
            help=f'say which holds: where="{question}"' + (f' or where="{opposite}"' if opposite else ""),
        )
    return answer


def _equalities(left: Expr, right: Expr, pair: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """An equality and its opposite, where sizes may be asked of it."""
    return (pair, pair[::-1]) if pair[1] and not free_indices(left) | free_indices(right) else ()


def _questions(relation: Relation, left: Expr, right: Expr) -> tuple[tuple[str, str], ...]:
    """What sizes may be asked of, so that a relation holds in all rounds of the loops around, or in none."""
    found = []
    for r, one, other in ((relation, left, right), ("<=" if relation == "<" else "<", right, left)):
        gap = subtract(other, one)  # at least 0, or 1, in the round in which it is least
        for index in sorted(free_indices(gap), key=lambda i: i.name):
            slope = minus(substitute(gap, {index: add(index, ONE)}), gap)
            rises = None if free_indices(slope) else is_so("<=", ZERO, slope)
            if rises is None:
                return ()
            gap = substitute(gap, {index: ZERO if rises else subtract(index.size, ONE)})
        if free_indices(left) | free_indices(right):
            one, other = ZERO, reduced(gap)
        pair = (f"{to_text(one)} {r} {to_text(other)}", f"{to_text(one)} {_OPPOSITE[r]} {to_text(other)}")
        found.append(pair)
    return tuple(found)


def holds(relation: Relation, left: Expr, right: Expr) -> Expr:
    """The value 0 or 1 of a relation between integers, decided where that can be proved."""
    answer = is_so(relation, left, right)
    if answer is not None:
        return ONE if answer else ZERO
    a, b = reduced(left), reduced(right)
    return kronecker(*_solved(a, b)) if relation == "==" else Compare(relation, a, b)


def _solved(left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """The two sides of an equation, solved for the one index in it where that is easy: T - 1 - t == 0 is t == T - 1."""
    gap = minus(left, right)
    indices = [i for i in free_indices(gap) if isinstance(i, Index)]
    if len(indices) != 1 or indices[0] in (left, right):
        return left, right
    rest = substitute(gap, {indices[0]: ZERO})
    for value in (minus(ZERO, rest), reduced(rest)):
        if minus(gap, minus(indices[0], value)) is ZERO or minus(gap, minus(value, indices[0])) is ZERO:
            return indices[0], value
    return left, right


def _inequalities(condition: Expr, facts: Facts, holds: bool = True) -> list[Expr]:
    """The inequalities between sizes, rounds and labels that a condition, a value 0 or 1, says to hold, or not to.

    That two are not equal says something where one is known to be no less.
    """
    match condition:
        case Multiply(factors) if holds:
            return [r for f in factors for r in _inequalities(f, facts)]
        case Add((Multiply((Number(sign), negated)), Number(one))) if sign == -1 and one == 1:
            return _inequalities(negated, facts, not holds)
        case Kronecker(left, right) | Compare("<" | "<=", left, right) if all(
            n.tensor.kind == "integer" for n in nodes_once(condition) if isinstance(n, Entry)
        ):  # also of a label: where y[i] > 0, y[i] - 1 is no place from the end
            if isinstance(condition, Compare):
                other: Relation = "<=" if condition.relation == "<" else "<"
                return [condition if holds else Compare(other, right, left)]
            pairs = ((left, right), (right, left))
            if holds:
                return list[Expr](Compare("<=", a, b) for a, b in pairs)
            return list[Expr](Compare("<", a, b) for a, b in pairs if decide("<=", a, b, facts))[:1]
    return []


def _may_read_outside(value: Expr) -> bool:
    """True if it is not known of every entry that is read that there is one."""
    return any(
        not (isinstance(place, Index) and place.size is n) and not (is_so("<=", ZERO, place) and is_so("<", place, n))
        for read in entries_once(value)
        for place, n in zip(read.indices, read.tensor.shape, strict=True)
    )


def entry(tensor: Tensor, rounds: tuple[Expr, ...] = ()) -> Content:
    """The content of an array that is a tensor, which may have axes for the rounds of loops before its own."""
    return lambda indices: Entry(tensor, (*rounds, *(reduced(i) for i in indices)))


def product_of(shape: tuple[Expr, ...]) -> Expr:
    """The number of entries of a shape."""
    return reduced(multiply(*shape))


def minus(left: Expr, right: Expr) -> Expr:
    """left - right, simplified."""
    return reduced(add(left, multiply(MINUS_ONE, right)))


def as_int(expr: Expr) -> int | None:
    """The integer that `expr` is, if it is a number."""
    return int(expr.value) if isinstance(expr, Number) and expr.value.denominator == 1 else None
