r"""Primes that stand for a transpose: x'Ax and (X'X)^{-1}X'y, as statisticians write.

Main name: `with_transposes`. A prime is read so only in a document that writes a quadratic form with one, a base that
stands primed and plain in one product, and that primes a capital letter or a bracket; and never on a letter that the
document uses as a function. There each such prime becomes the superscript \top.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from symbackprop.audit.tree import Application, Display, Group, Node, Product, Script, Scripts, Symbol, walk


def with_transposes(displays: tuple[Display, ...]) -> tuple[Display, ...]:
    r"""The formulas of a document, primes that mean a transpose written as \top.

    Example:
        >>> from symbackprop.audit.grammar import parse
        >>> from symbackprop.audit.latex import to_tex
        >>> formulas = parse("q = x'Ax"), parse("g = X'(y - Xb) + f'(0) - f(1)")
        >>> [to_tex(display) for display in with_transposes(formulas)]
        ['q = x^{\\top} A x', "g = X^{\\top}(y - X b) + f'(0) - f(1)"]
    """
    found = [node for display in displays for node in walk(display)]
    functions = frozenset(_functions(displays)) - {name for node in found for name in _squared(node)}
    if not any(_is_quadratic(node, functions) for node in found) or not any(map(_is_primed_matrix, found)):
        return displays
    return tuple(_rewritten(display, functions) for display in displays)


def _is_primed_matrix(node: object) -> bool:
    """X' or (y - Xb)': a prime on what is rarely a function of one variable."""
    if not isinstance(node, Scripts) or node.primes != 1:
        return False
    return isinstance(node.base, Group) or (isinstance(node.base, Symbol) and node.base.name[:1].isupper())


def _squared(node: object) -> Iterable[str]:
    """The letter of X'X: side by side with itself it is no function, whatever brackets stand behind it elsewhere."""
    for one, two in itertools.pairwise(node.factors) if isinstance(node, Product) else ():
        primed = isinstance(one, Scripts) and one.primes == 1 and one.below is None and one.above is None
        if primed and isinstance(two, Symbol) and one == Scripts(two, primes=1):
            yield two.name


def _is_quadratic(node: object, functions: frozenset[str]) -> bool:
    """A product in which a base stands primed and, later, plain: x'Ax, (y - Xb)'(y - Xb)."""
    if not isinstance(node, Product):
        return False
    primed: list[Node] = []
    for factor in node.factors:
        if isinstance(factor, Scripts) and factor.primes == 1 and _may_be_transposed(factor.base, functions):
            primed.append(replace(factor, primes=0) if factor.below or factor.above else factor.base)
        elif any(factor == base for base in primed):
            return True
    return False


def _functions(displays: Iterable[Display]) -> Iterable[str]:
    """Letters that stand without a prime before a bracket of their own, f(x), and named functions."""
    for display in displays:
        for node in walk(display):
            if isinstance(node, Application) and isinstance(node.function, Symbol):
                yield node.function.name
            if isinstance(node, Product):
                for first, second, operator in zip(node.factors, node.factors[1:], node.operators, strict=False):
                    called = isinstance(second, Group) and second.opening == "(" and not operator
                    name = _name(first)
                    if called and name and (first.span[1] == second.span[0] or not first.span[1]):
                        yield name


def _name(node: Node) -> str:
    """The letter of a symbol that has no prime; a marked one is the same letter."""
    if isinstance(node, Scripts) and not node.primes:
        node = node.base
    return node.name if isinstance(node, Symbol) else ""


def _rewritten(value: Any, functions: frozenset[str]) -> Any:
    """The tree with \\top for primes of what is no function; no deeper than the grammar lets trees be nested."""
    if isinstance(value, tuple):
        return tuple(_rewritten(item, functions) for item in value)
    if not hasattr(value, "__dataclass_fields__"):
        return value
    changed = {}
    for each in fields(value):
        if each.name != "span":
            old = getattr(value, each.name)
            new = _rewritten(old, functions)
            if new is not old and new != old:
                changed[each.name] = new
    made = replace(value, **changed) if changed else value
    if isinstance(made, Scripts) and made.primes == 1 and _may_be_transposed(made.base, functions):
        top = Symbol("top", span=(made.span[1] - 1, made.span[1]))
        items = (*(made.above.items if made.above else ()), top)
        separators = (*(made.above.separators if made.above else ()), *([""] if made.above else []))
        return replace(made, primes=0, above=Script(items, separators, span=made.span))
    return made


def _may_be_transposed(base: Node, functions: frozenset[str]) -> bool:
    if isinstance(base, Group):
        return base.opening in ("(", "[")
    return isinstance(base, Symbol) and base.name not in functions
