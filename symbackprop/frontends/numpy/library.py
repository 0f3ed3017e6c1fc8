"""Which library code traced code may run, and what stands in for the rest.

A library is what comes with Python or NumPy, told by the file it lies in and not by a name. Modules that treat values
by their operators alone (itertools, functools, operator ...) run as they are. What brings other numbers at each run
(random, time, uuid ...) gives opaque numbers. What only speaks to people is ignored. All else is refused by name once
it is used.
"""

from __future__ import annotations

import contextlib
import enum
import os
import re
import sys
import sysconfig
import types
from functools import cache
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.namespace import MODULES, SCIPY, Namespace
from symbackprop.frontends.numpy.opaque import RANDOM, Ignored, Refused, Source
from symbackprop.frontends.numpy.session import guarded

_FOLLOWED = {
    "__future__", "_abc", "_collections", "_collections_abc", "_functools", "_operator", "_typing", "_weakrefset",
    "abc", "builtins", "collections", "contextlib", "copy", "copyreg", "dataclasses", "enum", "functools", "itertools",
    "keyword", "numbers", "operator", "re", "reprlib", "string", "textwrap", "types", "typing", "typing_extensions",
}  # fmt: skip
_DATA = "read the data outside and pass it as an input"
_CLOCK = "the time is not part of a formula"
_SOURCES = {
    "random": RANDOM, "_random": RANDOM, "secrets": RANDOM, "uuid": RANDOM, "time": _CLOCK, "datetime": _CLOCK,
    "_datetime": _CLOCK, "timeit": _CLOCK,
}  # fmt: skip
_IGNORED = {"logging", "pprint", "tqdm", "traceback"}
_REASONS = {
    "os": "files and the environment are not part of a formula", "posix": RANDOM, "nt": RANDOM, "pickle": _DATA,
    "pathlib": _DATA, "io": _DATA, "_io": _DATA,
}  # fmt: skip
_OURS = ("numpy", "scipy", "sympy", "symbackprop")
_STDLIB = tuple(
    os.path.realpath(path) + os.sep for key in ("stdlib", "platstdlib") if (path := sysconfig.get_path(key)) is not None
)
_SITE = tuple(os.path.join(path, folder) for path in _STDLIB for folder in ("site-packages", "dist-packages"))


@cache
def library_of(name: str | None) -> str | None:
    """The library that a module of this name belongs to; None for the user's own, which may be called alike.

    Example:
        >>> library_of("functools"), library_of("numpy.linalg"), library_of("my_layers") is None
        ('functools', 'numpy', True)
    """
    top = (name or "").partition(".")[0]
    if top == "__main__" or not top:
        return None
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None)
    if top in _OURS:
        return top
    if top in sys.stdlib_module_names and (file is None or in_library(file)):
        return top
    return top if top in ("typing_extensions", "tqdm") else None


@cache
def in_library(file: str) -> bool:
    """True for a file of Python's own library."""
    if file.startswith("<frozen"):
        return True
    real = os.path.realpath(file)
    return real.startswith(_STDLIB) and not real.startswith(_SITE)


class _Assertions:
    """pytest's helpers in rewritten asserts: they word a message, and nothing else depends on them."""

    _format_assertmsg = staticmethod(str)

    def __getattr__(self, name: str) -> Any:
        return (lambda text: text.partition("\n>")[0]) if name == "_format_explanation" else lambda *_: ""


def module_stand_in(module: types.ModuleType) -> Any:
    """What stands in for a library module; the module itself where it may run as it is; None for the user's own."""
    name = module.__name__
    if name == "_pytest.assertion.rewrite":
        return _Assertions()
    if name in MODULES:
        return MODULES[name]
    top = library_of(name)
    if top is None or top in ("symbackprop", "sympy"):
        return None if top is None else module
    if name == "scipy":
        return SCIPY
    if top == "numpy":
        prefix = name.removeprefix("numpy.") + "."
        return Source(name, RANDOM) if prefix.startswith("random.") else Namespace(module, prefix, name)
    if name in ("sys", "warnings"):
        return _SPEAKING[name]
    return module if top in _FOLLOWED else _of_library(name, top)


def value_stand_in(value: Any, name: str) -> Any:
    """What stands in for a function, method, class or object of a library; the value itself where it may be used."""
    owner = value.__self__ if isinstance(value, (types.MethodType, types.BuiltinMethodType)) else value
    if owner is None or isinstance(owner, types.ModuleType):
        owner = value
    kind = owner if isinstance(owner, type) or (callable(owner) and hasattr(owner, "__name__")) else type(owner)
    home = getattr(kind, "__module__", None)
    if isinstance(owner, (np.random.Generator, np.random.RandomState, np.random.BitGenerator)):
        return Source(name or type(owner).__name__, RANDOM)
    if (home or "").startswith("numpy.random"):
        return Source(name or kind.__name__, RANDOM)
    top = library_of(home)
    shown = name or getattr(value, "__name__", type(value).__name__)
    if top is None or top in ("numpy", "symbackprop", "sympy") or top in _FOLLOWED:
        return value
    if top == "warnings":
        return getattr(_SPEAKING[top], kind.__name__)
    return _of_library(shown, top)


def _of_library(shown: str, top: str) -> Any:
    if top in _SOURCES:
        return Source(shown, _SOURCES[top])
    if top in _IGNORED:
        return Ignored(shown)
    return Refused(shown, _REASONS.get(top))


class _Speaking:
    """`sys` and `warnings`: constants, and what only speaks to people."""

    def __init__(self, module: str, values: dict[str, Any]) -> None:
        self._module, self._values = module, values

    def __getattr__(self, name: str) -> Any:
        return self._values.get(name, Refused(f"{self._module}.{name}"))


def _filter(action: Any = "default", *_: Any, **__: Any) -> None:
    if action == "error":
        raise TraceError("warnings that raise exceptions cannot be traced", help="ask for the domain instead")


def _caught(*, record: bool = False, action: Any = None, **_: Any) -> Any:
    if record:
        raise TraceError("recorded warnings cannot be traced")
    _filter(action)
    return contextlib.nullcontext()


_SPEAKING: dict[str, Any] = {
    "sys": _Speaking("sys", {
        **{n: getattr(sys, n) for n in ("maxsize", "float_info", "int_info", "version_info", "version", "platform",
                                        "byteorder", "hexversion", "implementation")},
        "exit": sys.exit, "stdout": Ignored("sys.stdout"), "stderr": Ignored("sys.stderr"),
    }),
    "warnings": _Speaking("warnings", {
        "warn": Ignored("warnings.warn"), "catch_warnings": guarded(_caught), "simplefilter": guarded(_filter),
        "filterwarnings": guarded(_filter), "resetwarnings": guarded(_filter),
    }),
}  # fmt: skip
# Values that cannot change, whatever code holds them.
CONSTANTS = (bool, int, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), np.generic, np.dtype,
             enum.Enum, range, slice, frozenset, re.Pattern, property)  # fmt: skip
