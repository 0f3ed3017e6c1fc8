r"""Primes without an argument: transposes, x'Ax and (X'X)^{-1}X'y, as statisticians write, and derivatives.

Main names: `with_transposes`, `as_derivatives`. A prime is a transpose only in a document that writes a quadratic form
with one, a base that stands primed and plain in one product, and that primes a capital letter or a bracket; and never
on a letter that the document uses as a function. There each such prime becomes the superscript \top.

Where \sigma' = \sigma (1 - \sigma), z' = w or (x^2)' = 2x is claimed, functions without arguments are all taken at one
point, and what else has a prime is differentiated by the one variable that it rests on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from symbackprop.audit.definitions import Environment
from symbackprop.audit.tree import (
    Application,
    Derivative,
    Display,
    Group,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    walk,
    with_parts,
)
from symbackprop.audit.words import FUNCTIONS

POINT = "t"  # at which functions are taken that no formula gives an argument
CONSTANTS = frozenset(["e", "pi", "1", "top", "T"])


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


def as_derivatives(env: Environment, left: Node, right: Node) -> tuple[Node, Node, str] | None:
    r"""Both sides of a link whose left one is primed and has no argument, primes read as derivatives.

    Returns:
        The sides, and what else than functions is differentiated, as a condition; None where there is nothing to read.

    Example:
        z' = w, after z = w x + b, is dz/dx = w, "z' is a derivative by x".
    """
    if not _is_primed(left):
        return None
    variable = _variable(env, left, right)
    if variable is None:
        return None
    reader = _Primed(env, variable)
    one, two = reader.read(left), reader.read(right)
    if reader.unknown:
        return None
    words = f"{reader.told[0]} is a derivative by {variable.name}" if reader.told else ""
    return one, two, words


def _is_primed(node: Node) -> bool:
    """True for f', z'', (fg)' and \tanh' alone."""
    return isinstance(node, Scripts) and node.primes > 0 and node.below is None and node.above is None


def _is_named(node: object) -> bool:
    r"""True for \tanh and \exp', which have no letters."""
    symbol = node.base if isinstance(node, Scripts) else node
    return isinstance(symbol, Symbol) and symbol.font == "roman" and symbol.name in FUNCTIONS


def _variable(env: Environment, left: Node, right: Node) -> Symbol | None:
    """By what is differentiated: the only letter on which all rests, x among several, or what a function is one of."""
    letters = _letters(env, left)
    if not letters:
        for definition in (env.functions.get(_family(env, node) or "") for node in walk(left)):
            argument = definition.head.arguments[:1] if definition is not None else ()
            if argument and isinstance(argument[0], Symbol):
                return argument[0]
        letters = _letters(env, right) or {POINT: None}
    if "x" in letters or len(letters) == 1:
        return Symbol("x" if "x" in letters else next(iter(letters)))
    return None


def _letters(env: Environment, side: Node) -> dict[str, None]:
    return dict.fromkeys(name for node in walk(side) for name in _given(env, _family(env, node), set()))


def _family(env: Environment, node: object) -> str | None:
    mention = env.names.mention(node) if isinstance(node, Symbol | Scripts) else None
    return mention.family if mention is not None else None


def _given(env: Environment, family: str | None, seen: set[str]) -> Iterable[str]:
    """The letters on which a quantity rests."""
    if family is None or family in seen or family in env.functions or family in CONSTANTS | FUNCTIONS:
        return
    seen.add(family)
    known = env.definitions.get(family, ())
    if not known:
        yield family
    for definition in known:
        for node in walk(definition.right):
            yield from _given(env, _family(env, node), seen)


class _Primed:
    """Reads functions without arguments at one point, and other primes as derivatives by it."""

    def __init__(self, env: Environment, variable: Symbol) -> None:
        self.env, self.variable = env, variable
        self.told: list[str] = []
        self.unknown = False  # a letter has a prime of which nothing is known

    def read(self, node: Any) -> Any:
        """The tree, so read."""
        if isinstance(node, Product):
            return self._product(node)
        if isinstance(node, Application):
            return self._application(node)
        if isinstance(node, Symbol | Scripts) and (found := self._letter(node)) is not None:
            return found
        return node if isinstance(node, Script | Derivative) else with_parts(node, self.read)

    def _product(self, node: Product) -> Node:
        """A function that has a bracket behind it keeps it."""
        found: list[Node] = []
        for k, factor in enumerate(node.factors):
            called = (
                k + 1 < len(node.factors)
                and isinstance(node.factors[k + 1], Group)
                and not node.operators[k]
                and self._is_applied(node.factors[k + 1])
            )
            found.append(factor if called and self._is_function(factor) else self.read(factor))
        return Product(tuple(found), node.operators, span=node.span)

    def _is_applied(self, bracket: Node) -> bool:
        r"""True unless a bracket holds functions without arguments: the 1 - \sigma of \sigma (1 - \sigma)."""
        return bool(self.read(bracket) == bracket)

    def _is_function(self, node: Node) -> bool:
        return _family(self.env, node) in self.env.functions or _is_named(node)

    def _application(self, node: Application) -> Node:
        return node if node.argument is None else replace(node, argument=self.read(node.argument))

    def _letter(self, node: Symbol | Scripts) -> Node | None:
        """A function at the point; a derivative of what else has a prime; None for what has none."""
        primes = node.primes if isinstance(node, Scripts) else 0
        if self._is_function(node):
            above = node.above if isinstance(node, Scripts) else None
            name = replace(node, above=None) if isinstance(node, Scripts) else node
            if isinstance(name, Scripts) and not primes and name.below is None and isinstance(name.base, Symbol):
                name = name.base
            called: Node = Application(name, self._here()) if _is_named(name) else self._called(name)
            return called if above is None else Scripts(called, above=above, span=node.span)
        if not primes:
            return None
        assert isinstance(node, Scripts)
        plain = replace(node, primes=0) if node.below or node.above else node.base
        heads = [d.head.arguments for d in self.env.definitions.get(_family(self.env, plain) or "", ())]
        self.unknown |= not heads and not isinstance(plain, Group)
        if not any(arguments == (self.variable,) for arguments in heads):
            self.told.append(f"{plain.name}'" if isinstance(plain, Symbol) else "the prime")
        order = None if primes == 1 else Number(str(primes))
        of = self.read(plain) if isinstance(plain, Group) else plain
        return Derivative("d", "fraction", of, (self.variable,), (order,), order, span=node.span)

    def _called(self, name: Node) -> Group:
        return Group("(", ")", (Product((name, self._here()), ("",), span=name.span),), span=name.span)

    def _here(self) -> Group:
        return Group("(", ")", (self.variable,))


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
    made = with_parts(value, lambda part: _rewritten(part, functions))
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
