"""jax.tree and jax.tree_util on tuples, lists, dictionaries and named tuples of symbolic arrays.

Source: JAX's documentation of each function; what is registered as another kind of node is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.array import Array
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.session import guarded
from symbackprop.frontends.numpy.size import Size
from symbackprop.frontends.structures import leaves_of, like

TREES: dict[str, Callable[..., Any]] = {}  # by their names in jax.tree; tree_map and its like in jax.tree_util


def _enter(function: Callable[..., Any]) -> Callable[..., Any]:
    TREES[function.__name__.removeprefix("tree_")] = guarded(function)
    return function


class TreeDef:
    """The structure of a tree.

    Args:
        tree: any tree that has it.
    """

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self.num_leaves = len(leaves_of(tree))

    def unflatten(self, leaves: Any) -> Any:
        """The tree of these leaves."""
        return tree_unflatten(self, leaves)


def _read(tree: Any, is_leaf: Any) -> list[Any]:
    """The leaves of a tree.

    Raises:
        TraceError: it holds objects of which only JAX knows whether they are leaves.
    """
    if is_leaf is not None:
        raise TraceError("a tree whose leaves are told by is_leaf cannot be traced")
    leaves = leaves_of(tree)
    for leaf in leaves:
        if not isinstance(leaf, (Array, Size, int, float, str)) and not callable(leaf):
            raise TraceError(f"a tree that holds an object of type {type(leaf).__name__} cannot be traced")
    return leaves


@_enter
def tree_leaves(tree: Any, is_leaf: Any = None) -> list[Any]:
    """The leaves, of dictionaries by their keys."""
    return _read(tree, is_leaf)


@_enter
def tree_structure(tree: Any, is_leaf: Any = None) -> TreeDef:
    """The structure without the leaves."""
    _read(tree, is_leaf)
    return TreeDef(tree)


@_enter
def tree_flatten(tree: Any, is_leaf: Any = None) -> tuple[list[Any], TreeDef]:
    """(the leaves, the structure)."""
    return _read(tree, is_leaf), TreeDef(tree)


@_enter
def tree_unflatten(treedef: Any, leaves: Any) -> Any:
    """The tree of that structure with these leaves."""
    found = list(leaves)
    if len(found) != treedef.num_leaves:
        raise ShapesDoNotFit(f"a tree of {treedef.num_leaves} leaves is made of {len(found)}")
    return like(treedef._tree, iter(found))


@_enter
def tree_map(f: Any, tree: Any, *rest: Any, is_leaf: Any = None) -> Any:
    """f of the leaves at each place."""
    columns = [_read(tree, is_leaf), *(_read(other, is_leaf) for other in rest)]
    if len({len(c) for c in columns}) > 1:
        raise ShapesDoNotFit("jax.tree.map of trees of several structures")
    return like(tree, iter([f(*leaves) for leaves in zip(*columns, strict=True)]))


@_enter
def tree_reduce(function: Any, tree: Any, *initializer: Any, is_leaf: Any = None) -> Any:
    """The leaves, taken together one after another."""
    return functools.reduce(function, _read(tree, is_leaf), *initializer)


@_enter
def tree_all(tree: Any, *, is_leaf: Any = None) -> bool:
    """Whether all leaves are true."""
    return all(_read(tree, is_leaf))


__all__ = ["TREES"]
