r"""What can be said about a formula by its form alone: indices, brackets, names that nothing defines.

Main names: `findings` for a link, made of `one_sided`, `bound` and `oddities`; `undefined` for a document; `mended` for
a row. Nothing here knows what a symbol means, so a reader that does may leave findings out: whether i and j are indices
at all is for the caller to say (`indices`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from symbackprop.audit.latex import to_tex
from symbackprop.audit.tree import (
    Anything,
    Application,
    Big,
    Cases,
    Chain,
    Condition,
    Derivative,
    Display,
    Dots,
    Group,
    Link,
    Listing,
    Matrix,
    Node,
    NotUnderstood,
    Number,
    Product,
    Row,
    Script,
    Scripts,
    Span,
    Symbol,
    Text,
    children,
    links,
    walk,
)

# Letters that are usual as indices of a component; superscripts and sizes have others.
INDICES = frozenset("ijklnpqrst")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the form of a formula.

    `kind`: "one side", "unused", "captured", "undefined", "bracket", "script", "command", "relation"; `name` is the
    symbol that it is about, `words` a sentence for the reader, `span` the place in the formula's text.
    """

    kind: str
    name: str
    words: str
    span: Span


def free_indices(node: Anything, indices: Collection[str] = INDICES) -> dict[str, Span]:
    """Names that stand as whole items of subscripts, x_{ij}: i and j, and that no sum around them binds; with a place
    each.

    Items of a superscript in brackets count as well, x^{(i)}: a caller who reads them as layers leaves them out of
    `indices`. An index of a sum, x_{i+1}, counts; one in the subscript of a function's name does not.
    """
    found: dict[str, Span] = {}
    _collect(node, frozenset(), found, indices)
    return found


def _collect(node: Anything, hidden: frozenset[str], found: dict[str, Span], indices: Collection[str]) -> None:
    """Walks down with the indices that are bound on the way; as deep as trees are nested, which the grammar limits."""
    if isinstance(node, Big):
        bound_here = frozenset(bound_names(node))
        for part in (*node.lower, node.upper):
            if part is not None:
                _collect(part, hidden | bound_here, found, indices)
        if node.body is not None:
            _collect(node.body, hidden | bound_here, found, indices)
        return
    if isinstance(node, Scripts):
        for script in (node.below, node.above):
            if script is not None:
                for name, span in _index_items(script, raised=script is node.above):
                    if name in indices and name not in hidden:
                        found.setdefault(name, span)
    for child in children(node):
        _collect(child, hidden, found, indices)


def _index_items(script: Script, *, raised: bool) -> Iterator[tuple[str, Span]]:
    """Names of plain letters in a subscript, or in a superscript's brackets."""
    for item in script.items:
        if isinstance(item, Group) and item.opening in ("(", "["):
            for inner in item.items:
                yield from _letters_of(inner)
        elif not raised:
            yield from _letters_of(item)


def _letters_of(node: Node) -> Iterator[tuple[str, Span]]:
    if isinstance(node, Symbol) and len(node.name) == 1 and node.name.islower() and not node.font and not node.accents:
        yield node.name, node.span
    elif not isinstance(node, (Symbol, Number, Scripts, Application)):
        for child in children(node):
            yield from _letters_of(child)  # type: ignore[arg-type]


def bound_names(big: Big) -> tuple[str, ...]:
    r"""The names that an operator binds: i of i = 1, n of n \in N, i and j of i < j or of i, j."""
    names: list[str] = []
    for part in big.lower:
        if isinstance(part, Symbol):
            names.append(part.name)
        elif isinstance(part, Chain) and part.members:
            several = {relation.sign for relation in part.relations} <= {"<", "≤", "≠", ">"}
            for member in part.members if several else part.members[:1]:
                for item in member.items if isinstance(member, (Listing, Group)) else (member,):
                    if isinstance(item, Symbol):
                        names.append(item.name)
        elif isinstance(part, (Product, Group, Listing)):
            items = part.factors if isinstance(part, Product) else part.items
            names += [item.name for item in items if isinstance(item, Symbol)]
    return tuple(dict.fromkeys(names))


def one_sided(link: Link, indices: Collection[str] = INDICES) -> tuple[Finding, ...]:
    """Indices that stand free on one side of an equation only.

    Silent where a side has no free index at all (vector notation, a constant), where a side is not understood, has an
    ellipsis, a matrix or cases, and for what a condition of the chain names.

    Example:
        >>> from symbackprop.audit.grammar import parse
        >>> [link] = links(parse(r"\\delta_j = \\sum_k w_{kj} \\delta_k x_i"))
        >>> [finding.name for finding in one_sided(link)]
        ['i']
    """
    if link.left is None or link.relation.sign not in ("=", "≈", ":=", "≡", "≜", "≐", "←"):
        return ()
    for node in (*walk(link.left), *walk(link.right)):
        if isinstance(node, (NotUnderstood, Dots, Matrix, Cases)):
            return ()
    left, right = free_indices(link.left, indices), free_indices(link.right, indices)
    if not left or not right:
        return ()
    named = {name for condition in link.chain.conditions for name in _names(condition)}
    findings = []
    for here, there, side in ((left, right, "left"), (right, left, "right")):
        for name, span in here.items():
            same, elsewhere = (link.left, link.right) if side == "left" else (link.right, link.left)
            if name in there or name in named or name in _names(elsewhere) or name in _cancelled(same):
                continue
            other = "right" if side == "left" else "left"
            if any(isinstance(node, Big) and name in bound_names(node) for node in walk(elsewhere)):
                words = f"the index {name} is free on the {side} side and bound by a sum on the {other}"
                findings.append(Finding("captured", name, words, span))
            else:
                findings.append(Finding("one side", name, f"the index {name} stands on the {side} side only", span))
    return tuple(findings)


def _cancelled(node: Node) -> set[str]:
    r"""Indices above and below in one derivative: j of \partial z_j / \partial w_{jk} may be missing elsewhere."""
    names: set[str] = set()
    for here in walk(node):
        if isinstance(here, Derivative) and here.of is not None:
            below = {name for variable in here.by for name in free_indices(variable)}
            names |= below & set(free_indices(here.of))
    return names


def _names(node: Anything) -> set[str]:
    """Names of all symbols in a tree that no sum around them binds."""
    names: set[str] = set()
    waiting: list[tuple[Anything, frozenset[str]]] = [(node, frozenset())]
    while waiting:
        here, hidden = waiting.pop()
        if isinstance(here, Symbol) and here.name not in hidden:
            names.add(here.name)
        inner = hidden | frozenset(bound_names(here)) if isinstance(here, Big) else hidden
        waiting += [(child, inner) for child in children(here)]
    return names


def bound(node: Anything) -> tuple[Finding, ...]:
    r"""Sums whose index their body does not carry ("unused"), and sums whose index is bound again inside ("captured").

    A sum without body, or over something with words or an ellipsis, is left alone: so is \sum_{x} of a set. Of a sum
    over juxtaposed sums each is looked at for itself.
    """
    findings: list[Finding] = []
    waiting: list[tuple[Anything, frozenset[str]]] = [(node, frozenset())]
    while waiting:
        here, around = waiting.pop()
        inner = around
        if isinstance(here, Big) and here.operator in ("sum", "prod"):
            names = bound_names(here)
            findings += _unused(here, names)
            for name in names:
                if name in around:
                    words = f"the index {name} is bound again inside another sum over {name}"
                    findings.append(Finding("captured", name, words, here.span))
            inner = around | frozenset(names)
        waiting += [(child, inner) for child in children(here)]
    return tuple(findings)


def _unused(big: Big, names: tuple[str, ...]) -> list[Finding]:
    if big.body is None or any(isinstance(node, (Text, Dots, NotUnderstood)) for node in walk(big.body)):
        return []
    used = {node.name for node in walk(big.body) if isinstance(node, Symbol)}
    bounds = {node.name for part in big.lower for node in walk(part) if isinstance(node, Symbol)}
    several = len(names) > 1 and len(bounds) > 1
    found = []
    for name in names:
        if name not in used and not (several and any(other in used for other in names)):
            words = f"the sum over {name} has no {name} in it"
            found.append(Finding("unused", name, words, big.span))
    return found


def undefined(displays: Iterable[Display], known: Collection[str] = ()) -> tuple[tuple[int, Finding], ...]:
    r"""Symbols that a formula uses and that nothing before it introduces: (number of the display, finding), once a
    symbol.

    Introduced is what is `known`, what stands left of a relation (or right of a := turned round), what a derivative is
    taken by, what a sum binds, an index, a bound of a condition, and the names of functions. A caller puts into `known`
    what the prose names, such as the formulas $m$, $x$ of a text.
    """
    seen = set(known)
    told: set[str] = set()
    findings: list[tuple[int, Finding]] = []
    for number, display in enumerate(displays):
        for link in links(display):
            if link.left is not None:
                seen |= {name for name, _ in _carriers(link.left)}
        for row in display.rows:
            for chain in row.chains:
                seen |= {name for condition in chain.conditions for name in _names(condition)}
        for link in links(display):
            for name, span in sorted(_carriers(link.right), key=lambda carrier: carrier[1]):
                if name not in seen and name not in told:
                    told.add(name)
                    words = f"{name} is used here and introduced nowhere before"
                    findings.append((number, Finding("undefined", name, words, span)))
    return tuple(findings)


_CONSTANTS = frozenset(["e", "pi", "infty", "d", "i", "T", "top", "1", "R", "partial", "ast", "dagger"])


def _carriers(node: Node) -> Iterator[tuple[str, Span]]:
    """Symbols that are no scripts, no functions with a known name and no bound indices."""
    waiting: list[tuple[Anything, frozenset[str]]] = [(node, frozenset())]
    while waiting:
        here, hidden = waiting.pop()
        if isinstance(here, Symbol):
            if here.name not in hidden and here.name not in _CONSTANTS and here.font not in ("blackboard", "command"):
                yield here.name, here.span
            continue
        if isinstance(here, Scripts):
            waiting.append((here.base, hidden))
            continue
        if isinstance(here, Application):
            waiting.append((here.argument, hidden)) if here.argument is not None else None
            continue
        inner = hidden | frozenset(bound_names(here)) if isinstance(here, Big) else hidden
        parts: list[Anything | None] = [here.body] if isinstance(here, Big) else [*children(here)]
        if isinstance(here, Derivative):
            parts = [here.of, *here.by]
        waiting += [(part, inner) for part in parts if part is not None and not isinstance(part, (Script, Condition))]


def findings(row: Row, link: Link) -> tuple[Finding, ...]:
    """All that is odd in the form of one link of a row."""
    sides = [side for side in (link.left, link.right) if side is not None]
    return (*one_sided(link), *(finding for side in sides for finding in bound(side)), *oddities(row))


def mended(row: Row) -> str | None:
    r"""The row as it was read, if it is not as it was written: brackets closed, a^(l) as a^{(l)}; else None.

    Example:
        >>> from symbackprop.audit.grammar import parse
        >>> mended(parse("a_{i}^(l) = f(z").rows[0])
        'a_{i}^{(l)} = f(z)'
    """
    return to_tex(row) if any(note.kind in ("bracket", "script") for note in row.notes) else None


def oddities(row: Row) -> tuple[Finding, ...]:
    """The row's notes on brackets, scripts and unknown commands as findings; names made of letters are no finding."""
    kinds = {"bracket": "bracket", "script": "script", "command": "command"}
    return tuple(Finding(kinds[n.kind], "", n.words, n.span) for n in row.notes if n.kind in kinds)
