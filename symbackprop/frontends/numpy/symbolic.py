"""What a symbolic stand-in answers: what its class defines, as NumPy does for every size; all else stops the trace.

`stands_for(np.ndarray)` makes a class closed: every special method and every attribute of the real type that the class
does not define is refused by name, what it defines is guarded (an exception in it is remembered by the session), and a
name that the real type does not have raises AttributeError, as there. Questions about its type (`__class__`,
isinstance, hasattr) are answered by an example of the real type. This module must not know what an array is.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.session import as_numpy, asked_by_user, guarded

T = TypeVar("T")
# Python's own machinery, or asked of the type alone.
_LEFT = {
    "__class__", "__class_getitem__", "__del__", "__delattr__", "__dict__", "__dir__", "__doc__", "__getattr__",
    "__getattribute__", "__getnewargs__", "__getstate__", "__init__", "__init_subclass__", "__module__", "__new__",
    "__setattr__", "__slots__", "__subclasshook__", "__weakref__", "__annotations__", "__array_priority__",
}  # fmt: skip


def stands_for(
    kind: type, shown: str, refuse: Callable[[Any, str], Exception] | None = None
) -> Callable[[type[T]], type[T]]:
    """A class decorator: close the class, which stands for values of the type `kind`.

    Args:
        shown: what messages call such a value.
        refuse: the exception for what is not answered, from the value and the name that was asked for.
    """

    def stop(value: Any, name: str) -> Exception:
        return refuse(value, name) if refuse else TraceError(f"{_asked(name)} of {shown} cannot be traced")

    def enter(cls: type[T]) -> type[T]:
        for name, value in list(vars(cls).items()):
            if isinstance(value, FunctionType) and name.startswith("__") and name not in _LEFT:
                setattr(cls, name, guarded(value))
            elif isinstance(value, property) and value.fset is None and hasattr(kind, name) and name not in _LEFT:
                setattr(cls, name, property(value.fget, _refusal(stop, name), _refusal(stop, name), value.__doc__))
        STANDS_FOR[cls] = shown
        own = {n for c in cls.__mro__[:-1] for n in vars(c)}
        for name in dir(kind):
            method = callable(getattr(kind, name))
            if name not in own | _LEFT and (name.startswith("__") or not method):
                answer = _refusal(stop, name)
                setattr(cls, name, answer if method else property(answer, answer, answer))
        inherited = guarded(vars(cls)["__getattr__"]) if "__getattr__" in vars(cls) else None

        def other(self: Any, name: str) -> Any:
            if hasattr(kind, name):
                raise stop(self, name)
            raise as_numpy(AttributeError(f"'{kind.__name__}' object has no attribute '{name}'"))

        setattr(cls, "__getattr__", inherited or guarded(other))  # noqa: B010
        return cls

    return enter


def _refusal(stop: Callable[[Any, str], Exception], name: str) -> Any:
    def refuse(self: Any, *_: Any, **__: Any) -> Any:
        raise stop(self, name)

    return guarded(refuse)


_WORDS = {
    "__hash__": "the hash", "__str__": "the text", "__repr__": "the text", "__format__": "the text",
    "__len__": "the length", "__iter__": "a loop over the entries", "__reduce__": "a pickle",
    "__reduce_ex__": "a pickle", "__sizeof__": "the memory", "__array__": "a plain array",
    "__bool__": "the truth value",
    "__index__": "the number", "__int__": "the number", "__float__": "the number",
}  # fmt: skip


def _asked(name: str) -> str:
    return _WORDS.get(name, name if name.startswith("__") else f".{name}")


def class_of(example: Callable[[Any], Any]) -> property:
    """`__class__`: what traced code is told is the type of an example; the tracer sees the stand-in's own."""

    def get(self: Any) -> Any:
        return told_type(example(self)) if asked_by_user() else type(self)

    return property(get)


STANDS_FOR: dict[type, str] = {}  # a class of stand-ins -> what messages call such a value
STAND_INS: dict[type, Any] = {}  # real type -> what traced code is given in its place; filled by `namespace`


def told_type(value: Any) -> Any:
    """The type of a value as traced code may see it."""
    return STAND_INS.get(type(value), type(value))
