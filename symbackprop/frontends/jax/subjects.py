"""JAX's custom_vjp functions and plain functions as passes: run by JAX itself, and rebuilt for the tracer.

JAX runs in double precision, compiled as a whole: function by function it would compile each operation alone.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symbackprop.errors import MalformedError
from symbackprop.frontends.jax.array import bare, dressed, jax
from symbackprop.frontends.jax.namespace import stand_in
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import gradients, of_a_rule
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.passes import BACKWARD, Kept, Pass, arguments_in_order, by_name, signature_of
from symbackprop.frontends.structures import leaves_of, like, mapped

STAND_INS = stand_in  # entered among the dialects
DATA = ("labels", "label", "onehot", "bern", "pm1")
CLOSE = 1e-6  # relative: what the function returns, and what its fwd returns


def is_custom(value: Any) -> bool:
    """True for a jax.custom_vjp function."""
    base = sys.modules.get("jax")
    return base is not None and hasattr(base, "custom_vjp") and isinstance(value, base.custom_vjp)


@contextmanager
def running() -> Iterator[None]:
    """JAX in double precision, for the time of a run."""
    base = jax()
    enable = base.enable_x64 if hasattr(base, "enable_x64") else base.experimental.enable_x64
    with enable(True):
        yield


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled once for each choice of shapes, with as little optimisation as there is."""
    base = jax()
    made: dict[Any, Any] = {}

    def run(*args: Any) -> Any:
        with running():
            arrays = base.tree.map(base.numpy.asarray, args)
            key = str(base.tree.map(lambda a: (a.shape, str(a.dtype)), arrays))
            if key not in made:
                lowered = base.jit(function).lower(*arrays)
                made[key] = _quickly(lowered)
            return base.tree.map(np.asarray, made[key](*arrays))

    return run


def _quickly(lowered: Any) -> Any:
    try:
        return lowered.compile({"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True})
    except Exception:  # an option that this version does not have
        return lowered.compile()


class _Itself:
    """A custom_vjp function in its own code: its formula, since its rule is what is asked; fun, fwd, bwd by name."""

    def __init__(self, overlay: Any, subject: Any, plain: Callable[..., Any]) -> None:
        self._overlay, self._subject, self.fun, self.__name__ = overlay, subject, plain, subject.__name__

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.fun(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return self._overlay.patch(getattr(self._subject, name))


class _OfCustom:
    """The two passes of a custom_vjp function.

    Args:
        order: its arguments, by name.
        values: of those that are no inputs.
        wanted: the inputs of which a gradient is asked.
    """

    def __init__(self, subject: Any, order: Sequence[str], values: Mapping[str, Any], wanted: Sequence[str]) -> None:
        self.subject, self.order, self.values, self.wanted = subject, list(order), values, list(wanted)
        self.undifferentiated = [self.order[k % len(self.order)] for k in subject.nondiff_argnums]
        self._run = compiled(self._both)

    def _arguments(self, inputs: Mapping[str, Any]) -> list[Any]:
        return [inputs[n] if n in inputs else self.values[n] for n in self.order]

    def _both(self, inputs: Any, upstream: Any) -> Any:
        """What the function itself returns, what its fwd returns, and the gradients: compiled together."""
        primal = jax().tree.leaves(self.subject.fun(*self._arguments(inputs)))
        rest = {n: v for n, v in inputs.items() if n not in self.wanted}
        moved = {n: inputs[n] for n in self.wanted}
        outputs, pull = jax().vjp(lambda m: self.subject(*self._arguments({**rest, **m})), moved)
        leaves, tree = jax().tree.flatten(outputs)
        pairs = zip(upstream, leaves, strict=True)
        given = [jax().numpy.reshape(u, o.shape).astype(o.dtype) for u, o in pairs]
        return primal, leaves, pull(jax().tree.unflatten(tree, given))[0]

    # by JAX

    def forward(self, **inputs: Any) -> Any:
        with running():
            shapes = jax().eval_shape(lambda i: self.subject.fun(*self._arguments(i)), inputs)
        upstream = [np.zeros(o.shape) for o in jax().tree.leaves(shapes)]
        return shown(self._run(inputs, upstream)[0]), inputs

    def backward(self, dout: Any, cache: Any) -> Any:
        primal, again, found = self._run(cache, listed(dout))
        for one, other in zip(primal, again, strict=True):
            scale = float(np.max(np.abs(one), initial=1e-9))
            if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=CLOSE * scale):
                raise ValueError(f"fwd returns something else than {self.subject.__name__} itself")
        return {n: mapped(np.asarray, found[n]) for n in self.wanted}

    # on symbolic arrays

    def traced_forward(self, overlay: Any) -> Callable[..., Any]:
        plain = overlay.patch(self.subject.fun)
        overlay.stands_for(self.subject, _Itself(overlay, self.subject, plain))
        forward = overlay.patch(self.subject.fwd)
        values = {n: overlay.patch(v) for n, v in self.values.items()}

        def run(**inputs: Any) -> Any:
            def fresh() -> list[Any]:
                return [mapped(dressed, inputs[n]) if n in inputs else values[n] for n in self.order]

            with of_a_rule():
                outputs = plain(*fresh())
                returned = forward(*fresh())
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise MalformedError(f"fwd of {self.subject.__name__} does not return (output, residuals)")
            leaves = leaves_of(outputs)
            again, residuals = leaves_of(returned[0]), returned[1]
            if len(leaves) != len(again):
                raise MalformedError(f"fwd of {self.subject.__name__} returns {len(again)} outputs, "
                                     f"the function itself {len(leaves)}")  # fmt: skip
            return shown(leaves), Kept(map(bare, again), kept=residuals, outputs=outputs)

        return run

    def traced_backward(self, overlay: Any) -> Callable[..., Any]:
        plain = overlay.patch(self.subject.bwd)
        values = {n: overlay.patch(v) for n, v in self.values.items()}

        def run(dout: Any, cache: Any) -> Any:
            upstream = like(cache.outputs, iter([dressed(d) for d in listed(dout)]))
            given = (*(values[n] for n in self.undifferentiated), cache.kept, upstream)
            self._must_take(given)
            with gradients("ignored"):
                found = plain(*given)
            names = [n for n in self.order if n not in self.undifferentiated]
            if not isinstance(found, (tuple, list)):
                raise MalformedError(f"bwd of {self.subject.__name__} does not return a tuple of gradients",
                                     help="of one argument as well: return (gradient,)")  # fmt: skip
            if len(found) != len(names):
                returned = f"{len(found)} gradient{'s' * (len(found) != 1)}"
                raise MalformedError(f"bwd of {self.subject.__name__} returns {returned} for {len(names)} "
                                     f"argument{'s' * (len(names) != 1)}: {', '.join(names)}",
                                     help="return None for an argument that has no gradient")  # fmt: skip
            pairs = zip(names, found, strict=True)
            return {n: mapped(_plain, g) for n, g in pairs if g is not None and n in self.wanted}

        return run

    def _must_take(self, given: Sequence[Any]) -> None:
        """Refuse a bwd that does not take what JAX hands it.

        Raises:
            MalformedError: says what that is.
        """
        try:
            inspect.signature(self.subject.bwd).bind(*given)
        except TypeError as error:
            first = "".join(f"{n}, " for n in self.undifferentiated)
            raise MalformedError(f"bwd of {self.subject.__name__} cannot be called by JAX: {error}",
                                 help=f"it is handed ({first}residuals, gradient)") from None  # fmt: skip
        except ValueError:  # it has no signature
            return


def _plain(gradient: Any) -> Array:
    return as_array(bare(gradient))


def listed(value: Any) -> list[Any]:
    """A value, or several, as a list."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def shown(leaves: Sequence[Any]) -> Any:
    """The outputs as the checker takes them: an array, or a tuple of arrays."""
    plain = tuple(bare(v) if isinstance(v, Array) else v for v in leaves)
    return plain if len(plain) != 1 else plain[0]


def custom_passes(
    subject: Any, shapes: Mapping[str, Any], assume: Mapping[str, str], fixed: Mapping[str, Any]
) -> tuple[Pass, Pass]:
    """The function itself with its fwd, and its bwd.

    Raises:
        MalformedError: it has no rule, or the arguments do not fit.
    """
    name = getattr(subject, "__name__", "the function")
    if getattr(subject, "fwd", None) is None or getattr(subject, "bwd", None) is None:
        raise MalformedError(f"{name} has no rule", help=f"{name}.defvjp(fwd, bwd)")
    parameters = dict(inspect.signature(subject.fun).parameters)
    order, values = arguments_in_order(parameters, shapes, fixed, name)
    wanted = [n for n in order if n in shapes and not str(assume.get(n, "")).startswith(DATA)]
    own = _OfCustom(subject, order, values, [n for n in wanted if n not in _undifferentiated(subject, order)])
    backward = f"{name}'s {getattr(subject.bwd, '__name__', 'bwd')}"
    return (
        Pass(
            subject.fun,
            name,
            signature_of(order, values, shapes),
            own.forward,
            own.traced_forward,
            "JAX",
            unrecorded=True,
        ),
        Pass(subject.bwd, backward, BACKWARD, own.backward, own.traced_backward, "JAX"),
    )


def _undifferentiated(subject: Any, order: Sequence[str]) -> list[str]:
    return [order[k % len(order)] for k in subject.nondiff_argnums]


def plain_pass(function: Callable[..., Any], fixed: Mapping[str, Any], *, differentiated: bool) -> Pass:
    """A plain function on JAX's arrays."""
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    values = {n: v for n, v in fixed.items() if takes_any or n in parameters}
    signature = by_name(parameters, values)

    whole = compiled(lambda inputs: function(**{**values, **inputs}))

    def real(**inputs: Any) -> Any:
        try:
            return whole(inputs)
        except (jax().errors.JAXTypeError, TypeError):
            return eagerly(**inputs)  # it asks for numbers, which there are none yet while it is compiled

    def eagerly(**inputs: Any) -> Any:
        with running():
            arrays = {n: jax().tree.map(jax().numpy.asarray, v) for n, v in inputs.items()}
            return jax().tree.map(np.asarray, function(**{**values, **arrays}))

    def traced(overlay: Any) -> Callable[..., Any]:
        plain = overlay.patch(function)
        patched = {n: overlay.patch(v) for n, v in values.items()}

        def run(**inputs: Any) -> Any:
            with gradients("recorded" if differentiated else "ignored"):
                return _undressed(plain(**{**patched, **{n: mapped(dressed, v) for n, v in inputs.items()}}))

        return run

    name = getattr(function, "__name__", type(function).__name__)
    return Pass(function, name, signature, real, traced, "JAX")


def _undressed(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _undressed(v) for n, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(map(_undressed, value))
    return bare(value)


__all__ = ["compiled", "custom_passes", "is_custom", "listed", "plain_pass", "shown"]
