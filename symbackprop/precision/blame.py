"""Which expression of the user's code loses the digits.

The function is run twice with every expression recorded: once in the dtype, once with exact numbers in its arrays. The
first expression whose value is wrong although those that it is made of are right is to blame; where it is no number
because something before was divided by what had underflowed to 0, that division is. The code that runs is the user's
own, with a call around each expression. Main name: `blamed`.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import flint
import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.user_run import handed, quietly, run
from symbackprop.evaluation.number_types import ball
from symbackprop.evaluation.point import Point
from symbackprop.frontends.numpy.traced import beside_inputs, outputs_and_cache
from symbackprop.precision.search import Found
from symbackprop.precision.user_results import UserCode

SEEN, CALLED = "_seen_by_symbackprop", "_called_by_symbackprop"
BITS = 1280
MOST = 4000  # expressions of a run that are recorded
Node = ast.expr | ast.stmt
RECORDED = (ast.BinOp, ast.UnaryOp, ast.Call)


class Blamed(NamedTuple):
    """An expression as the user wrote it, and its line in its file."""

    text: str
    number: int


@dataclass
class _Record:
    """What the expressions of one run gave, in the order in which they ran."""

    exact: bool
    values: list[tuple[Node, Any]] = field(default_factory=list)
    before: int = 0  # so many of them are of the forward pass
    cache: list[Any] = field(default_factory=list)

    def seen(self, node: Node) -> Callable[[Any], Any]:
        def keep(value: Any) -> Any:
            if len(self.values) < MOST:
                self.values.append((node, np.array(value, copy=True) if isinstance(value, np.ndarray) else value))
            return value

        return keep

    def called(self, function: Any, *args: Any, **options: Any) -> Any:
        """A call of the user's; what NumPy does not do with exact numbers is done here."""
        if self.exact:
            function = EXACT.get(getattr(function, "__name__", ""), function) if _is_library(function) else function
        return function(*args, **options)


def blamed(code: UserCode, found: Found) -> Blamed | None:
    """The guilty expression; None if it was not found."""
    try:
        computed, source = _recorded(code, found, exact=False)
        with ball(BITS).working():
            exact, _ = _recorded(code, found, exact=True)
            scale = _Scale.of(found, code.dtype)
            both = list(zip(computed.values, exact.values, strict=False))
            if found.loss.name and not any(map(scale.wrong, computed.cache, exact.cache)):
                both = both[computed.before :]  # what went wrong in the forward pass was not handed on
            guilty = _first_wrong(both, scale)
        if guilty is None and math.isinf(found.loss.error):
            guilty = _first_without_number(computed.values)
    except Exception:  # the user's code may do what exact numbers cannot follow
        return None
    if guilty is None:
        return None
    text = source.get(guilty, "")
    return Blamed(" ".join(text.split()), guilty.lineno) if text else None


def _recorded(code: UserCode, found: Found, *, exact: bool) -> tuple[_Record, dict[Node, str]]:
    """One run of the functions, recorded: of the backward alone if it takes no cache."""
    record = _Record(exact)
    maker = _Maker(record)
    point = _exact_point(found.point) if exact else _typed(found.point, code.dtype)
    inputs = code.question.forward.inputs
    with quietly():
        cache: Any = None
        if not found.loss.name or "cache" in code.roles.values():
            _, cache = outputs_and_cache(run(maker.made(code.forward), inputs, point), code.roles)
            record.before, record.cache = len(record.values), list(_leaves(cache))
        if found.loss.name:
            upstream = tuple(handed(t, point) for t in code.question.upstream)
            others = beside_inputs(code.roles, upstream, cache)
            run(maker.made(code.backward), inputs, point, **others)
    return record, maker.source


def _typed(point: Point, dtype: np.dtype[Any]) -> Point:
    return replace(point, inputs={t: a.astype(dtype) if a.dtype.kind == "f" else a for t, a in point.inputs.items()})


def _exact_point(point: Point) -> Point:
    number = np.frompyfunc(lambda v: flint.arb(float(v)), 1, 1)
    arrays: dict[Any, NDArray[Any]] = {}
    for tensor, array in point.inputs.items():
        exact = np.empty(array.shape, dtype=object)
        if array.dtype.kind == "f":
            exact[...] = number(array)
            arrays[tensor] = exact
        else:
            arrays[tensor] = array
    return replace(point, inputs=arrays)


# The user's function with a call around each expression.


class _Maker:
    def __init__(self, record: _Record) -> None:
        self.record = record
        self.nodes: list[Node] = []
        self.source: dict[Node, str] = {}
        self._made: dict[Any, Callable[..., Any]] = {}

    def made(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, and the functions of its module that it calls, recorded."""
        if not isinstance(function, types.FunctionType):
            return function
        if function in self._made:
            return self._made[function]
        text, start = inspect.getsourcelines(function)
        source = textwrap.dedent("".join(text))
        definition = ast.parse(source).body[0]
        if not isinstance(definition, ast.FunctionDef):
            raise TypeError("a function that is defined by def")
        definition.decorator_list = []
        for node in ast.walk(definition):
            if isinstance(node, (*RECORDED, ast.AugAssign)):
                self.source[node] = ast.get_source_segment(source, node) or ""
        ast.increment_lineno(definition, start - 1)
        definition = _Wrapper(self.nodes).visit(definition)
        free = function.__code__.co_freevars
        outer = ast.parse(f"def outer({', '.join(free)}):\n    return {definition.name}")
        assert isinstance(outer.body[0], ast.FunctionDef)
        outer.body[0].body.insert(0, definition)
        names = dict(function.__globals__)
        names[SEEN] = lambda k, value: self.record.seen(self.nodes[k])(value)
        names[CALLED] = self._called
        code = compile(ast.fix_missing_locations(outer), function.__code__.co_filename, "exec")
        exec(code, names)  # the user's own definition, in which nothing is changed but what is written down
        result: Callable[..., Any] = names["outer"](*(cell.cell_contents for cell in function.__closure__ or ()))
        assert isinstance(result, types.FunctionType)
        result.__defaults__, result.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
        self._made[function] = result
        return result

    def _called(self, function: Any, *args: Any, **options: Any) -> Any:
        own = isinstance(function, types.FunctionType) and function.__module__ in {f.__module__ for f in self._made}
        return self.record.called(self.made(function) if own else function, *args, **options)


class _Wrapper(ast.NodeTransformer):
    """Puts a call around each expression that computes something."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        """The statement, and after it a look at what it has changed."""
        target = ast.parse(ast.unparse(node.target), mode="eval").body
        self.generic_visit(node)
        number = len(self.nodes)
        self.nodes.append(node)
        look = ast.Expr(ast.Call(ast.Name(SEEN, ast.Load()), [ast.Constant(number), target], []))
        return [node, ast.fix_missing_locations(ast.copy_location(look, node))]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if not isinstance(node, RECORDED):
            return node
        number = len(self.nodes)
        self.nodes.append(node)
        shown: ast.expr = node
        if isinstance(node, ast.Call):
            shown = ast.Call(ast.Name(CALLED, ast.Load()), [node.func, *node.args], node.keywords)
        wrapped = ast.Call(ast.Name(SEEN, ast.Load()), [ast.Constant(number), shown], [])
        return ast.fix_missing_locations(ast.copy_location(wrapped, node))


# Exact numbers where NumPy has none.


def _is_library(function: Any) -> bool:
    return isinstance(function, np.ufunc) or (getattr(function, "__module__", "") or "").startswith(("numpy", "scipy"))


def _each(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    ufunc = np.frompyfunc(lambda *a: function(*map(_arb, a)), count, 1)
    return lambda *args, **options: ufunc(*(np.asarray(a, dtype=object) for a in args[:count]))


def _arb(value: Any) -> flint.arb:
    return value if isinstance(value, flint.arb) else flint.arb(float(value))


def _logistic(x: flint.arb) -> flint.arb:
    return 1 / (1 + (-x).exp())


EXACT: dict[str, Callable[..., Any]] = {
    "logaddexp": _each(lambda a, b: (a.exp() + b.exp()).log(), 2),
    "hypot": _each(lambda a, b: (a * a + b * b).sqrt(), 2),
    "expit": _each(_logistic, 1),
    "erf": _each(flint.arb.erf, 1),
    "erfc": _each(flint.arb.erfc, 1),
    "xlogy": _each(lambda a, b: flint.arb(0) if a == 0 else a * b.log(), 2),
    "log1p": _each(flint.arb.log1p, 1),
    "expm1": _each(flint.arb.expm1, 1),
    "exp": _each(flint.arb.exp, 1),
    "log": _each(flint.arb.log, 1),
    "sqrt": _each(flint.arb.sqrt, 1),
    "tanh": _each(flint.arb.tanh, 1),
    "cosh": _each(flint.arb.cosh, 1),
    "sinh": _each(flint.arb.sinh, 1),
    "sin": _each(flint.arb.sin, 1),
    "cos": _each(flint.arb.cos, 1),
    "arctan": _each(flint.arb.atan, 1),
    "arctanh": _each(flint.arb.atanh, 1),
    "arcsinh": _each(flint.arb.asinh, 1),
}


# Who is wrong first.


@dataclass(frozen=True)
class _Scale:
    """What counts as wrong.

    Args:
        most, least: the largest number of the dtype, and the smallest normal one.
        allowed: the relative error that is none.
    """

    most: float
    least: float
    allowed: float

    @classmethod
    def of(cls, found: Found, dtype: np.dtype[Any]) -> _Scale:
        info = np.finfo(dtype)
        return cls(float(info.max), float(info.tiny), min(0.1, 0.1 * found.loss.error))

    def wrong(self, own: Any, true: Any) -> bool:
        """Whether some entry is not what it should be; what is beyond the dtype may be infinite."""
        return any(self._wrong(a, b) for a, b in _pairs(own, true) or () if b.is_finite())

    def _wrong(self, own: float, true: flint.arb) -> bool:
        beyond = not abs(true) < self.most
        if not math.isfinite(own) or beyond:
            return not (math.isinf(own) and beyond)
        return float(abs(flint.arb(own) - true).mid()) > max(self.allowed * float(abs(true.mid())), self.least)


def _first_wrong(both: list[tuple[tuple[Node, Any], tuple[Node, Any]]], scale: _Scale) -> Node | None:
    infinite: Node | None = None  # a division by what is 0 only in floating point
    for (node, own), (other, true) in both:
        if ast.dump(node) != ast.dump(other):
            return None
        if scale.wrong(own, true):
            no_number = any(math.isnan(a) for a, _ in _pairs(own, true) or ())
            return infinite if no_number and infinite is not None else node
        if infinite is None and _divides_by_underflow(node, own, true):
            infinite = node
    return None


def _leaves(value: Any) -> Iterator[Any]:
    """The arrays that a cache holds."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _first_without_number(computed: list[tuple[Node, Any]]) -> Node | None:
    """Where the truth is a limit: the first expression that is nan, else the first that is infinite."""
    for bad in (np.isnan, np.isinf):
        for node, value in computed:
            if isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind == "f" and bad(value).any():
                return node
    return None


def _divides_by_underflow(node: Node, own: Any, true: Any) -> bool:
    """An infinite quotient whose true value is finite, though beyond the dtype."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return False
    return any(math.isinf(a) and b.is_finite() for a, b in _pairs(own, true) or ())


def _pairs(own: Any, true: Any) -> list[tuple[float, flint.arb]] | None:
    """Corresponding entries; None where they are no numbers or differ in shape."""
    if isinstance(own, (bool, str, tuple, list, dict)) or own is None:
        return None
    try:
        left, right = np.asarray(own), np.asarray(true, dtype=object)
    except ValueError:
        return None
    if left.dtype.kind != "f" or left.shape != right.shape:
        return None
    return [(float(a), _arb(b)) for a, b in zip(left.ravel(), right.ravel(), strict=True)]


__all__ = ["Blamed", "blamed"]
