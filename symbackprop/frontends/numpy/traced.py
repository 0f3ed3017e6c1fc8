"""One function as a program (`trace`), or a forward and its hand-written backward (`trace_pair`).

A forward that returns `(out, cache)` and a backward that takes the cache share a session, so the cache's arrays are
tensors of the forward's equations.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from symbackprop.errors import MalformedError, TraceError, reports_all
from symbackprop.expression.build import ZERO, Expr, Symbol, Tensor, substitute
from symbackprop.expression.program import Program
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.opaque import NotUsable
from symbackprop.frontends.numpy.session import UNWRITTEN, Ran
from symbackprop.frontends.numpy.size import Size, SymbolicList
from symbackprop.frontends.numpy.state import Place, numbered
from symbackprop.frontends.numpy.symbolic import STANDS_FOR
from symbackprop.frontends.numpy.tracer import Shape, Tracer, known_names, name_of
from symbackprop.frontends.structures import by_input

ALL_WRITTEN = "every entry of an np.empty array is written before it is read"
UPSTREAM = ("d", "grad", "g_", "upstream", "accum", "error", "bar")  # how names of upstream gradients begin
LONGEST_SHORT = 3  # of those that begin with a g alone: gy, ghn
KEPT = ("mask", "cache", "ctx", "memory", "saved", "data", "state", "dict", "drop")


@dataclass(frozen=True)
class Traced:
    """A forward and a backward, as equations.

    Args:
        forward: the forward pass; its outputs are what the function returned (without a cache).
        backward: the backward pass; inputs are the upstream tensors, then the forward's inputs; outputs the gradients.
            With a cache it begins with the forward's equations that it needs.
        upstream: the tensors of `dout`, one for each output; empty if the backward takes none.
        gradients: name of an input -> the tensor that the backward returned for it.
        variables: tensor -> the user's own name for it.
        sizes: the sizes that were fixed to numbers.
        repeated: the outputs once more, as a rule for the derivative computes them: they must be the same.
        ran: the lines of the user's code that computed something, in the order in which they ran.
        unasked: why NumPy could not be asked whether the equations are what it computes; "" if it was.
        telling: the sizes at which numbers tell most of the two, once they have been sought.
        reading: which of two readings of the backward's arguments was taken; "" if there is one alone.
    """

    forward: Program
    backward: Program
    upstream: tuple[Tensor, ...]
    gradients: dict[str, Tensor]
    variables: dict[Tensor, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    repeated: Program | None = None
    unasked: str = ""
    ran: tuple[Ran, ...] = field(default=(), repr=False, compare=False)
    telling: list[dict[Symbol, int]] = field(default_factory=list, repr=False, compare=False)
    reading: str = ""

    def written(self) -> Traced:
        """The same with 0 for every entry of an np.empty array that is not written: to be asked for when it has been
        made sure that none is read."""
        if not any(map(unwritten, (self.forward, self.backward))):
            return self
        forward = replace(_written(self.forward), conditions=(*self.forward.conditions, ALL_WRITTEN))
        return replace(self, forward=forward, backward=_written(self.backward))


# --- one function, or two -----------------------------------------------------------------------------------------


@reports_all
def trace(
    function: Callable[..., Any],
    shapes: Mapping[str, Shape],
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    seconds: float = 20.0,
) -> Program:
    """The program of a NumPy function as its lines say it; `api.trace`, which has the same arguments, asks NumPy too.

    Raises:
        NeedsConcreteSizes: `.symbols` are the sizes that must be fixed.
        TraceError: the function does something that cannot be traced.
    """
    attributes = _check_arguments(function, shapes)

    def once(unknown: Sequence[Place]) -> tuple[Program, list[Place]]:
        tracer = Tracer(shapes, assume, where, sizes, attributes, seconds, unknown)
        result = tracer.run(function, **_arguments(tracer, function))
        named = _named_outputs(result, function, tracer.sizes)
        outputs = [tracer.tensor(v, n) for n, v in named.items()]
        return tracer.program(tuple(tracer.inputs.values()), outputs), tracer.overlay.state.changed_places()

    program = _whatever_was_kept(once, function)
    return replace(_written(program), name=name_of(function), lines=_code(function), function=function)


def _equations(traced: Any) -> list[Any]:
    """What a trace says, with bound indices by number: two traces never share them."""
    if isinstance(traced, Traced):
        return [_equations(traced.forward), _equations(traced.backward), list(traced.gradients.items())]
    said = [(e.tensor, e.indices, numbered(e.value, {})) for e in traced.equations]
    return [said, traced.inputs, traced.outputs, traced.parameters]


T = TypeVar("T")


def _whatever_was_kept(once: Callable[[Sequence[Place]], tuple[T, list[Place]]], function: Callable[..., Any]) -> T:
    """What a trace gives, whatever earlier calls have left in the user's objects.

    Raises:
        TraceError: it depends on that.
    """
    first, changed = once(())
    if not changed:
        return first
    again, _ = once(changed)
    if _equations(again) != _equations(first):
        shown = ", ".join(dict.fromkeys(p.shown.partition(",")[0] for p in changed))
        raise TraceError(f"{name_of(function)} changes {shown}, and what it returns depends on that",
                         help="a result must depend on the arguments alone")  # fmt: skip
    return first


def _code(function: Callable[..., Any]) -> dict[int, str]:
    """The statements of a function by the lines of its file on which they begin; none if its source is not found."""
    try:
        source, start = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(source)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    simple = [n for n in ast.walk(tree) if isinstance(n, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return)]
    return {start + n.lineno - 1: ast.unparse(n) for n in simple}


def unwritten(program: Program) -> list[Symbol]:
    """The parameters of a program that stand for what np.empty arrays hold."""
    return [s for s in program.parameters if s.name.startswith(UNWRITTEN)]


def _written(program: Program) -> Program:
    found = unwritten(program)
    if not found:
        return program
    zeros: dict[Expr, Expr] = dict.fromkeys(found, ZERO)
    equations = tuple(replace(e, value=substitute(e.value, zeros)) for e in program.equations)
    return replace(
        program,
        equations=equations,
        parameters=tuple(s for s in program.parameters if s not in found),
        conditions=(*program.conditions, ALL_WRITTEN),
    )


def trace_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    shapes: Mapping[str, Shape],
    assume: Mapping[str, str] | None = None,
    where: str | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    roles: Mapping[str, str] | None = None,
    seconds: float = 20.0,
) -> Traced:
    """A forward and its hand-written backward, in one session.

    forward(**inputs) -> array, tuple of arrays or scalar, or (out, cache).
    backward(dout, **inputs), backward(**inputs) for a scalar, or backward(dout, cache); returns {name: gradient},
    with or without a leading "d", or the gradients in the order of the inputs.

    Args:
        roles: what the backward's own arguments are taken for, where `backward_roles` is not to say it.

    Raises:
        NeedsConcreteSizes, TraceError: as `trace`; the message names the function.
        MalformedError: the arguments or results are not of one of these forms.
    """
    attributes = _check_arguments(forward, shapes)
    taken = roles or backward_roles(forward, backward, shapes)

    def once(unknown: Sequence[Place]) -> tuple[Traced, list[Place]]:
        tracer = Tracer(shapes, assume, where, sizes, attributes, seconds, unknown)
        return _both_traced(tracer, forward, backward, taken), tracer.overlay.state.changed_places()

    return _whatever_was_kept(once, forward)


def _both_traced(
    tracer: Tracer, forward: Callable[..., Any], backward: Callable[..., Any], roles: Mapping[str, str]
) -> Traced:
    """Forward and backward, run in one session."""
    given = _arguments(tracer, forward)
    result = tracer.run(forward, **given)
    reading = _reading(result, roles, forward)
    changed = [n for n, a in given.items() if isinstance(a, Array) and a.buffer.version]
    result, cache = outputs_and_cache(result, roles)
    named = _named_outputs(result, forward, tracer.sizes)
    outputs = [tracer.tensor(v, n) for n, v in named.items()]
    inputs = tuple(tracer.inputs.values())
    first = tracer.program(inputs, outputs)
    again = [tracer.tensor(v, "again") for v in getattr(cache, "repeated", ())]
    repeated = tracer.program(inputs, again) if again else None
    scalar = len(outputs) == 1 and not outputs[0].shape
    labels = [n for n, role in roles.items() if role == "upstream"]
    if len(labels) > 1 and len(labels) != len(outputs):
        outputs_are = f"outputs:  {len(outputs)}"
        raise MalformedError(f"{name_of(backward)} takes the upstream gradients {', '.join(labels)}, "
                             f"which are not as many as the outputs", evidence=[outputs_are])  # fmt: skip
    if labels:
        several = len(labels) == 1 < len(outputs)
        names = [f"{labels[0]}_{k + 1}" for k in range(len(outputs))] if several else labels
        tracer.upstream = tuple(tracer.session.new_tensor(n, t.shape) for n, t in zip(names, outputs, strict=True))
    elif not scalar:
        raise MalformedError(f"{name_of(backward)} takes no upstream gradient, but the forward returns an array")
    values = _arguments(tracer, backward, beside_inputs(roles, tuple(map(tracer.array, tracer.upstream)), cache))
    for name in [n for n in changed if n in values]:
        condition = f"{name_of(backward)} is given {name} as it was before {name_of(forward)} changed it in place"
        tracer.session.conditions[condition] = None
    returned = tracer.run(backward, **values)
    gradients = {n: tracer.tensor(v, f"d{n}") for n, v in _gradients(returned, tracer, backward).items()}
    second = tracer.program((*tracer.upstream, *inputs), tuple(gradients.values()))
    variables, sizes = dict(tracer.session.variables), dict(tracer.sizes)
    ran = tuple(tracer.session.ran)
    return Traced(first, second, tracer.upstream, gradients, variables, sizes, repeated, ran=ran, reading=reading)


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        raise MalformedError(f"the arguments of {function!r} cannot be read") from None


def _check_arguments(function: Callable[..., Any], shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Every argument has a shape or a default; returns the defaults."""
    parameters = _parameters(function)
    if not isinstance(shapes, Mapping):
        raise MalformedError(f"shapes is {_description(shapes)}, not a dictionary", help='write {"x": ("N", "D")}')
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    by_place = [
        n for n, p in parameters.items()
        if p.kind is p.POSITIONAL_ONLY or (p.kind is p.VAR_POSITIONAL and not by_name)
    ]  # fmt: skip
    if by_place and not isinstance(function, np.ufunc):
        name = name_of(function)
        example = f"lambda x: {name}(x)" if len(by_place) == 1 else "def f(x, w): ..."
        help = f"inputs are handed over by their names: give each a name, as in {example}"
        raise MalformedError(f"{name} takes {', '.join(by_place)} by place alone", help=help)
    if not by_name:
        known_names(shapes, parameters, "shapes")
    missing = [
        n for n, p in parameters.items()
        if n not in shapes and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]  # fmt: skip
    if missing:
        raise MalformedError(f"shapes does not say the shape of {', '.join(missing)}")
    return {n: p.default for n, p in parameters.items() if p.default is not p.empty}


def _arguments(tracer: Tracer, function: Callable[..., Any], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Fresh arrays for the inputs that the function takes, beside what is given."""
    parameters = _parameters(function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    arrays = {n: tracer.array(t) for n, t in tracer.inputs.items() if takes_any or n in parameters}
    return arrays | dict(given or {})


def backward_roles(forward: Callable[..., Any], backward: Callable[..., Any], shapes: Iterable[str]) -> dict[str, str]:
    """Which of the backward's own arguments are upstream gradients, and which is the cache: name -> role.

    There is one upstream gradient, of all outputs, or by their names one of each: backward(dy, dh, x). What the forward
    pass has under the same name is what it keeps: dtanh, of `return np.tanh(x), dtanh`.

    Args:
        shapes: the names of the forward's inputs.
    """
    inputs = set(shapes)
    own = [
        n for n, p in _parameters(backward).items()
        if n not in inputs and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]  # fmt: skip
    kept = getattr(getattr(forward, "__code__", None), "co_varnames", ())
    told = [n for n in own if says_upstream(n) and n not in kept]
    if len(told) > 1 and told == own[: len(told)] and len(own) - len(told) < 2:
        return {n: "upstream" if n in told else "cache" for n in own}
    if len(own) > 2:
        raise MalformedError(f"{name_of(backward)} takes {', '.join(own)}, of which shapes says nothing",
                             help="it takes the upstream gradient, then the inputs or a cache")  # fmt: skip
    if len(own) == 1 and own[0] in ("cache", "ctx", "context", "saved"):
        return {own[0]: "cache"}
    return dict(zip(own, ("upstream", "cache"), strict=False))


def other_roles(forward: Callable[..., Any], backward: Callable[..., Any], shapes: Iterable[str]) -> dict[str, str]:
    """The other reading of two arguments of a backward pass: the second is a cache, or an upstream gradient as the
    first is; empty where the names leave nothing open."""
    roles = backward_roles(forward, backward, shapes)
    if list(roles.values()) not in (["upstream", "cache"], ["upstream", "upstream"]) or _is_told(forward, roles):
        return {}
    first, second = roles
    return {first: "upstream", second: "upstream" if roles[second] == "cache" else "cache"}


def roles_as_traced(
    forward: Callable[..., Any], backward: Callable[..., Any], shapes: Iterable[str], upstream: Sequence[Tensor]
) -> dict[str, str]:
    """`backward_roles` as they were taken: upstream gradients are called as the arguments that they are given by."""
    roles = backward_roles(forward, backward, shapes)
    given = {t.name for t in upstream} & set(roles)
    if not given or len(given) != len(upstream):
        return roles
    return {n: "upstream" if n in given else "cache" for n in roles}


def _is_told(forward: Callable[..., Any], roles: Mapping[str, str]) -> bool:
    """True if the name of the second of two arguments says what it is."""
    _, second = roles
    names = getattr(getattr(forward, "__code__", None), "co_varnames", ())
    if second in names or any(word in second.lower() for word in KEPT):
        return True
    starts = ("d", "grad", "g") if roles[second] == "upstream" else ()
    return any(second in (f"{start}{n}", f"{start}_{n}") for n in names for start in starts)  # dh, and there is an h


def _reading(result: Any, roles: Mapping[str, str], forward: Callable[..., Any]) -> str:
    """What the second of two arguments was taken for, if by its name alone it might be the other thing as well.

    Of `return y, h` and `backward(dy, gate)` the gate may be h, which the forward pass keeps, or the gradient of h.
    """
    if len(roles) != 2 or not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], Array):
        return ""
    if _is_told(forward, roles):
        return ""
    first, second = roles
    if roles[second] == "cache":
        return (f"took {second} for the second result of {name_of(forward)}, which is no output then; an upstream "
                f"gradient of it is known by a name such as d{second} or grad_{second}")  # fmt: skip
    return f"took {first} and {second} for the upstream gradients of both results of {name_of(forward)}"


def says_upstream(argument: str) -> bool:
    """True if an argument of a backward pass is an upstream gradient by its name, and no mask or cache."""
    plain = argument.lower()
    short = plain.startswith("g") and len(plain) <= LONGEST_SHORT
    return (short or plain.startswith(UPSTREAM)) and not any(word in plain for word in KEPT)


def beside_inputs(roles: Mapping[str, str], upstream: tuple[Any, ...], cache: Any) -> dict[str, Any]:
    """What a backward pass is handed beside the inputs, by name.

    Args:
        roles: as `backward_roles` gives them.
        upstream: one gradient for each output.
    """
    labels = [n for n, role in roles.items() if role == "upstream"]
    given = upstream if len(labels) > 1 else (upstream[0] if len(upstream) == 1 else upstream,)
    return dict(zip(labels, given, strict=False)) | {n: cache for n, role in roles.items() if role == "cache"}


def outputs_and_cache(result: Any, roles: Mapping[str, str]) -> tuple[Any, Any]:
    """What a forward pass returned; the cache is None where the backward pass takes none.

    Args:
        roles: of the backward's other arguments, as `backward_roles` gives them.
    """
    if "cache" not in roles.values() or not isinstance(result, tuple):
        return result, None
    if len(result) == 2:
        return result
    beside = len(roles) > 2 and len(result) == len(roles)  # y, h, cache for backward(dy, dh, cache)
    return (result[:-1], result[-1]) if beside else (result, None)


def _named_outputs(result: Any, function: Callable[..., Any], fixed: Mapping[str, int]) -> dict[str, Any]:
    """The returned arrays, each with a name for its equation.

    Args:
        fixed: sizes that are fixed; at some of them a sum may be one of no terms, which is Python's 0.
    """
    if fixed and type(result) is int:
        result = float(result)
    if isinstance(result, dict) and result:
        return {str(k): _output(v, function) for k, v in result.items()}
    if isinstance(result, tuple) and result:
        return {f"out_{k + 1}": _output(v, function) for k, v in enumerate(result)}
    return {"out": _output(result, function)}


def _output(value: Any, function: Callable[..., Any]) -> Any:
    if inspect.iscoroutine(value):
        value.close()
        raise MalformedError(f"{name_of(function)} is an async function", help="write def, without async")
    if isinstance(value, (Array, Size, float)):
        return value
    if isinstance(value, NotUsable):
        raise value.stop()
    shown = STANDS_FOR.get(type(value))
    if shown is not None and not isinstance(value, SymbolicList):
        raise TraceError(f"{name_of(function)} returns {shown}, which cannot be traced")
    raise MalformedError(f"{name_of(function)} returns {_description(value)}, not an array",
                         help="return an array, a tuple of arrays, or a scalar computed from the inputs")  # fmt: skip


def _description(value: Any) -> str:
    kind = list if isinstance(value, SymbolicList) else type(value)
    return "nothing" if value is None else f"a value of type {kind.__name__}"


def _gradients(returned: Any, tracer: Tracer, backward: Callable[..., Any]) -> dict[str, Any]:
    """input -> gradient, from a dictionary or a record, or from a tuple in the order of the real inputs."""
    returned = by_input(returned, tracer.inputs)
    if isinstance(returned, dict):
        named = returned
        known_names(named, tracer.inputs, f"the result of {name_of(backward)}")
    else:
        values = returned if isinstance(returned, (tuple, list)) else (returned,)
        real = [n for n, t in tracer.inputs.items() if t.kind == "real"]
        if len(values) > len(real):
            raise MalformedError(f"{name_of(backward)} returns {len(values)} gradients for {len(real)} inputs")
        named = dict(zip(real, values, strict=False))
    if not named:
        inputs = "inputs:  " + ", ".join(tracer.inputs)
        raise MalformedError(f"{name_of(backward)} returns no gradient", evidence=[inputs])
    for name, value in named.items():
        if isinstance(value, NotUsable):
            raise value.stop()
        if not isinstance(value, (Array, Size, float, int)):
            raise MalformedError(f"{name_of(backward)} returns {_description(value)} as the gradient of {name}")
    return named
