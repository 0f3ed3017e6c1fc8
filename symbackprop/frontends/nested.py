"""Inputs that are dictionaries, lists or tuples of arrays, as models keep their parameters.

    shapes={"params": {"enc": {"W": ("D", "H")}, "layers": [("H", "M"), ("M",)]}, "x": ("N", "D")}

Each array in them is an input of its own, by the name that says where it is: params.enc.W, params.layers.0. The two
functions are handed the structure, and of the gradients that come back each belongs to the array at the same place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from symbackprop.errors import MalformedError
from symbackprop.frontends.passes import Pass, framework_of
from symbackprop.frontends.structures import by_input, input_named, mapped, remade

Function = Callable[..., Any]
Shapes = Sequence[Any] | Mapping[str, Any]  # the shape of one array, or a structure of such


def is_shape(value: Any) -> bool:
    """True for the shape of one array: sizes and texts in a plain tuple or list."""
    plain = isinstance(value, (tuple, list)) and not hasattr(value, "_fields")
    return plain and all(isinstance(n, (int, float, str)) for n in value) and (bool(value) or isinstance(value, tuple))


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Shapes, or what is assumed, by the names of arrays.

    Example:
        >>> flattened({"p": {"W": ("D", "M"), "b": [("M",)]}, "x": ("N", "D")})
        {'p.W': ('D', 'M'), 'p.b.0': ('M',), 'x': ('N', 'D')}
    """
    if not isinstance(values, Mapping):
        return values  # the tracer says what it must be
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= dict(_leaves(str(name), value)) if _is_nested(value) else {name: value}
    return flat


def structures(shapes: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that are structures, each with the names of its arrays in their places.

    Raises:
        MalformedError: a tuple holds sizes beside shapes.
    """
    return {n: _named(n, v) for n, v in shapes.items() if _is_nested(v)} if isinstance(shapes, Mapping) else {}


def _is_nested(value: Any) -> bool:
    return isinstance(value, (dict, tuple, list)) and not is_shape(value)


def _members(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(zip(getattr(value, "_fields", range(len(value))), value, strict=True))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not _is_nested(value):
        yield name, value
        return
    for key, member in _members(value):
        yield from _leaves(f"{name}.{key}", member)


def _named(name: str, value: Any) -> Any:
    if is_shape(value):
        return name
    if not isinstance(value, (dict, tuple, list)):
        raise MalformedError(f"the shape of {name} is {value!r}, not a tuple",
                             help='of an array write ("N", "D"), of one number (), and None of nothing')  # fmt: skip
    parts = {key: None if member is None else _named(f"{name}.{key}", member) for key, member in _members(value)}
    return parts if isinstance(value, dict) else remade(value, list(parts.values()))


# --- the two functions --------------------------------------------------------------------------------------------


def on_structures(
    function: Function, trees: Mapping[str, Any], *, differentiated: bool, order: Sequence[str] = ()
) -> Function:
    """The function on single arrays, by their names.

    Args:
        trees: as `structures` gives them.
        differentiated: a forward, of which the result is left as it is; else it returns gradients.
        order: the inputs in whose order a backward returns its gradients, where it returns no dictionary.
    """
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    names = [p.name for p in parameters]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    within = [n for n in trees if takes_any or n in names]
    if differentiated and len(within) < len(trees):
        missing = ", ".join(n for n in trees if n not in within)
        raise MalformedError(f"shapes names {missing}, which is no input", evidence=[f"inputs:  {', '.join(names)}"])
    kept = [p for p in parameters if p.name not in trees and p.kind is not p.VAR_KEYWORD]
    if within:
        kept.append(inspect.Parameter("arrays", inspect.Parameter.VAR_KEYWORD))

    def given(arrays: Mapping[str, Any], kind_of: Callable[[Any], Any]) -> dict[str, Any]:
        inside = {leaf for tree in trees.values() for leaf in _texts(tree)}
        plain = {n: v for n, v in arrays.items() if n not in inside and (takes_any or n in names)}
        return plain | {n: _filled(trees[n], arrays, kind_of) for n in within}

    def returned(result: Any) -> Any:
        return result if differentiated else _spread(result, trees, order)

    def real(*args: Any, **arrays: Any) -> Any:
        return returned(function(*args, **given(arrays, lambda kind: kind)))

    def traced(overlay: Any) -> Function:
        plain = overlay.patch(function)
        return lambda *args, **arrays: returned(plain(*args, **given(arrays, overlay.patch)))

    shown = signature.replace(parameters=kept)
    unrecorded = bool(getattr(function, "unrecorded", False))
    name = getattr(function, "__name__", type(function).__name__)
    return Pass(function, name, shown, real, traced, framework_of(function), unrecorded=unrecorded)


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif tree is not None:
        for _, member in _members(tree):
            yield from _texts(member)


def _filled(tree: Any, arrays: Mapping[str, Any], kind_of: Callable[[Any], Any]) -> Any:
    """The structure with the arrays in their places.

    Args:
        kind_of: the class of a named tuple as the function knows it.
    """
    if isinstance(tree, dict):
        return {n: _filled(v, arrays, kind_of) for n, v in tree.items()}
    if isinstance(tree, (tuple, list)):
        parts = [_filled(v, arrays, kind_of) for v in tree]
        return kind_of(type(tree))(*parts) if hasattr(tree, "_fields") else remade(tree, parts)
    return None if tree is None else arrays[tree]


def _spread(result: Any, trees: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """The gradients by the names of the arrays, as they are returned by the names of the inputs or in their order."""
    flat: dict[str, Any] = {}
    for name, value in _by_input(result, trees, order):
        flat.update(_pairs(trees[name], value, name) if name in trees else [(name, value)])
    return flat


def _by_input(result: Any, trees: Mapping[str, Any], order: Sequence[str]) -> list[tuple[str, Any]]:
    """(input, what was returned for it); of one structure alone its gradients may come as they are."""
    single = [n for n in trees if list(order) == [n] or len(trees) == 1]
    alone = single and list(order) == single and _is_like(trees[single[0]], result)
    if not alone:
        result = by_input(result, {*order, *trees}) if not isinstance(result, dict) else result
    if not isinstance(result, dict):
        values = [result] if alone or not isinstance(result, (tuple, list)) else list(result)
        if len(values) > len(order):
            raise MalformedError(f"the backward returns {len(values)} gradients for {len(order)} inputs")
        return list(zip(order, values, strict=False))
    known = {*order, *trees}
    named = [(input_named(n, known), v) for n, v in result.items()]
    if single and _is_like(trees[single[0]], result) and not any(n in known for n, _ in named):
        return [(single[0], result)]
    return named


def _is_like(tree: Any, value: Any) -> bool:
    """True if a value has the members of a structure."""
    if isinstance(tree, dict) or isinstance(value, dict):
        return isinstance(tree, dict) and isinstance(value, dict) and value.keys() <= tree.keys()
    return isinstance(value, type(tree)) and len(value) == len(tree)


def _pairs(tree: Any, value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(name of an array, its gradient), where there is one.

    Raises:
        MalformedError: the gradients have another structure.
    """
    if value is None or tree is None:
        return
    if isinstance(tree, str):
        yield tree, value
        return
    known = dict(_members(tree))
    if isinstance(tree, dict) != isinstance(value, dict) or not isinstance(value, (dict, tuple, list)):
        raise MalformedError(f"the gradient of {name} is a {type(value).__name__}, where {name} is a {_kind(tree)}")
    found = dict(_members(value)) if isinstance(value, dict) else dict(zip(known, value, strict=False))
    strange = [str(k) for k in found if k not in known]
    if strange or (len(found) != len(known) and not isinstance(tree, dict)) or len(value) > len(found):
        evidence = [f"{name}:  {', '.join(map(str, known))}"]
        told = f"an entry {strange[0]!r}" if strange else f"{len(value)} entries"
        raise MalformedError(f"the gradient of {name} has {told}, and {name} has not", evidence=evidence)
    for key, part in found.items():
        yield from _pairs(known[key], part, f"{name}.{key}")


def _kind(tree: Any) -> str:
    return "dictionary" if isinstance(tree, dict) else type(tree).__name__


__all__ = ["flattened", "is_shape", "mapped", "on_structures", "structures"]
