"""Rebuilding a user's functions and classes so that their `np`, builtins, constants and helpers are the traced ones.

Nothing of the user's is changed: a copy of each function gets globals of its own, in which modules are stand-ins,
helper functions and classes are rebuilt in the same way, objects are copies of rebuilt classes, and containers are
copies. Decimal constants in the code become exact numbers. What cannot be rebuilt is refused by name once it is used.
"""

from __future__ import annotations

import builtins
import copy
import dis
import enum
import functools
import itertools
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.branches import HELPERS
from symbackprop.frontends.numpy.comprehensions import FOLDS, LOOP_HELPERS
from symbackprop.frontends.numpy.control_flow import rewritten_code
from symbackprop.frontends.numpy.dialects import DIALECTS, OWN_CODE, UNKNOWN
from symbackprop.frontends.numpy.library import CONSTANTS, in_library, library_of, module_stand_in, value_stand_in
from symbackprop.frontends.numpy.namespace import by_identity, constant, operation_of
from symbackprop.frontends.numpy.opaque import Opaque, Refused
from symbackprop.frontends.numpy.python_builtins import is_symbolic, shadow_builtins
from symbackprop.frontends.numpy.session import Session, as_numpy, guarded
from symbackprop.frontends.numpy.state import Place, SharedState, attributes_of
from symbackprop.frontends.numpy.symbolic import STAND_INS


class Overlay:
    """The stand-ins of one session; `patch` gives the one for any value that the user's code can reach.

    Args:
        unknown: places in the user's objects that calls change: what they hold at first is opaque.
    """

    def __init__(self, session: Session, unknown: Iterable[Place] = ()) -> None:
        self.session = session
        self.state = SharedState(unknown)
        self._builtins = shadow_builtins(self._import) | HELPERS | LOOP_HELPERS
        self._known = (
            by_identity()
            | FOLDS
            | {id(real): self._builtins[name] for name, real in vars(builtins).items() if callable(real)}
        )
        self._done: dict[int, Any] = {}
        self._identities = self._types = False  # code compares identities, and reaches for real types
        self._keep: list[Any] = []  # ids stay unique while their objects live
        self._making: set[int] = set()  # classes that are being rebuilt
        self._postponed: list[Callable[[], None]] = []  # what waits until they are
        self._draining = False  # it is being done

    def patch(self, value: Any, name: str = "") -> Any:
        """What stands in for `value` in traced code.

        Args:
            name: what messages call it; a container of that name must not change.
        """
        if id(value) in self._known:
            return self._known[id(value)]
        if id(value) in self._done:
            return self._done[id(value)]
        if isinstance(value, float):
            return constant(value)
        for dialect in DIALECTS:
            stand_in = dialect(self, value, name)
            if stand_in is not UNKNOWN:
                self.stands_for(value, stand_in)
                return stand_in
        if isinstance(value, CONSTANTS) or is_symbolic(value):
            return value
        self._keep.append(value)
        if isinstance(value, types.ModuleType):
            stand_in = None if value in (functools, itertools) else module_stand_in(value)
            return _UserModule(self, value) if stand_in is None else stand_in
        if isinstance(value, type) and value in STAND_INS:
            return STAND_INS[value]
        made = self._callable(value, name) if callable(value) else self._object(value, name)
        if id(value) not in self._making:
            self._done[id(value)] = made  # the same object has the same stand-in: code may ask `a is b`
        return made

    def stands_for(self, value: Any, stand_in: Any) -> None:
        """Say what stands in for a value from now on."""
        self._keep.append(value)
        self._done[id(value)] = stand_in

    def _callable(self, value: Any, name: str) -> Any:
        """A function, a method, a class, or an object that can be called."""
        if isinstance(value, types.FunctionType):
            return self.function(value)
        if isinstance(value, functools._lru_cache_wrapper):
            return self._cached(value)
        if isinstance(value, np.ufunc):
            return Refused(f"np.{value.__name__}")
        if isinstance(value, types.MethodType):
            return types.MethodType(self.patch(value.__func__), self.patch(value.__self__))
        if isinstance(value, functools.partial):
            args = [self.patch(a) for a in value.args]
            return functools.partial(
                self.patch(value.func), *args, **{k: self.patch(v) for k, v in value.keywords.items()}
            )
        stand_in = value_stand_in(value, name)
        if stand_in is not value:
            return stand_in
        operation = operation_of(value)
        if operation is not None:
            return operation
        if isinstance(value, types.BuiltinMethodType):
            return self._builtin(value, name)
        if isinstance(value, type):
            return self._class(value)
        return self._object(value, name)

    def _builtin(self, value: types.BuiltinMethodType, name: str) -> Any:
        """A function written in C: a method of a value, or of a library that may run as it is."""
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            top = library_of(getattr(value, "__module__", None))
            return value if top not in (None, "numpy") else Refused(name or value.__name__, _COMPILED)
        return getattr(self.patch(owner), value.__name__)

    def _object(self, value: Any, name: str) -> Any:
        if isinstance(value, np.ndarray):
            copied = self._done[id(value)] = value.copy()
            self.state.watch_array(name, copied)
            return copied
        if type(value) in (dict, list, set):
            return self._container(value, name)
        if type(value) is tuple:
            return tuple(self.patch(v) for v in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self.patch(v) for v in value))
        if isinstance(value, tuple) and library_of(type(value).__module__):
            return value  # sys.float_info and its like
        return self._instance(value, name)

    def _instance(self, value: Any, name: str) -> Any:
        """A copy of an object whose class is rebuilt: what traced code keeps in it must not reach the user's."""
        kind = type(value)
        stand_in = value_stand_in(value, name)
        if stand_in is not value:
            return stand_in
        shown = name or f"an object of type {kind.__name__}"
        if isinstance(value, types.SimpleNamespace) or kind in (OrderedDict, defaultdict, Counter, deque):
            return self._collection(value, name)
        if library_of(kind.__module__):
            return value if kind.__module__ in ("typing", "dataclasses") else Refused(shown)
        new_kind = self.patch(kind)
        if not isinstance(new_kind, type):
            return Refused(shown)
        base = next((b for b in (dict, list, set) if issubclass(kind, b)), object)
        try:
            new: Any = base.__new__(new_kind)
        except TypeError:
            return Refused(shown)
        self._done[id(value)] = new
        if base is dict:
            dict.update(new, {k: self.patch(v) for k, v in value.items()})
        elif base is not object:
            new += [self.patch(v) for v in value] if base is list else set(map(self.patch, value))
        for attribute, content in attributes_of(value).items():
            object.__setattr__(new, attribute, self._first(value, attribute, content))
        for attribute in self.state.created(value):
            object.__setattr__(new, attribute, self.state.opaque(value, attribute))
        self.state.watch_object(value, new)
        return new

    def _collection(self, value: Any, name: str) -> Any:
        """A copy of one of the standard library's collections."""
        new: Any = copy.copy(value)
        self._done[id(value)] = new
        if isinstance(value, types.SimpleNamespace):
            vars(new).update({k: self._first(value, k, v) for k, v in vars(value).items()})
            vars(new).update({k: self.state.opaque(value, k) for k in self.state.created(value)})
            self.state.watch_object(value, new)
        elif isinstance(value, dict):
            new.update({k: self.patch(v) for k, v in value.items()})
            if isinstance(value, defaultdict):
                new.default_factory = self.patch(value.default_factory)
            self.state.watch_dict(name or "a dictionary", value, new)
        else:
            new.clear()
            new.extend(map(self.patch, value))
            self.state.watch_sequence(name, new)
        return new

    def _first(self, owner: Any, key: Any, content: Any) -> Any:
        """What a place of an object holds before the run: unknown where calls change it."""
        if self.state.is_unknown(owner, key):
            return self.state.opaque(owner, key)
        return self.patch(content)

    def _container(self, value: Any, name: str) -> Any:
        """A copy: what traced code writes into it must not reach the user's."""
        copied: Any = type(value)()
        if isinstance(value, dict):
            self._done[id(value)] = copied
            copied.update({k: self._first(value, k, v) for k, v in value.items()})
            copied.update({k: self.state.opaque(value, k) for k in self.state.created(value)})
            self.state.watch_dict(name, value, copied)
            return copied
        copied = self._done[id(value)] = type(value)(self.patch(v, name) for v in value)
        self.state.watch_sequence(name, copied)
        return copied

    def changed_global(self) -> str | None:
        """The name of something that outlives the call and that traced code has changed."""
        return self.state.changed_global()

    # --- functions

    def function(self, function: types.FunctionType) -> Any:
        """A copy of a Python function that runs on symbolic arrays.

        Raises:
            TraceError: it assigns to a global, or cannot be read.
        """
        home = library_of(function.__module__)
        if in_library(function.__code__.co_filename) or home in ("numpy", "scipy", "sympy", "symbackprop"):
            stand_in = value_stand_in(function, function.__name__)
            return Refused(f"{home}.{function.__name__}") if home in ("numpy", "scipy") else stand_in
        own = function.__code__
        code = self._code(own, own if _of_library(own) else rewritten_code(own))
        scope: dict[str, Any] = {"__builtins__": self._builtins, "__name__": function.__globals__.get("__name__", "")}
        cells = tuple(types.CellType() for _ in function.__closure__ or ())
        new = types.FunctionType(code, scope, function.__name__, None, cells or None)
        self._done[id(function)] = new
        self._keep.append(function)
        for name in set(_global_names(function.__code__)) & function.__globals__.keys():
            self._give(function.__globals__[name], name, partial(scope.__setitem__, name))
        for cell, old, name in zip(cells, function.__closure__ or (), code.co_freevars, strict=True):
            self._fill(cell, old, name)
        new.__defaults__ = None if function.__defaults__ is None else tuple(
            self.patch(d, "default argument") for d in function.__defaults__
        )  # fmt: skip
        new.__kwdefaults__ = {k: self.patch(v, k) for k, v in (function.__kwdefaults__ or {}).items()} or None
        new.__qualname__, new.__doc__ = function.__qualname__, function.__doc__
        new.__dict__.update({k: self.patch(v, k) for k, v in vars(function).items() if k != "__wrapped__"})
        self.state.watch_function(new)
        return new

    def _give(self, value: Any, name: str, take: Callable[[Any], None]) -> None:
        """Hand over the stand-in of a value: at once, or when the classes that are being rebuilt are there."""
        if self._making:
            self._postponed.append(lambda: take(self.patch(value, name)))
        else:
            take(self.patch(value, name))

    def _fill(self, cell: types.CellType, old: types.CellType, name: str) -> None:
        """What a function sees of the scope around it; a name that is bound later is left out."""

        def take(value: Any) -> None:
            cell.cell_contents = value
            self.state.watch_cell(name, cell)

        try:
            content = old.cell_contents
        except ValueError:
            return
        self._give(content, name, take)

    def _cached(self, value: Any) -> Any:
        """A function under functools.lru_cache: called anew each time; its arguments must have a hash, as there."""
        plain = self.patch(value.__wrapped__)

        def call(*args: Any, **options: Any) -> Any:
            hash((args, tuple(options.items())))
            return plain(*args, **options)

        self._done[id(value)] = call
        return call

    def _code(self, code: types.CodeType, rewritten: types.CodeType) -> types.CodeType:
        """The rewritten code with exact decimal constants, entered in the session with all functions inside it.

        Args:
            code: as the user wrote it.
        """
        self._examine(code)
        return self._entered(rewritten)

    def _entered(self, code: types.CodeType) -> types.CodeType:
        new = code.replace(co_consts=tuple(self._constant(c) for c in code.co_consts))
        (self.session.library if _of_library(code) else self.session.codes)[id(new)] = new
        return new

    def _examine(self, code: types.CodeType) -> None:
        """Refuse code that looks behind the stand-ins, or changes what outlives the call."""
        before = None
        of_user = not _of_library(code)
        for step in dis.get_instructions(code):
            if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                raise TraceError(f"{code.co_name} assigns to the global {step.argval}", help="return the value instead")
            if not of_user:
                continue  # a library asks for types in its own way, of which no result depends
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                self._introspection(step.argval, _by_dataclasses(code))
            elif _by_dataclasses(code):
                continue
            elif step.opname == "IS_OP" and not (before and before.opname == "LOAD_CONST"):
                self._identities = True
            before = step
        if of_user and self._identities and self._types:
            raise TraceError(f"{code.co_name} asks whether types are identical", help="use isinstance, or ==")
        for inner in code.co_consts:
            if isinstance(inner, types.CodeType):
                self._examine(inner)

    def _introspection(self, name: str, harmless: bool) -> None:
        """Refuse to look behind the stand-ins; note what may bring a real type into the code."""
        if name in _INSIDE:
            raise TraceError(f"the attribute {name} cannot be traced")
        self._types = self._types or (name in _TYPES and not harmless)

    def _constant(self, value: Any) -> Any:
        if isinstance(value, float):
            return constant(value)
        if isinstance(value, types.CodeType):
            return self._entered(value)
        if type(value) is tuple:
            return tuple(self._constant(v) for v in value)
        return value

    # --- classes

    def _class(self, kind: type) -> Any:
        """A class with rebuilt methods, over rebuilt base classes."""
        if id(kind) in self._done:
            return self._done[id(kind)]
        if library_of(kind.__module__):
            return kind
        if issubclass(kind, enum.Enum):
            own = [f for f in vars(kind).values() if isinstance(f, types.FunctionType)]
            plainly = all(in_library(f.__code__.co_filename) for f in own)
            return kind if plainly else Refused(f"the class {kind.__name__}")
        if issubclass(kind, tuple) and hasattr(kind, "_fields") and not _has_code(kind):
            return kind  # a named tuple holds values and does nothing with them
        if issubclass(kind, type):
            return self._metaclass(kind)
        if id(kind) in self._making:
            return Refused(f"the class {kind.__name__}, which holds itself,")
        self._keep.append(kind)
        self._making.add(id(kind))
        names = {n: v for n, v in vars(kind).items() if n not in _OF_PYTHON and not _is_slot(v)}
        held = {n: v for n, v in names.items() if n not in _AS_THEY_ARE and not _is_behaviour(v)}
        try:
            bases = tuple(self.patch(b) for b in kind.__bases__)
            members = {n: self._member(v, n) for n, v in names.items() if n not in held}
            if library_of(type(kind).__module__):
                make: Any = type(kind)
                new = make(kind.__name__, bases, members)
            else:  # what the user's metaclass does when a class is defined, it has done
                made_by = self._metaclass(type(kind))
                new = _library_type(made_by).__new__(made_by, kind.__name__, bases, members)
        except TypeError:
            new = Refused(f"the class {kind.__name__}")
        self._making.discard(id(kind))
        self._done[id(kind)] = new
        if isinstance(new, type):
            self._postponed[:0] = [partial(self._hold, new, n, v) for n, v in held.items()]
            self._postponed.append(partial(self.state.watch_class, new))
        self._drain()
        return new

    def _metaclass(self, kind: type) -> Any:
        """A user's metaclass with rebuilt methods; what it does when a class is defined is left out."""
        if id(kind) in self._done:
            return self._done[id(kind)]
        bases = tuple(b if library_of(b.__module__) else self._metaclass(b) for b in kind.__bases__)
        new: Any = type(kind.__name__, bases, {"__module__": kind.__module__, "__new__": _no_class})
        self._keep.append(kind)
        self._done[id(kind)] = new
        for name, value in vars(kind).items():
            if name not in _OF_PYTHON | _AS_THEY_ARE | {"__new__", "__init__", "__prepare__"}:
                if _is_behaviour(value):
                    type.__setattr__(new, name, self._member(value, name))
                else:
                    self._postponed.append(partial(self._hold, new, name, value))
        self._postponed.append(partial(self.state.watch_class, new))
        self._drain()
        return new

    def _drain(self) -> None:
        """Do what waits for the classes that are being rebuilt, when they are there."""
        if not self._making and not self._draining:
            self._draining = True
            while self._postponed:
                self._postponed.pop(0)()
            self._draining = False

    def _hold(self, kind: type, name: str, value: Any) -> None:
        """Give a class a value of its own: a dictionary, another class, an object."""
        setattr(kind, name, self.patch(value, name))

    def _member(self, value: Any, name: str) -> Any:
        """A method, a property, a nested class or a value of a class."""
        match value:
            case classmethod() if name == "__init_subclass__":
                return classmethod(self._at_definition(self.patch(value.__func__)))
            case staticmethod() | classmethod():
                return type(value)(self.patch(value.__func__))
            case property():
                get, put, drop = (None if f is None else self.patch(f) for f in (value.fget, value.fset, value.fdel))
                return property(get, put, drop, value.__doc__)
            case functools.cached_property():
                return functools.cached_property(self.patch(value.func))
        return value if name in _AS_THEY_ARE else self.patch(value, name)

    def _at_definition(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """__init_subclass__, which ran when the user's classes were defined, and not when they are rebuilt."""
        return lambda *args, **options: None if self._making else function(*args, **options)

    @guarded
    def _import(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            module = builtins.__import__(name, *args, **options)
        except ImportError as error:
            raise as_numpy(error) from None
        return self.patch(module)


_INSIDE = {"__globals__", "__code__", "__closure__", "__builtins__", "__subclasses__", "__module__", "__slots__",
           "gi_frame", "gi_code", "cr_frame", "ag_frame", "tb_frame", "f_back", "f_locals", "f_globals"}  # fmt: skip
_COMPILED = "what compiled code computes is not known: write its formula in functions that can be followed"
_TYPES = {"__class__", "type", "__mro__", "__base__", "__bases__", "attrgetter"}
_OF_PYTHON = {"__dict__", "__weakref__", "_abc_impl", "__abstractmethods__"}
_AS_THEY_ARE = {"__slots__", "__annotations__", "__module__", "__doc__", "__qualname__", "__match_args__",
                "__dataclass_fields__", "__dataclass_params__", "__orig_bases__", "__parameters__"}  # fmt: skip


def _library_type(kind: type) -> Any:
    """The first of a metaclass's bases that is Python's own: type, or ABCMeta."""
    return next(b for b in kind.__mro__ if library_of(b.__module__))


def _no_class(*_: Any, **__: Any) -> Any:
    raise TraceError("a class that is defined inside the code by a metaclass of one's own cannot be traced")


def _of_library(code: types.CodeType) -> bool:
    """True for the code of a library that is rebuilt with the user's."""
    return code.co_filename.startswith(tuple(OWN_CODE))


def _by_dataclasses(code: types.CodeType) -> bool:
    """True for a comparison that dataclasses have written: it asks for the classes of the user's own objects."""
    return code.co_filename == "<string>" and code.co_name in ("__eq__", "__lt__", "__le__", "__gt__", "__ge__")


def _has_code(kind: type) -> bool:
    """True if a named tuple has methods of the user's own; those that `collections` has written have no file."""
    own = [f for c in kind.__mro__ for f in vars(c).values() if isinstance(f, types.FunctionType)]
    return any(not in_library(f.__code__.co_filename) and not f.__code__.co_filename.startswith("<") for f in own)


def _is_behaviour(value: Any) -> bool:
    """True for what makes a class behave as it does, and for plain constants; False for what it merely holds."""
    if isinstance(value, (types.FunctionType, staticmethod, classmethod, property, functools.cached_property)):
        return True
    return isinstance(value, (*CONSTANTS, float)) or hasattr(value, "__set_name__") or hasattr(type(value), "__get__")


def _is_slot(value: Any) -> bool:
    return isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType))


class _UserModule:
    """A module of the user's own: what is taken from it is patched."""

    def __init__(self, overlay: Overlay, module: types.ModuleType) -> None:
        object.__setattr__(self, "_overlay", overlay)
        object.__setattr__(self, "_module", module)

    @guarded
    def __getattr__(self, name: str) -> Any:
        try:
            value = getattr(self._module, name)
        except AttributeError as error:
            raise as_numpy(error) from None
        return self._overlay.patch(value, name)

    @guarded
    def __setattr__(self, name: str, value: Any) -> None:
        raise TraceError(f"an assignment to {self._module.__name__}.{name} cannot be traced")


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _global_names(inner)


__all__ = ["Opaque", "Overlay"]
