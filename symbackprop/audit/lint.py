"""What can be said about a formula by its form alone: indices, brackets, names that nothing defines.

Each function takes trees and returns `Finding`s; what is an index is the caller's to know, or read off by `indices`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from symbackprop.audit.tree import Display, Link, Node, Row, Span


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind`: "one side", "unused", "captured", "undefined", "bracket", "script", "command"; words for the reader;
    where.
    """

    kind: str
    words: str
    span: Span


def free_indices(node: Node, indices: Collection[str] = "ijklmnpqrst") -> frozenset[str]:
    """Names of lower-case letters that stand as whole subscripts items (x_{ij}: i and j) and that no sum in `node`
    binds.
    """
    raise NotImplementedError


def one_sided(link: Link, indices: Collection[str] = "ijklmnpqrst") -> tuple[Finding, ...]:
    """Indices that stand free on one side of an equation only; not where a side has no index at all (vector notation)."""
    raise NotImplementedError


def bound(node: Node) -> tuple[Finding, ...]:
    """Sums whose index their body does not carry ("unused"), and sums whose index is bound again inside ("captured")."""
    raise NotImplementedError


def undefined(displays: Iterable[Display], known: Collection[str] = ()) -> tuple[tuple[int, Finding], ...]:
    """Symbols that stand right of a relation, never left of one before, and are not `known`: (number of display,
    finding).
    """
    raise NotImplementedError


def brackets(row: Row) -> tuple[Finding, ...]:
    """The row's notes on brackets, scripts and unknown commands as findings."""
    raise NotImplementedError
