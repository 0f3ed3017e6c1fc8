"""torch.autograd.Function as traced code sees it: the ctx, and a class whose static methods are rebuilt."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from symbackprop.errors import MalformedError
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.differentiation import (
    by_its_formula,
    decides_itself,
    gradients,
    must_be_shown,
    of_a_rule,
    stopped,
)
from symbackprop.frontends.numpy.inner_derivatives import is_rule_of, leaf
from symbackprop.frontends.numpy.session import as_numpy, guarded
from symbackprop.frontends.torch.tensor import bare, dressed, torch


class Context:
    """The ctx of a forward and its backward.

    Args:
        needs: for each argument, whether a gradient of it is wanted.
    """

    def __init__(self, needs: tuple[bool, ...] = ()) -> None:
        self.needs_input_grad = needs
        self.saved_tensors: tuple[Any, ...] = ()
        self.materialize_grads = True
        self.without_gradient: list[Any] = []

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """The old name of `saved_tensors`."""
        return self.saved_tensors

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kept = [n for n in vars(self) if n not in _OF_TORCH]
        known = f"it keeps {', '.join(kept)}" if kept else "it keeps nothing but what save_for_backward was given"
        raise as_numpy(AttributeError(f"ctx has no attribute {name!r}: the forward does not set it; {known}"))

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for the backward pass."""
        self.saved_tensors = tensors

    def save_for_forward(self, *_: Any) -> None:
        """Forward mode is not looked at."""

    def mark_dirty(self, *_: Any) -> None:
        """These were changed in place."""

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """These outputs have no gradient."""
        self.without_gradient += tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether an output that is not used has a gradient of zeros, or None."""
        self.materialize_grads = value

    def differentiable(self, outputs: tuple[Any, ...]) -> list[int]:
        """The places of the outputs that have a gradient."""
        unmarked = [k for k, o in enumerate(outputs) if not any(o is m for m in self.without_gradient)]
        return [k for k in unmarked if isinstance(outputs[k], Array) and outputs[k].kind == "real"]


_OF_TORCH = ("needs_input_grad", "saved_tensors", "materialize_grads", "without_gradient")


class Function:
    """The base class that traced code sees; `apply` runs the rebuilt forward."""

    own: Any = None  # the user's class

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """The forward of a function inside another one."""
        return _applied(cls, args)


@guarded
def _applied(cls: Any, args: tuple[Any, ...]) -> Any:
    if decides_itself():
        return _by_shown_rule(cls, args)
    by_its_formula(cls.own.__name__)
    return run_forward(cls, args, tuple(isinstance(a, Array) and a.kind == "real" for a in args))[0]


def _by_shown_rule(cls: Any, args: tuple[Any, ...]) -> Any:
    """The formula of a function that is differentiated, whose own rule is shown to be that of its formula."""
    leaves = [leaf(bare(a)) if isinstance(a, Array) and a.kind == "real" else None for a in args]
    moved = tuple(dressed(one.values) if one else a for one, a in zip(leaves, args, strict=True))
    result, ctx = run_forward(cls, moved, tuple(one is not None for one in leaves))
    outputs = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    ends = ctx.differentiable(outputs)

    def rule(cotangents: list[Array]) -> list[Any]:
        given = dict(zip(ends, map(dressed, cotangents), strict=True))
        with of_a_rule():
            upstream = tuple(map(given.get, range(len(outputs))))
            found = run_backward(cls, ctx, upstream, len(args))
        return [bare(g) for g, one in zip(found, leaves, strict=True) if one]

    shown = is_rule_of(rule, [bare(outputs[k]) for k in ends], [one for one in leaves if one])
    must_be_shown(cls.own.__name__, shown)
    kept = [o if k in ends or not isinstance(o, Array) else dressed(stopped(bare(o))) for k, o in enumerate(outputs)]
    return type(result)(kept) if isinstance(result, (tuple, list)) else kept[0]


def has_setup(kind: type) -> bool:
    """True if the class sets its ctx up apart from its forward."""
    return bool(kind.setup_context is not torch().autograd.Function.setup_context)  # type: ignore[attr-defined]


def run_forward(cls: Any, args: tuple[Any, ...], needs: tuple[bool, ...]) -> tuple[Any, Context]:
    """What the forward of a rebuilt class returns, and its ctx."""
    ctx = Context(needs)
    with of_a_rule():
        if not has_setup(cls.own):
            return cls.forward(ctx, *args), ctx
        result = cls.forward(*args)
        cls.setup_context(ctx, args, result)
    return result, ctx


def run_backward(cls: Any, ctx: Context, upstream: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """The gradients that the backward of a rebuilt class returns, one for each argument of its forward.

    Raises:
        MalformedError: there are too many or too few.
    """
    with gradients("ignored"):
        returned = cls.backward(ctx, *upstream)
    found = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
    extra = found[count:]
    name = cls.own.__name__
    if returned is None and count > 1:
        raise MalformedError(f"the backward of {name} returns nothing", help="return a gradient, or None, for each "
                             f"of the {count} arguments of its forward")  # fmt: skip
    if len(found) < count or any(g is not None for g in extra):
        given = f"{len(found)} gradient{'s' * (len(found) != 1)}"
        what = f"the backward of {name} returns {given} for {count} argument{'s' * (count != 1)} of its forward"
        raise MalformedError(what, help="return None for an argument that has no gradient")
    return found[:count]


def rebuilt_function(overlay: Any, kind: type) -> type:
    """The stand-in of a user's Function class: its own members rebuilt, over rebuilt base classes."""
    bases = tuple(Function if b is torch().autograd.Function else overlay.patch(b) for b in kind.__bases__)
    new = type(kind.__name__, bases, {"own": kind, "__module__": kind.__module__})
    overlay.stands_for(kind, new)  # its functions may speak of the class
    for name, value in vars(kind).items():
        if name.startswith("__") or name == "_backward_cls":
            continue
        setattr(new, name, _member(overlay, value, name))
    return new


def _member(overlay: Any, value: Any, name: str) -> Any:
    if isinstance(value, (staticmethod, classmethod)):
        return type(value)(overlay.patch(value.__func__))
    return overlay.patch(value, name)


def parameters_of(kind: type) -> dict[str, inspect.Parameter]:
    """The parameters of a Function's forward, without the ctx (and the class)."""
    function = inspect.getattr_static(kind, "forward")
    names = list(inspect.signature(inspect.unwrap(getattr(function, "__func__", function))).parameters.items())
    if isinstance(function, classmethod):
        names = names[1:]
    return dict(names if has_setup(kind) else names[1:])


def own_function(kind: type, name: str) -> Callable[..., Any]:
    """A static method as it was written."""
    function = inspect.getattr_static(kind, name)
    plain: Callable[..., Any] = inspect.unwrap(getattr(function, "__func__", function))
    return plain
