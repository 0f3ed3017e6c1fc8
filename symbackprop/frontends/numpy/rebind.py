"""Rebuilding a user's function so that its `np`, its builtins, its constants and its helpers are the traced ones.

The function is not changed: a copy of it gets globals of its own, in which modules are stand-ins, helper functions are
rebuilt in the same way, and containers are copies. Decimal constants in its code become exact numbers.
"""

from __future__ import annotations

import builtins
import copy
import dis
import functools
import io
import random
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.namespace import MODULES, RANDOM, Refused, by_identity, constant, shadow_builtins
from symbackprop.frontends.numpy.session import Session

_REFUSED_MODULES = {
    "random": RANDOM,
    "os": "files and the environment are not part of a formula",
    "time": "the time is not part of a formula",
    "pickle": "read the data outside and pass it as an input",
    "pathlib": "read the data outside and pass it as an input",
}


_RANDOM_SOURCES = (np.random.Generator, np.random.RandomState, random.Random)


class Overlay:
    """The stand-ins of one session; `patch` gives the one for any value that the user's code can reach."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._known = by_identity()
        self._done: dict[int, Any] = {}
        self._keep: list[Any] = []  # ids stay unique while their objects live
        self._containers: list[tuple[str, Any, str]] = []
        self._builtins = shadow_builtins(self._import)

    def patch(self, value: Any, name: str = "") -> Any:
        """What stands in for `value` in traced code."""
        if id(value) in self._known:
            return self._known[id(value)]
        if id(value) in self._done:
            return self._done[id(value)]
        self._keep.append(value)
        refused = _source(value, name)
        if refused is not None:
            return refused
        if isinstance(value, types.FunctionType):
            return self.function(value)
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, float):
            return constant(value)
        if isinstance(value, np.ufunc):
            return Refused(f"np.{value.__name__}")
        if isinstance(value, np.ndarray) and name:
            return self._array(value, name)
        if isinstance(value, types.MethodType):
            return types.MethodType(self.patch(value.__func__), self._instance(value.__self__))
        if isinstance(value, functools.partial):
            args = [self.patch(a) for a in value.args]
            return functools.partial(
                self.patch(value.func), *args, **{k: self.patch(v) for k, v in value.keywords.items()}
            )
        if type(value) in (dict, list, set):
            return self._container(value, name)
        if type(value) is tuple:
            return tuple(self.patch(v) for v in value)
        if any("__call__" in vars(c) for c in type(value).__mro__ if not _is_library(c.__module__)):
            return self._instance(value)
        return value

    def _instance(self, value: Any) -> Any:
        """A copy of an object whose methods are rebuilt: what traced code keeps in it must not reach the user's."""
        kind = type(value)
        if id(value) in self._done or _is_library(kind.__module__) or not hasattr(value, "__dict__"):
            return self._done.get(id(value), value)
        methods = {
            n: f for c in reversed(kind.__mro__) for n, f in vars(c).items() if isinstance(f, types.FunctionType)
        }
        new = self._done[id(value)] = copy.copy(value)
        self._keep.append(value)
        new.__class__ = type(kind.__name__, (kind,), {n: self.patch(f) for n, f in methods.items()})
        vars(new).update({n: self.patch(v) for n, v in vars(value).items()})
        return new

    def _container(self, value: Any, name: str) -> Any:
        """A copy: what traced code writes into a global must not reach the user's."""
        copied: Any
        if isinstance(value, dict):
            copied = self._done[id(value)] = {k: self.patch(v, name) for k, v in value.items()}
        else:
            copied = self._done[id(value)] = type(value)(self.patch(v, name) for v in value)
        if name:
            self._containers.append((name, copied, self._print(copied)))
        return copied

    def _array(self, value: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
        """A copy of a global array, watched as containers are."""
        copied = self._done[id(value)] = value.copy()
        self._containers.append((name, copied, self._print(copied)))
        return copied

    @staticmethod
    def _print(value: Any) -> str:
        if isinstance(value, np.ndarray):
            return repr(value.tolist())
        items = value.items() if isinstance(value, dict) else value
        return str([(id(i[1]), repr(i[0])) if isinstance(i, tuple) and len(i) == 2 else id(i) for i in items])

    def changed_global(self) -> str | None:
        """The name of a global container that the traced code has changed."""
        return next((name for name, value, before in self._containers if self._print(value) != before), None)

    # --- functions

    def function(self, function: types.FunctionType) -> Any:
        """A copy of a Python function that runs on symbolic arrays.

        Raises:
            TraceError: it assigns to a global, or cannot be read.
        """
        if _is_library(function.__module__):
            return function
        code = self._code(function.__code__)
        names = set(_global_names(function.__code__))
        scope: dict[str, Any] = {"__builtins__": self._builtins, "__name__": function.__globals__.get("__name__", "")}
        cells = tuple(types.CellType() for _ in function.__closure__ or ())
        new = types.FunctionType(code, scope, function.__name__, None, cells or None)
        self._done[id(function)] = new
        self._keep.append(function)
        for name in names & function.__globals__.keys():
            scope[name] = self.patch(function.__globals__[name], name)
        for cell, old in zip(cells, function.__closure__ or (), strict=True):
            try:
                cell.cell_contents = self.patch(old.cell_contents)
            except ValueError:  # an empty cell: a name that is bound later
                continue
        new.__defaults__ = None if function.__defaults__ is None else tuple(map(self.patch, function.__defaults__))
        new.__kwdefaults__ = {k: self.patch(v) for k, v in (function.__kwdefaults__ or {}).items()} or None
        return new

    def _code(self, code: types.CodeType) -> types.CodeType:
        """The code with exact decimal constants, entered in the session with all functions inside it."""
        for step in dis.get_instructions(code):
            if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                raise TraceError(f"{code.co_name} assigns to the global {step.argval}", help="return the value instead")
        new = code.replace(co_consts=tuple(self._constant(c) for c in code.co_consts))
        self.session.codes.add(new)
        return new

    def _constant(self, value: Any) -> Any:
        if isinstance(value, float):
            return constant(value)
        if isinstance(value, types.CodeType):
            return self._code(value)
        if type(value) is tuple:
            return tuple(self._constant(v) for v in value)
        return value

    # --- modules

    def _module(self, module: types.ModuleType) -> Any:
        name = module.__name__
        if name in MODULES:
            return MODULES[name]
        if name == "scipy":
            return types.SimpleNamespace(special=MODULES["scipy.special"])
        if name.partition(".")[0] in _REFUSED_MODULES:
            return Refused(name, _REFUSED_MODULES[name.partition(".")[0]])
        return module if _is_library(name) else _UserModule(self, module)

    def _import(self, name: str, *args: Any, **options: Any) -> Any:
        return self.patch(builtins.__import__(name, *args, **options))


class _UserModule:
    """A module of the user's own: what is taken from it is patched."""

    def __init__(self, overlay: Overlay, module: types.ModuleType) -> None:
        self._overlay, self._module = overlay, module

    def __getattr__(self, name: str) -> Any:
        return self._overlay.patch(getattr(self._module, name), name)


def _source(value: Any, name: str) -> Refused | None:
    """A stand-in for what would bring other numbers at each run: a generator, a file, a function of such a module."""
    method = isinstance(value, (types.MethodType, types.BuiltinMethodType))
    owner = value.__self__ if method else value
    shown = name or getattr(value, "__name__", type(value).__name__)
    if isinstance(owner, _RANDOM_SOURCES):
        return Refused(shown, RANDOM)
    if isinstance(owner, io.IOBase):
        return Refused(shown, "read the data outside and pass it as an input")
    if method or isinstance(value, types.FunctionType):
        module = (getattr(value, "__module__", None) or "").partition(".")[0]
        return Refused(shown, _REFUSED_MODULES[module]) if module in _REFUSED_MODULES else None
    return None


def _is_library(name: str | None) -> bool:
    """True for the standard library and the packages this one is built on."""
    top = (name or "").partition(".")[0]
    if top in ("numpy", "scipy", "sympy", "symbackprop"):
        return True
    return top in sys.stdlib_module_names and top != "__main__"


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _global_names(inner)
