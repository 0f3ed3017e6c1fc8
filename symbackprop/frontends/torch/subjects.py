"""torch's Function classes, plain functions and modules as passes: run by torch itself, and rebuilt for the tracer.

torch runs in double precision: a cast to another floating type leaves numbers as they are, as it does in the equations.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symbackprop.errors import MalformedError
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import gradients
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import assume
from symbackprop.frontends.numpy.size import size
from symbackprop.frontends.passes import BACKWARD, Kept, Pass, arguments_in_order, by_name, signature_of
from symbackprop.frontends.structures import mapped
from symbackprop.frontends.torch.autograd import (
    has_setup,
    own_function,
    parameters_of,
    run_backward,
    run_forward,
)
from symbackprop.frontends.torch.namespace import stand_in
from symbackprop.frontends.torch.tensor import bare, call, dressed, torch

DATA = ("labels", "label", "onehot", "bern", "pm1")  # kinds of inputs of which nobody asks a gradient
STAND_INS = stand_in  # entered among the dialects


# --- torch itself --------------------------------------------------------------------------------------------------


@functools.cache
def _double_precision() -> Any:
    """The mode in which a cast to a floating type gives float64."""
    base = torch()
    narrow = {"float", "half", "bfloat16"}

    class DoublePrecision(base.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), options: Any = None) -> Any:
            def double(value: Any) -> Any:
                narrowed = isinstance(value, base.dtype) and value.is_floating_point
                return base.float64 if narrowed else value

            options = {k: double(v) for k, v in (options or {}).items()}
            name = getattr(function, "__name__", "")
            if name in narrow and args and isinstance(args[0], base.Tensor):
                return args[0].double()
            if name in ("finfo", "iinfo"):
                return function(*args, **options)
            return function(*map(double, args), **options)

    return DoublePrecision


@contextmanager
def running() -> Iterator[None]:
    """torch in double precision and without a compiler, for the time of a run; its random state is put back."""
    base = torch()
    before, state = base.get_default_dtype(), base.get_rng_state()
    base.set_default_dtype(base.float64)
    try:
        with _double_precision()():
            yield
    finally:
        base.set_default_dtype(before)
        base.set_rng_state(state)


def tensor_of(value: Any, needed: bool) -> Any:
    """A tensor of its own, a leaf of torch's graph where a gradient is needed."""
    array = np.asarray(value)
    made = torch().tensor(array.astype(np.int64) if array.dtype.kind in "iu" else array.astype(np.float64))
    return made.requires_grad_(needed and made.is_floating_point())


def array_of(value: Any) -> Any:
    """What torch gave, as an array."""
    return value.detach().numpy() if isinstance(value, torch().Tensor) else value


def listed(value: Any) -> tuple[Any, ...]:
    """One result as a tuple of one."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


# --- gradients on symbolic tensors ---------------------------------------------------------------------------------


def _symbolic_gradient(gradient: Any, inputs: Array, name: str, what: str) -> Any:
    """The gradient of an input, in the input's shape."""
    value = as_array(bare(gradient))
    if value.axes == inputs.axes:
        return value
    lead = value.ndim - inputs.ndim
    own = (inputs.shape, value.shape)
    ones = [k for k, n in enumerate(inputs.shape) if isinstance(n, int) and n == 1]
    fits = lead >= 0 and all(
        k in ones or n is m for k, (n, m) in enumerate(zip(inputs.axes, value.axes[lead:], strict=True))
    )
    if not fits:
        raise MalformedError(f"the backward of {what} returns a gradient of shape {own[1]} for {name}, "
                             f"whose shape is {own[0]}")  # fmt: skip
    axes = (*range(lead), *(lead + k for k in ones if value.shape[lead + k] != 1))
    return OPERATIONS["reshape"](OPERATIONS["sum"](value, axis=axes, keepdims=True), tuple(map(size, inputs.axes)))


# --- torch.autograd.Function ---------------------------------------------------------------------------------------


class _OfFunction:
    """The two passes of a Function class.

    Args:
        order: the arguments of its forward, by name.
        values: of those that are no inputs.
        wanted: the inputs of which a gradient is asked.
    """

    def __init__(self, kind: Any, order: Sequence[str], values: Mapping[str, Any], wanted: Sequence[str]) -> None:
        self.kind, self.order, self.values, self.wanted = kind, order, values, wanted

    # by torch

    def forward(self, **inputs: Any) -> Any:
        with running():
            leaves = {n: tensor_of(v, n in self.wanted) for n, v in inputs.items()}
            outputs, tensors = self._applied(leaves)
        plain = tuple(map(array_of, tensors))
        return (plain if isinstance(outputs, tuple) and len(plain) != 1 else plain[0]), (tensors, leaves)

    def backward(self, dout: Any, cache: Any) -> Any:
        outputs, leaves = cache
        with running():
            upstream = [tensor_of(d, False).reshape(o.shape) for d, o in zip(listed(dout), outputs, strict=True)]
            kept = [u.clone() for u in upstream]  # the backward may write into them
            found = torch().autograd.grad(outputs, [leaves[n] for n in self.wanted], upstream, allow_unused=True)
            named = {n: g for n, g in zip(self.wanted, found, strict=True) if g is not None}
            for name in named if len(self.wanted) > 1 else ():
                self._ask_alone(name, named[name], leaves, [u.clone() for u in kept])
        return {n: array_of(g) for n, g in named.items()}

    def _applied(self, leaves: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        """What the function returns, and its tensors that have a gradient."""
        given = {n: t.clone() for n, t in leaves.items()}  # no leaf may be written into, and a forward may
        outputs = self.kind.apply(*(given[n] if n in given else self.values[n] for n in self.order))
        return outputs, [o for o in listed(outputs) if isinstance(o, torch().Tensor) and o.requires_grad]

    def _ask_alone(self, name: str, gradient: Any, leaves: Mapping[str, Any], upstream: Sequence[Any]) -> None:
        """Ask for the gradient of one input while no other needs one, as where a layer is frozen.

        Raises:
            ValueError: it is another one then.
        """
        alone = {n: t.detach().clone().requires_grad_(n == name) for n, t in leaves.items()}
        _, tensors = self._applied(alone)
        if len(tensors) != len(upstream):
            return
        (found,) = torch().autograd.grad(tensors, [alone[name]], upstream, allow_unused=True)
        if found is None or not torch().allclose(found, gradient, rtol=1e-6, equal_nan=True):
            what = "no gradient" if found is None else "another gradient"
            raise ValueError(f"where {name} alone needs a gradient (needs_input_grad) it returns {what} of {name}")

    # on symbolic tensors

    def traced_forward(self, overlay: Any) -> Callable[..., Any]:
        cls = overlay.patch(self.kind)
        values = {n: overlay.patch(v) for n, v in self.values.items()}

        def forward(**inputs: Any) -> Any:
            tensors = {n: dressed(a) for n, a in inputs.items()}
            args = tuple(tensors[n] if n in tensors else values[n] for n in self.order)
            result, ctx = run_forward(cls, args, tuple(n in self.wanted for n in self.order))
            outputs = listed(result)
            kept = ctx.differentiable(outputs)
            if not kept:
                what = "None" if result is None else "no tensor that has a gradient"
                raise MalformedError(f"the forward of {self.kind.__name__} returns {what}")
            shown = tuple(bare(outputs[k]) for k in kept)
            return (shown if len(kept) > 1 else shown[0]), Kept(ctx=ctx, outputs=outputs, places=kept, inputs=tensors)

        return forward

    def traced_backward(self, overlay: Any) -> Callable[..., Any]:
        cls = overlay.patch(self.kind)

        def backward(dout: Any, cache: Any) -> Any:
            given = dict(zip(cache.places, map(dressed, listed(dout)), strict=True))
            upstream = [given[k] if k in given else _no_gradient(cache.ctx, o) for k, o in enumerate(cache.outputs)]
            found = run_backward(cls, cache.ctx, tuple(upstream), len(self.order))
            named = {n: g for n, g in zip(self.order, found, strict=True) if g is not None and n in self.wanted}
            name = self.kind.__name__
            return {n: _symbolic_gradient(g, cache.inputs[n], n, name) for n, g in named.items()}

        return backward


def _no_gradient(ctx: Any, output: Any) -> Any:
    """What a backward is handed for an output that has no gradient."""
    return call("zeros_like", output) if isinstance(output, Array) and ctx.materialize_grads else None


def function_passes(
    kind: Any, shapes: Mapping[str, Any], assume: Mapping[str, str], fixed: Mapping[str, Any]
) -> tuple[Pass, Pass]:
    """The forward and the backward of a torch.autograd.Function class."""
    name = kind.__name__
    for needed in ("forward", "backward"):
        if getattr(kind, needed) is getattr(torch().autograd.Function, needed):
            raise MalformedError(f"the class {name} has no {needed}", help="write it as a static method")
    first = None if has_setup(kind) else next(iter(inspect.signature(own_function(kind, "forward")).parameters), None)
    if first in shapes:
        raise MalformedError(f"the forward of {name} takes {first} where torch hands it the ctx",
                             help=f"write forward(ctx, {first}, ...), or a setup_context beside it")  # fmt: skip
    order, values = arguments_in_order(parameters_of(kind), shapes, fixed, f"the forward of {name}")
    wanted = [n for n in order if n in shapes and not str(assume.get(n, "")).startswith(DATA)]
    own = _OfFunction(kind, order, values, wanted)
    return (
        Pass(
            own_function(kind, "forward"),
            name,
            signature_of(order, values, shapes),
            own.forward,
            own.traced_forward,
            "torch",
            unrecorded=True,
        ),
        Pass(own_function(kind, "backward"), f"{name}.backward", BACKWARD, own.backward, own.traced_backward, "torch"),
    )


# --- plain functions -----------------------------------------------------------------------------------------------


def plain_pass(function: Callable[..., Any], fixed: Mapping[str, Any], *, differentiated: bool) -> Pass:
    """A plain function on tensors.

    Args:
        fixed: values of arguments, of which it takes those that it has parameters for.
        differentiated: it is a forward; what it detaches counts as constant.
    """
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    values = {n: v for n, v in fixed.items() if takes_any or n in parameters}
    signature = by_name(parameters, values)

    def real(**inputs: Any) -> Any:
        with running(), torch().no_grad():
            tensors = {n: _of_arrays(v) for n, v in inputs.items()}
            return _to_arrays(function(**{**values, **tensors}))

    def traced(overlay: Any) -> Callable[..., Any]:
        plain = overlay.patch(function)
        patched = {n: overlay.patch(v) for n, v in values.items()}

        def run(**inputs: Any) -> Any:
            with gradients("recorded" if differentiated else "ignored"):
                return _undressed(plain(**{**patched, **{n: mapped(dressed, v) for n, v in inputs.items()}}))

        return run

    name = getattr(function, "__name__", type(function).__name__)
    return Pass(function, name, signature, real, traced, "torch")


def _of_arrays(value: Any) -> Any:
    """Arrays as tensors, wherever they are; a cache that a forward returned is left as it is."""
    if isinstance(value, (np.ndarray, np.generic)):
        return tensor_of(value, False)
    if type(value) is dict:
        return {k: _of_arrays(v) for k, v in value.items()}
    return type(value)(map(_of_arrays, value)) if type(value) in (tuple, list) else value


def _to_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _to_arrays(v) for k, v in value.items()}
    if type(value) in (tuple, list):
        return type(value)(map(_to_arrays, value))
    return array_of(value)


def _undressed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _undressed(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(map(_undressed, value))
    return bare(value)


# --- modules -------------------------------------------------------------------------------------------------------


def is_function_class(value: Any) -> bool:
    """True for a class derived from torch.autograd.Function."""
    base = sys.modules.get("torch")
    return base is not None and isinstance(value, type) and issubclass(value, base.autograd.Function)


def is_module(value: Any) -> bool:
    """True for an instance of torch.nn.Module."""
    base = sys.modules.get("torch")
    return base is not None and hasattr(base, "nn") and isinstance(value, base.nn.Module)


def module_pass(module: Any, fixed: Mapping[str, Any]) -> Pass:
    """A module as a function of its inputs and of its parameters and buffers, by their dotted names."""
    forward = type(module).forward
    parameters = list(inspect.signature(module.forward).parameters.values())
    taken = {p.name for p in parameters}
    values = {n: v for n, v in fixed.items() if n in taken}
    shown = [p.replace(default=values[p.name]) if p.name in values else p for p in parameters]
    rest = inspect.Parameter("parameters_and_buffers", inspect.Parameter.VAR_KEYWORD)
    signature = inspect.Signature([*(p for p in shown if p.kind is not p.VAR_KEYWORD), rest])
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}

    def real(**inputs: Any) -> Any:
        state = {n: tensor_of(v, False) for n, v in inputs.items() if n in named}
        given = {n: tensor_of(v, False) for n, v in inputs.items() if n not in named}
        held = {n: t.detach().clone().double() if t.is_floating_point() else t.clone() for n, t in named.items()}
        with running(), torch().no_grad(), _of_these_sizes(module, state):
            result = torch().func.functional_call(module, {**held, **state}, (), {**values, **given})
        return _to_arrays(result)

    def traced(overlay: Any) -> Callable[..., Any]:
        patched = {n: overlay.patch(v) for n, v in values.items()}

        def run(**inputs: Any) -> Any:
            for name, tensor in named.items():
                if name in inputs:
                    overlay.stands_for(tensor, dressed(inputs[name]))
            for layer, weight in _normalizing(module):
                if weight in inputs:
                    assume(f"the normalized_shape of a {type(layer).__name__} is the shape of its weight")
                    overlay.stands_for(layer.normalized_shape, dressed(inputs[weight]).shape)
            given = {n: dressed(v) for n, v in inputs.items() if n not in named}
            return _undressed(overlay.patch(module)(**{**patched, **given}))

        return run

    return Pass(forward, type(module).__name__, signature, real, traced, "torch")


def _normalizing(module: Any) -> list[tuple[Any, str]]:
    """The layers that keep the shape of their weight, each with the weight's name."""
    layers = [(n, m) for n, m in module.named_modules() if getattr(m, "weight", None) is not None]
    return [
        (m, f"{n}.weight".lstrip(".")) for n, m in layers if isinstance(getattr(m, "normalized_shape", None), tuple)
    ]


@contextmanager
def _of_these_sizes(module: Any, state: Mapping[str, Any]) -> Iterator[None]:
    """The module with layers that know the sizes of the weights that they are given."""
    layers = [(layer, layer.normalized_shape, name) for layer, name in _normalizing(module) if name in state]
    for layer, _, name in layers:
        layer.normalized_shape = tuple(state[name].shape)
    try:
        yield
    finally:
        for layer, shape, _ in layers:
            layer.normalized_shape = shape


def all_shapes(module: Any, shapes: Mapping[str, Any]) -> dict[str, Any]:
    """The shapes that are given, and those of the other parameters as they are."""
    unmade = [n for n, p in module.named_parameters() if torch().nn.parameter.is_lazy(p)]
    if unmade:
        raise MalformedError(f"{type(module).__name__} has not made its {', '.join(unmade)} yet",
                             help="call it once: a lazy layer makes its parameters for the first input")  # fmt: skip
    own = {n: tuple(p.shape) for n, p in module.named_parameters() if n not in shapes}
    return {**dict(shapes), **own}
