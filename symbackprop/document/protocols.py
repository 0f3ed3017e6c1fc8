"""What a proof must offer so that a document can be made of it: protocols, fulfilled without importing them.

The members say what they are by their names; `proof` reads them and nothing else of a proof.
"""
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from symbackprop.calculus.derivation import Derivation, Gradient
from symbackprop.expression.build import Entry, Symbol
from symbackprop.expression.functions import Function
from symbackprop.expression.program import Program
from symbackprop.rendering.notation import split_name


class RuleLike(Protocol):
    """A named rule, as in `rules.Rule`."""

    @property
    def name(self) -> str: ...
    @property
    def statement(self) -> str: ...
    @property
    def condition(self) -> str: ...
    @property
    def latex(self) -> str: ...
    @property
    def source(self) -> str: ...


class TheoremLike(Protocol):
    """A proved equality with its scope."""

    @property
    def name(self) -> str: ...
    @property
    def derivation(self) -> Derivation: ...
    @property
    def status(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def conditions(self) -> Sequence[str]: ...
    @property
    def remark(self) -> str: ...


class LayerLike(Protocol):
    """One layer: its number, its width as a symbol and as given, its activation."""

    @property
    def number(self) -> int: ...
    @property
    def size(self) -> Symbol: ...
    @property
    def width(self) -> int | str: ...
    @property
    def function(self) -> Function | None: ...


class NetworkLike(Protocol):
    """What the picture and the notation table need to know of a network; `depth` names a symbol, or is None."""

    @property
    def layers(self) -> Sequence[LayerLike]: ...
    @property
    def depth(self) -> str | None: ...


class ProofLike(Protocol):
    """What a document needs of a proof."""

    @property
    def title(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def program(self) -> Program: ...
    @property
    def network(self) -> NetworkLike | None: ...
    @property
    def theorems(self) -> Sequence[TheoremLike]: ...
    @property
    def conditions(self) -> Sequence[str]: ...
    @property
    def gradient(self) -> Gradient | None: ...
    @property
    def rules(self) -> Mapping[str, RuleLike]: ...


def is_about_computed(theorem: TheoremLike) -> bool:
    """True for base and step of an induction: an error term is what the backward pass computes, called d."""
    right = theorem.derivation.right
    return isinstance(right, Entry) and split_name(right.tensor.name)[0] == "d"
