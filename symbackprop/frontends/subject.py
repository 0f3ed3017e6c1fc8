"""What `check` and `trace` are given, as passes: whose code it is, what is the forward and what the backward.

torch and JAX are asked only where the user's code has imported them.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import symbackprop.frontends.jax.subjects as of_jax
import symbackprop.frontends.jax.tangents as tangents
import symbackprop.frontends.torch.subjects as of_torch
from symbackprop.errors import MalformedError, UnsupportedError, nearest
from symbackprop.frontends.nested import on_structures, structures
from symbackprop.frontends.numpy.library import library_of

FRAMEWORKS = ("torch", "jax")
MOST_LOOKED_AT = 400  # values that a function can reach, before it counts as NumPy's


def passes_of(
    forward: Any,
    backward: Any,
    shapes: Mapping[str, Any],
    assume: Mapping[str, str],
    fixed: Mapping[str, Any] | None,
) -> tuple[Any, Any]:
    """(forward, backward) as the checker takes them: functions on arrays.

    Args:
        backward: None where the forward brings it along: a torch.autograd.Function, a jax.custom_vjp function.
        shapes: of arrays, or of structures of arrays, which are inputs by the names that `flattened` gives.

    Raises:
        MalformedError: there is no backward, or the arguments do not fit.
        UnsupportedError: a custom_jvp function of structures of arrays.
    """
    trees = structures(shapes)
    if trees and tangents.is_jvp(forward):
        raise UnsupportedError(f"{_shown(forward)} is a custom_jvp function of {', '.join(trees)}, which are no arrays")
    both = _passes_of(forward, backward, shapes, assume, dict(fixed or {}))
    if not trees:
        return both
    order = [n for n in shapes if not str(assume.get(n, "")).startswith("label")]
    return (
        on_structures(both[0], trees, differentiated=True),
        on_structures(both[1], trees, differentiated=False, order=order),
    )


def _passes_of(
    forward: Any, backward: Any, shapes: Mapping[str, Any], assume: Mapping[str, str], fixed: Mapping[str, Any]
) -> tuple[Any, Any]:
    if backward is None:
        if of_jax.is_custom(forward):
            return of_jax.custom_passes(forward, shapes, assume, fixed)
        if tangents.is_jvp(forward):
            return tangents.jvp_passes(forward, shapes, assume, fixed)
        if of_torch.is_function_class(forward):
            return of_torch.function_passes(forward, shapes, assume, fixed)
        raise MalformedError(
            f"check needs a backward pass beside {_shown(forward)}",
            help="check(forward, backward, ...); a torch.autograd.Function and a jax.custom_vjp bring their own",
        )
    if not of_torch.is_module(forward):
        must_be_taken(fixed, [forward, backward], _shown(forward))
    language = language_of(forward) or language_of(backward)
    return (
        plainly(forward, fixed, differentiated=True, language=language),
        plainly(backward, fixed, differentiated=False, language=language),
    )


def brings_its_backward(subject: Any) -> bool:
    """True for a torch.autograd.Function class, a jax.custom_vjp and a jax.custom_jvp function."""
    return of_jax.is_custom(subject) or tangents.is_jvp(subject) or of_torch.is_function_class(subject)


def inputs_of(subject: Any, shapes: Mapping[str, Any], assume: Mapping[str, str]) -> Mapping[str, Any]:
    """The shapes of what a forward pass takes: of a rule for tangents those and the numbers along its paths, too."""
    return tangents.path_shapes(subject, shapes, assume) if tangents.is_jvp(subject) else shapes


def of_arguments(subject: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The names of a forward pass's inputs as the user has them."""
    return tuple(n.removeprefix(tangents.STEP) for n in names) if tangents.is_jvp(subject) else tuple(names)


def traceable(function: Any, shapes: Mapping[str, Any]) -> Any:
    """A forward pass by itself, as the tracer takes it: a function on single arrays."""
    plain, trees = plainly(function, {}, differentiated=True), structures(shapes)
    return on_structures(plain, trees, differentiated=True) if trees else plain


def plainly(function: Any, fixed: Mapping[str, Any], *, differentiated: bool, language: str | None = None) -> Any:
    """A function as a pass of the framework that it is written for; one for NumPy is itself.

    Args:
        language: the framework, where the function itself need not tell.
    """
    if of_torch.is_module(function):
        return of_torch.module_pass(function, fixed)
    framework = language or language_of(function)
    if framework == "torch":
        return of_torch.plain_pass(function, fixed, differentiated=differentiated)
    if framework == "jax":
        return of_jax.plain_pass(function, fixed, differentiated=differentiated)
    known = {n: v for n, v in fixed.items() if _takes(function, n)}
    return functools.partial(function, **known) if known else function


def all_shapes(function: Any, shapes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The shapes that are given, and of a module those of its other parameters."""
    return of_torch.all_shapes(function, shapes) if of_torch.is_module(function) else shapes


def must_be_taken(fixed: Mapping[str, Any], functions: Iterable[Any], what: str) -> None:
    """Refuse values by `fixed` that none of these takes.

    Raises:
        MalformedError: names the arguments that there are.
    """
    for name in fixed:
        if not any(_takes(f, name) for f in functions):
            known = dict.fromkeys(n for f in functions for n in inspect.signature(f).parameters)
            near = nearest(name, known)
            raise MalformedError(f"fixed names {name!r}, which is no argument of {what}",
                                 evidence=[f"arguments:  {', '.join(known)}"],
                                 help=f"did you mean {near!r}" if near else None)  # fmt: skip


def _takes(function: Any, name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _shown(value: Any) -> str:
    return str(getattr(value, "__name__", f"an object of type {type(value).__name__}"))


def language_of(function: Any) -> str | None:
    """torch or jax, if the function uses one of them, itself or by way of others of the user's; None for NumPy."""
    loaded = [name for name in FRAMEWORKS if name in sys.modules]
    if not loaded:
        return None
    seen: set[int] = set()
    pending: list[Any] = [function]
    while pending and len(seen) < MOST_LOOKED_AT:
        value = pending.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        home = _home(value)
        if home in loaded:
            return home
        if home is None or library_of(home) is None:
            pending += _reached(value)
    return _by_methods(function, loaded)


def _by_methods(function: Any, loaded: list[str]) -> str | None:
    """The framework of a function that only calls methods: that which its file imports, and whose names they are."""
    code, scope = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    if code is None:
        return None
    modules = {n for n, v in scope.items() if isinstance(v, types.ModuleType)}
    imported = {_home(scope[n]) for n in modules}
    used = {*_methods(code, modules), *_keywords(code)}
    for name in loaded:
        told = used & KEYWORDS[name] or any(hasattr(ARRAYS[name](), n) and not hasattr(np.ndarray, n) for n in used)
        if name in imported and ("numpy" not in imported or told):
            return name
    return None


def _methods(code: types.CodeType, modules: set[str]) -> Iterator[str]:
    """The attributes that a function asks for, but for those of modules: of `np.exp(x).sum()` it is `sum`."""
    before: dis.Instruction | None = None
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            of_module = before is not None and before.opname == "LOAD_GLOBAL" and before.argval in modules
            if not of_module:
                yield str(step.argval)
        before = step
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _methods(inner, modules)


ARRAYS = {"torch": lambda: sys.modules["torch"].Tensor, "jax": lambda: sys.modules["jax"].Array}
KEYWORDS = {"torch": {"dim", "keepdim"}, "jax": set()}  # arguments that NumPy's methods do not have


def _keywords(code: types.CodeType) -> Iterator[str]:
    """The names of arguments in a function's calls."""
    for value in code.co_consts:
        if isinstance(value, tuple):
            yield from (v for v in value if isinstance(v, str))
        elif isinstance(value, types.CodeType):
            yield from _keywords(value)


def _home(value: Any) -> str | None:
    """The top of the module that a value comes from."""
    if isinstance(value, types.ModuleType):
        return value.__name__.partition(".")[0]
    name = getattr(value, "__module__", None) or type(value).__module__
    top = str(name).partition(".")[0]
    return "jax" if top == "jaxlib" else top


def _reached(value: Any) -> Iterator[Any]:
    """What a function of the user's can reach in one step."""
    if isinstance(value, (functools.partial, types.MethodType)):
        yield getattr(value, "func", None) or getattr(value, "__func__", None)
        yield getattr(value, "__self__", None)
    inner = getattr(value, "__wrapped__", None)
    if inner is not None:
        yield inner
    if isinstance(value, type):
        yield from (getattr(v, "__func__", v) for v in vars(value).values() if callable(getattr(v, "__func__", v)))
    elif not isinstance(value, types.FunctionType):
        if not isinstance(value, types.ModuleType) and callable(value):
            yield from vars(type(value)).values()
        return
    if isinstance(value, types.FunctionType):
        names = set(_names(value.__code__))
        yield from (value.__globals__[n] for n in sorted(names & value.__globals__.keys()))
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:
                continue
        yield from value.__defaults__ or ()


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


__all__ = ["Callable", "all_shapes", "brings_its_backward", "language_of", "passes_of", "plainly", "traceable"]
