"""What is checked, as a forward and a backward function on arrays: the door for all kinds of a user's code.

A `Pass` is one of the two. Called with NumPy's arrays it runs the user's own code, by the framework that the code was
written for; a tracer is given `traced`, which runs the same code, rebuilt, on symbolic arrays. So whoever compares,
samples or proves need not know any framework. The frameworks' own rooms make them (`torch.subjects`, `jax.subjects`).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from symbackprop.errors import MalformedError, UnsupportedError
from symbackprop.frontends.numpy.dialects import UNKNOWN, dialect
from symbackprop.frontends.numpy.differentiation import gradients
from symbackprop.frontends.numpy.tracer import known_names

REQUIRED = inspect.Parameter.empty
BACKWARD = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("dout", "cache")])


SUPPORTED = {"torch": ("2.3", "3"), "jax": ("0.4.30", "1")}  # from this version on, before that one


def must_be_supported(framework: str) -> None:
    """Refuse versions of a framework that lack what is read of it.

    Raises:
        UnsupportedError: names the versions that are followed.
    """
    name = framework.lower()
    found = str(getattr(sys.modules.get(name), "__version__", ""))
    if name not in SUPPORTED or not found:
        return
    least, beyond = SUPPORTED[name]
    if not _version(least) <= _version(found) < _version(beyond):
        raise UnsupportedError(f"{framework} {found} is not followed: versions from {least} on, before {beyond}, are")


def _version(text: str) -> tuple[int, ...]:
    """(2, 13, 0) of 2.13.0+cpu."""
    return tuple(int(n) for n in re.findall(r"\d+", text.partition("+")[0])[:3])


class Pass:
    """A forward or a backward function of a user's.

    Args:
        function: the user's own, of which the source is read.
        signature: what it takes, by name.
        real: runs it on NumPy's arrays.
        traced: from the overlay of a session, what runs it on symbolic arrays.
        framework: what runs it, as messages call it.
        unrecorded: the framework never differentiates it, whatever it says about that.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        signature: inspect.Signature,
        real: Callable[..., Any],
        traced: Callable[[Any], Callable[..., Any]],
        framework: str,
        *,
        unrecorded: bool = False,
    ) -> None:
        must_be_supported(framework)
        self.__wrapped__, self.__name__, self.__signature__ = function, name, signature
        self.__code__ = getattr(inspect.unwrap(function), "__code__", None)
        self.__module__ = getattr(function, "__module__", "")
        self._real, self.traced, self.unrecorded = real, traced, unrecorded
        self.framework = framework

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        """Run the user's own code on NumPy's arrays."""
        return self._real(*args, **inputs)

    def without_constants(self) -> Pass:
        """The same, read as if it detached nothing."""

        def traced(overlay: Any) -> Callable[..., Any]:
            plain = self.traced(overlay)

            def run(*args: Any, **inputs: Any) -> Any:
                with gradients("ignored"):
                    return plain(*args, **inputs)

            return run

        return Pass(self.__wrapped__, self.__name__, self.__signature__, self._real, traced, self.framework)


class Kept:
    """What the forward of a trace hands to its backward.

    Args:
        repeated: the outputs as a rule for the derivative computes them once more.
        held: what the backward needs.
    """

    def __init__(self, repeated: Iterable[Any] = (), **held: Any) -> None:
        self.repeated = tuple(repeated)
        vars(self).update(held)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@dialect
def _rebuilt(overlay: Any, value: Any, _: str) -> Any:
    return value.traced(overlay) if isinstance(value, Pass) else value if isinstance(value, Kept) else UNKNOWN


def framework_of(function: Any) -> str:
    """What runs a user's function, as messages call it."""
    return function.framework if isinstance(function, Pass) else "NumPy"


def signature_of(names: Iterable[str], fixed: Mapping[str, Any], shapes: Mapping[str, Any]) -> inspect.Signature:
    """Inputs without a default, other arguments with the value that is fixed."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(n, kind, default=REQUIRED if n in shapes else fixed[n]) for n in names]
    return inspect.Signature(parameters)


def by_name(parameters: Mapping[str, inspect.Parameter], values: Mapping[str, Any]) -> inspect.Signature:
    """A function's signature with other defaults; every argument that has a name is taken by it."""
    shown = []
    for name, p in parameters.items():
        if p.kind is p.POSITIONAL_OR_KEYWORD:
            p = p.replace(kind=p.KEYWORD_ONLY, default=values.get(name, p.default))
        shown.append(p)
    return inspect.Signature(shown)


def arguments_in_order(
    parameters: Mapping[str, inspect.Parameter], shapes: Mapping[str, Any], fixed: Mapping[str, Any], what: str
) -> tuple[list[str], dict[str, Any]]:
    """(the names of the arguments in order, the values of those that are no inputs), defaults put in.

    Raises:
        MalformedError: a name is unknown, or an argument has neither a shape nor a value.
    """
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    rest = [n for n in (*shapes, *fixed) if n not in named]
    if rest and not any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
        known_names({n: None for n in rest}, named, f"an argument of {what}")
    both = shapes.keys() & fixed.keys()
    if both:
        raise MalformedError(f"{', '.join(sorted(both))} has both a shape and a fixed value")
    values = dict(fixed)
    order = []
    for name, parameter in named.items():
        if name not in shapes and name not in values:
            if parameter.default is parameter.empty:
                help = f'give its shape in shapes, or its value: fixed={{"{name}": ...}}'
                raise MalformedError(f"{what} takes {name}, of which neither shapes nor fixed says anything", help=help)
            values[name] = parameter.default
        order.append(name)
    return order + rest, values
