"""What stands in for torch, its modules, functions, types and values in traced code."""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.dialects import OWN_CODE, UNKNOWN, Unchanging, dialect
from symbackprop.frontends.numpy.differentiation import Recording, gradients
from symbackprop.frontends.numpy.namespace import constant, refuse_replaced, type_stand_in
from symbackprop.frontends.numpy.opaque import Refused
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.session import as_numpy, guarded
from symbackprop.frontends.torch.autograd import Function, rebuilt_function
from symbackprop.frontends.torch.modules import Module, rebuilt_layer
from symbackprop.frontends.torch.table import FUNCTIONS
from symbackprop.frontends.torch.tensor import Shape, call, dressed, torch

_PREFIXES = {"torch.linalg": "linalg.", "torch.nn.grad": "grad.", "torch.autograd": "autograd."}


class Namespace:
    """A module of torch.

    Args:
        prefix: what its functions are called in the table: "linalg." for torch.linalg.
    """

    def __init__(self, overlay: Any, module: types.ModuleType) -> None:
        self._overlay, self._module = overlay, module
        self._prefix = _PREFIXES.get(module.__name__, "")

    @guarded
    def __getattr__(self, name: str) -> Any:
        shown = f"{self._module.__name__}.{name}"
        if isinstance(getattr(self._module, name, None), torch().dtype):
            return getattr(self._module, name)
        if self._module.__name__.startswith("torch.ops") and not shown.startswith("torch.ops.aten"):
            return Refused(shown, "what a compiled extension computes is not known: write it in torch's own functions")
        refuse_replaced(getattr(self._module, name, None), ("torch",), shown)
        if self._module.__name__ == "torch.nn.functional" and f"functional.{name}" in FUNCTIONS:
            return operation(f"functional.{name}")
        if self._prefix + name in FUNCTIONS:
            return operation(self._prefix + name)
        if not hasattr(self._module, name):
            raise as_numpy(AttributeError(f"module {self._module.__name__!r} has no attribute {name!r}"))
        value = getattr(self._module, name)
        if name in _CONTEXTS:
            return _CONTEXTS[name]
        if isinstance(value, float):
            return constant(value)
        if name.endswith("_") and name[:-1] in FUNCTIONS and callable(value):
            return lambda tensor, *args, **options: getattr(tensor, name)(*args, **options)
        return self._overlay.patch(value, shown)

    @guarded
    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise TraceError(f"an assignment to {self._module.__name__}.{name} cannot be traced")
        object.__setattr__(self, name, value)


@functools.cache
def operation(name: str) -> Callable[..., Any]:
    """The function of that name, on symbolic tensors."""

    def run(*args: Any, **options: Any) -> Any:
        return call(name, *args, **options)

    run.__name__ = name
    return run


class _Gradients:
    """no_grad() and its like: a context and a decorator.

    Args:
        how: what `gradients` takes.
    """

    def __init__(self, how: Recording) -> None:
        self._how = how
        self._open: list[Any] = []

    def __call__(self, *args: Any, **_: Any) -> Any:
        """no_grad(), or no_grad(function)."""
        if len(args) == 1 and isinstance(args[0], types.FunctionType):
            return within_gradients(self._how, args[0])
        return _Gradients(self._how)

    def __enter__(self) -> Any:
        context = gradients(self._how)
        context.__enter__()
        self._open.append(context)
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.pop().__exit__(*error)


def within_gradients(how: Recording, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, run with gradients on or off."""

    def run(*args: Any, **options: Any) -> Any:
        with gradients(how):
            return function(*args, **options)

    return run


class _Grad(_Gradients):
    """set_grad_enabled(False)."""

    def __call__(self, mode: Any = True, **_: Any) -> Any:
        """A context; as a plain call it would last, which is refused by the run of torch itself."""
        return _Gradients("recorded" if mode else "stopped")


_CONTEXTS: dict[str, Any] = {
    "no_grad": _Gradients("stopped"), "inference_mode": _Gradients("stopped"), "enable_grad": _Gradients("recorded"),
    "set_grad_enabled": _Grad("recorded"), "autocast": Unchanging(), "custom_fwd": Unchanging(),
    "custom_bwd": Unchanging(), "once_differentiable": Unchanging(), "is_grad_enabled": lambda: False,
    "get_fastpath_enabled": lambda: False, "is_autocast_enabled": lambda *_: False,
    "is_tensor": lambda value: isinstance(value, torch().Tensor) or hasattr(value, "buffer"),
    "record_function": Unchanging(), "Size": Shape, "device": lambda *args, **_: torch().device("cpu"),
}  # fmt: skip


@functools.cache
def _by_identity() -> dict[int, str]:
    """id of torch's own functions -> their names in the table, however they were imported."""
    base = torch()
    table: dict[int, str] = {}
    table |= {id(getattr(base.nn.functional, n.partition(".")[2])): n for n in FUNCTIONS if n.startswith("functional.")}
    for home in (base, base.nn.functional, base.special, base.linalg, base.autograd, base._C._nn):
        prefix = _PREFIXES.get(home.__name__, "")
        for name in FUNCTIONS:
            if home is base.nn.functional and f"functional.{name}" in FUNCTIONS:
                continue
            if name.startswith(prefix) and hasattr(home, name.removeprefix(prefix)):
                table.setdefault(id(getattr(home, name.removeprefix(prefix))), name)
    return table


def _is_torchs(function: Any) -> bool:
    """True for code that lies in torch's own folder."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(_folder())


@functools.cache
def _folder() -> str:
    return os.path.dirname(str(torch().__file__)) + os.sep


def _home(value: Any) -> str:
    return (getattr(value, "__module__", None) or type(value).__module__ or "").partition(".")[0]


@dialect
def stand_in(overlay: Any, value: Any, name: str) -> Any:
    """What stands in for a value of torch's, or of a class that is derived from one."""
    base = sys.modules.get("torch")
    if base is None or not hasattr(base, "nn"):
        return UNKNOWN
    if _folder() not in OWN_CODE:
        OWN_CODE.append(_folder())
    if isinstance(value, types.ModuleType):
        return Namespace(overlay, value) if value.__name__.partition(".")[0] == "torch" else UNKNOWN
    if isinstance(value, base.Tensor):
        return dressed(as_array(value.detach().cpu().numpy()))
    if isinstance(value, type):
        return _type_stand_in(overlay, base, value, name)
    if callable(value) and not isinstance(value, base.nn.Module):
        return _function_stand_in(overlay, base, value, name)
    kind = type(value)
    if isinstance(value, base.nn.Module) or kind.__module__.partition(".")[0] != "torch":
        return UNKNOWN
    if isinstance(value, (base.dtype, base.device, base.layout, base.memory_format)):
        return value
    if isinstance(value, base.Size):
        return Shape(value)
    return _CONTEXTS[kind.__name__] if kind.__name__ in _CONTEXTS else Refused(name or kind.__name__)


def _not_made(*_: Any, **__: Any) -> Any:
    raise TraceError("a tensor that is made by calling its class cannot be traced", help="use torch.tensor or zeros")


def _type_stand_in(overlay: Any, base: Any, kind: type, name: str) -> Any:
    if kind in (base.Tensor, base.nn.Parameter):
        return type_stand_in(kind, _not_made)
    if kind is base.autograd.Function:
        return Function
    if kind is base.nn.Module:
        return Module
    if issubclass(kind, base.autograd.Function):
        return rebuilt_function(overlay, kind)
    if kind.__module__.partition(".")[0] != "torch":
        return UNKNOWN
    if kind in (base.finfo, base.iinfo) or issubclass(kind, BaseException):
        return kind
    if kind is base.Size:
        return Shape
    if kind.__name__ in _CONTEXTS:
        return _CONTEXTS[kind.__name__]
    if issubclass(kind, base.nn.Module):
        return rebuilt_layer(overlay, kind, operation)
    return Refused(name or f"torch.{kind.__name__}")


def _function_stand_in(overlay: Any, base: Any, value: Any, name: str) -> Any:
    known = _by_identity().get(id(value))
    if known is not None:
        return operation(known)
    for inner in ("_torchdynamo_inline", "_torchdynamo_orig_callable"):  # of torch.jit.script and torch.compile
        if hasattr(value, inner):
            return overlay.patch(getattr(value, inner), name)
    if isinstance(value, types.MethodType):
        owner = value.__self__
        return getattr(overlay.patch(owner), value.__name__) if isinstance(owner, type) and (
            issubclass(owner, base.autograd.Function)) else UNKNOWN  # fmt: skip
    if isinstance(value, types.FunctionType) and _is_torchs(value):
        return _of_torch(overlay, value, name)
    if isinstance(value, types.BuiltinFunctionType) and _home(value) == "torch":
        if "has_torch_function" in value.__name__:
            return lambda *_: False
        return Refused(name or f"torch.{value.__name__}")
    return UNKNOWN


def _of_torch(overlay: Any, function: types.FunctionType, name: str) -> Any:
    """A function in torch's own code: a decorated one of the user's, one of the table, or a formula of its own."""
    inner = getattr(function, "__wrapped__", None)
    if inner is not None and not _is_torchs(inner):
        plain = overlay.patch(inner, name)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        context = getattr(cells["ctx_factory"].cell_contents, "__self__", None) if "ctx_factory" in cells else None
        off = type(context).__name__ in ("no_grad", "inference_mode")
        return within_gradients("stopped", plain) if off else plain
    if function.__name__ in FUNCTIONS and function.__module__ in ("torch.nn.functional", "torch.functional"):
        return operation(function.__name__)
    if function.__module__ == "torch.nn.functional" or function.__module__.startswith("torch.nn.modules"):
        return UNKNOWN  # written in Python: it is rebuilt as the user's own
    return Refused(name or f"torch.{function.__name__}")
