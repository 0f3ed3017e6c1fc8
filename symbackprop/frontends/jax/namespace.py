"""What stands in for jax, its modules, functions and values in traced code."""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

import symbackprop.frontends.jax.control_flow  # noqa: F401  enters its functions
from symbackprop.errors import TraceError
from symbackprop.frontends.jax.array import bare, call, dressed, jax
from symbackprop.frontends.jax.functions import JNP, LAX, LINALG, NN, OPS, SPECIAL
from symbackprop.frontends.jax.transforms import TRANSFORMS
from symbackprop.frontends.jax.trees import TREES
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.batching import batched
from symbackprop.frontends.numpy.creation import convert_to
from symbackprop.frontends.numpy.dialects import UNKNOWN, Unchanging, dialect
from symbackprop.frontends.numpy.differentiation import (
    OF_HALF,
    by_its_formula,
    decides_itself,
    gradients,
    must_be_shown,
    of_a_rule,
)
from symbackprop.frontends.numpy.inner_derivatives import are_equal, is_rule_of, leaf
from symbackprop.frontends.numpy.namespace import constant, type_stand_in
from symbackprop.frontends.numpy.opaque import RANDOM, Refused, Source
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.frontends.numpy.session import as_numpy, assume, guarded
from symbackprop.frontends.numpy.symbolic import STAND_INS
from symbackprop.frontends.structures import leaves_of, like

_LOOPS = {"while_loop", "associative_scan", "switch"}
_FLOATS = {"float32", "float64", "float16", "bfloat16", "float_", "double", "single"}
_PREFIX = {"jax.numpy": "", "jax.numpy.linalg": "linalg.", "jax.scipy.special": "special.",
           "jax.scipy.linalg": "scipy.linalg."}  # fmt: skip


class Namespace:
    """A module of JAX."""

    def __init__(self, overlay: Any, module: types.ModuleType) -> None:
        self._overlay, self._module = overlay, module

    @guarded
    def __getattr__(self, name: str) -> Any:
        home = self._module.__name__
        found = _operation(home, name)
        if found is not None:
            return found
        if not hasattr(self._module, name):
            raise as_numpy(AttributeError(f"module {home!r} has no attribute {name!r}"))
        value = getattr(self._module, name)
        if home == "jax.numpy" and name in _FLOATS:
            if name == "float16":
                assume(OF_HALF)
            return STAND_INS[np.float64]
        if isinstance(value, float):
            return constant(value)
        if home == "jax" and name in _TRANSFORMS:
            return _TRANSFORMS[name]
        if home.startswith("jax.random"):
            return Source(f"{home}.{name}", RANDOM)
        if home == "jax.lax" and name in _LOOPS:
            return Refused(f"jax.lax.{name}", "a loop of JAX: write it in Python, or give its lengths as numbers")
        if isinstance(value, type) and home == "jax.numpy":
            return self._overlay.patch(value, f"{home}.{name}")
        if value is None or isinstance(value, (int, str)):
            return value
        return self._overlay.patch(value, f"{home}.{name}")

    @guarded
    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise TraceError(f"an assignment to {self._module.__name__}.{name} cannot be traced")
        object.__setattr__(self, name, value)


def _operation(home: str, name: str) -> Any:
    """The function of that name of a module of JAX, on symbolic arrays."""
    if home == "jax.nn" and name in NN:
        return NN[name]
    if home == "jax.ops" and name in OPS:
        return OPS[name]
    if home == "jax.scipy.special" and name in SPECIAL:
        return SPECIAL[name]
    if home == "jax.lax" and name in LAX:
        return LAX[name]
    if home == "jax.numpy.linalg" and name in LINALG:
        return LINALG[name]
    if home == "jax.numpy" and name in JNP:
        return JNP[name]
    if home == "jax.tree" and name in TREES:
        return TREES[name]
    if (home == "jax.tree_util" or (home == "jax" and name.startswith("tree_"))) and name.removeprefix(
        "tree_"
    ) in TREES:
        return TREES[name.removeprefix("tree_")] if name.startswith("tree_") else None
    if home in _PREFIX:
        if home == "jax.numpy" and name in NN and _PREFIX[home] + name not in OPERATIONS:
            return NN[name] if name == "softmax" else None
        if _PREFIX[home] + name in OPERATIONS and name not in _MUTATING:
            return _Operation(_PREFIX[home] + name)
    return None


_MUTATING = {"put_along_axis", "fill_diagonal", "setitem", "inplace", "drawn", "getitem"}


class _Operation:
    """A function of jax.numpy."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The operation of that name."""
        options = {
            n: v for n, v in options.items() if n not in ("precision", "preferred_element_type", "promote_integers")
        }
        return call(self.__name__, *args, **options)


def _itself(function: Any = None, *_: Any, **options: Any) -> Any:
    """jit, checkpoint, remat: the function."""
    return functools.partial(_itself, **options) if function is None else function


def _vmap(function: Any, in_axes: Any = 0, out_axes: Any = 0, **_: Any) -> Any:
    return guarded(batched(function, in_axes, out_axes, bare, dressed))


_TRANSFORMS: dict[str, Any] = {
    "jit": _itself, "checkpoint": _itself, "remat": _itself, "vmap": guarded(_vmap), "named_scope": Unchanging(),
    "named_call": _itself, "named_computation": _itself, "default_matmul_precision": Unchanging(), **TRANSFORMS,
}  # fmt: skip


_HOMES = ("jax.numpy", "jax.numpy.linalg", "jax.nn", "jax.lax", "jax.ops", "jax.scipy.linalg",
          "jax.scipy.special", "jax.tree", "jax.tree_util", "jax")  # fmt: skip


def _by_identity() -> dict[int, Any]:
    """id of JAX's own functions -> what stands in for them, however they were imported."""
    return _table(tuple(name for name in _HOMES if name in sys.modules))


@functools.cache
def _table(homes: tuple[str, ...]) -> dict[int, Any]:
    base = jax()
    table: dict[int, Any] = {}
    for home in (sys.modules[name] for name in homes):
        for name in dir(home):
            value = getattr(home, name, None)
            found = _operation(home.__name__, name)
            if found is None and home is base:
                found = _TRANSFORMS.get(name)
            if found is not None and callable(value):
                table.setdefault(id(value), found)
    return table


@dialect
def stand_in(overlay: Any, value: Any, name: str) -> Any:
    """What stands in for a value of JAX's."""
    base = sys.modules.get("jax")
    if base is None or not hasattr(base, "numpy"):
        return UNKNOWN
    if isinstance(value, types.ModuleType):
        return Namespace(overlay, value) if value.__name__.partition(".")[0] == "jax" else UNKNOWN
    known = _by_identity().get(id(value))
    if known is not None:
        return known
    if isinstance(value, (base.custom_vjp, base.custom_jvp)):
        return _nested(overlay, value)
    if isinstance(value, base.Array):
        return dressed(as_array(np.asarray(value)))
    if value is base.Array:
        return type_stand_in(base.Array, _not_made)
    if "fun" in _closure(value) and hasattr(value, "__wrapped__"):  # it has the user's name and module
        return _transformed(overlay, value, value.__wrapped__, name)
    home = (getattr(type(value), "__module__", "") or "").partition(".")[0]
    own = (getattr(value, "__module__", "") or "").partition(".")[0]
    if not {home, own} & {"jax", "jaxlib"}:
        return UNKNOWN
    return _of_jax(overlay, value, name)


def _not_made(*_: Any, **__: Any) -> Any:
    raise TraceError("an array that is made by calling its class cannot be traced", help="use jnp.array")


def _of_jax(overlay: Any, value: Any, name: str) -> Any:
    inner = getattr(value, "__wrapped__", None)
    if inner is not None and callable(value):
        return _transformed(overlay, value, inner, name)
    if isinstance(value, type):
        scalar = getattr(value, "dtype", None)
        if isinstance(scalar, np.dtype):  # integers of a few bits wrap around, as NumPy's do
            own = scalar.type if scalar.kind in "biu" else np.float64
            return type_stand_in(own, convert_to(own))
        return value if issubclass(value, BaseException) else Refused(name or f"jax's {value.__name__}")
    shown = name or getattr(value, "__name__", type(value).__name__)
    leaf = shown.rpartition(".")[2]
    return Refused(f"jax.lax.{leaf}" if leaf in _LOOPS else shown)


def _transformed(overlay: Any, value: Any, inner: Any, name: str) -> Any:
    """What a transform of JAX's has made outside of the traced code: vmap(f), grad(f), jit(f).

    JAX keeps what it was asked for in the closure of a function that is called after the transform.
    """
    made = value
    while "fun" in _closure(made) or "value_and_grad_f" in _closure(made):
        asked = _closure(made)
        kind = made.__code__.co_name.removesuffix("_aux").removesuffix("_f")
        if kind == "vmap":
            return _vmap(overlay.patch(asked["fun"], name), asked["in_axes"], asked["out_axes"])
        if kind == "value_and_grad":
            both = _TRANSFORMS["value_and_grad" if made is _unwrapped(value) else "grad"]
            return both(overlay.patch(asked["fun"], name), asked["argnums"], asked["has_aux"])
        made = asked["fun"] if "fun" in asked else asked["value_and_grad_f"]
    return overlay.patch(inner, name)  # jit, checkpoint


@functools.cache
def _folder() -> str:
    return os.path.dirname(str(jax().__file__)) + os.sep


def _unwrapped(value: Any) -> Any:
    """JAX's own function under what cleans its tracebacks."""
    return _closure(value)["fun"] if "traceback" in value.__code__.co_name else value


def _closure(function: Any) -> dict[str, Any]:
    """What one of JAX's own functions keeps."""
    code: types.CodeType | None = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType) or not code.co_filename.startswith(_folder()):
        return {}
    cells = function.__closure__ or ()
    return dict(zip(code.co_freevars, (c.cell_contents for c in cells), strict=True))


def _nested(overlay: Any, value: Any) -> Callable[..., Any]:
    """A function with a rule of its own inside another one: its formula.

    Where it is differentiated its rule decides; that of a custom_vjp is shown to be the formula's, or refused.
    """
    plain = overlay.patch(value.fun)

    def run(*args: Any, **options: Any) -> Any:
        if decides_itself() and isinstance(value, jax().custom_vjp) and not options and not value.nondiff_argnums:
            return _by_shown_rule(overlay, value, plain, args)
        by_its_formula(value.__name__)
        return plain(*args, **options)

    run.__dict__["fun"] = plain
    for name in ("fwd", "bwd", "jvp"):
        if callable(getattr(value, name, None)):
            run.__dict__[name] = overlay.patch(getattr(value, name))
    return run


def _by_shown_rule(overlay: Any, value: Any, plain: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    given = [as_array(bare(a)) if isinstance(a, Array) else None for a in leaves_of(args)]
    leaves = [leaf(g) if g is not None and g.kind == "real" else None for g in given]
    moved = [dressed(one.values) if one else a for one, a in zip(leaves, leaves_of(args), strict=True)]
    args = like(args, iter(moved))
    with of_a_rule():
        outputs = plain(*args)

    def rule(cotangents: list[Array]) -> list[Any]:
        with gradients("ignored"), of_a_rule():
            values, kept = overlay.patch(value.fwd)(*args)
            same.append(are_equal(zip(ends, (as_array(bare(v)) for v in leaves_of(values)), strict=True)))
            found = overlay.patch(value.bwd)(kept, like(outputs, iter(map(dressed, cotangents))))
        whole = [own for g, a in zip(found, args, strict=True) for own in _spread(g, a)]
        return [bare(g) for g, one in zip(whole, leaves, strict=True) if one]

    ends, same = [as_array(bare(o)) for o in leaves_of(outputs)], list[bool]()  # JAX goes on with the values of fwd
    shown = is_rule_of(rule, ends, [one for one in leaves if one])
    must_be_shown(value.__name__, shown and all(same))
    return outputs


def _spread(gradient: Any, argument: Any) -> list[Any]:
    """A gradient for each leaf of an argument; None for all where there is none."""
    count = len(leaves_of(argument))
    return [None] * count if gradient is None else leaves_of(gradient)
