r"""What stands on a page: formulas as presentation trees, with places and without meaning.

A tree says how a formula is written: \delta^{(l)}_i is a symbol with two scripts, and whether (l) is a layer, an
example or a power is for a reader to decide who knows the rest of the document. Where the usual way of writing leaves a
choice, the tree holds the usual reading, flat enough that another can be made of it: the body of a sum is the product
up to the next + or -, f(x) is a product of a symbol and a bracket.

Every node has a `span`, two offsets into the text that was parsed (`Formula.latex`); it takes no part in comparisons.
Main names: `Display`, `Row`, `Chain`, the nodes (`Node` is their union), `NotUnderstood`, `Note`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Whatever stands somewhere: [start, end) in the text that was parsed. Two trees are equal wherever they stand."""

    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number(Placed):
    """Digits as written: "2", "0.5", "1e-5"."""

    text: str


@dataclass(frozen=True, slots=True)
class Symbol(Placed):
    r"""A letter or a name.

    `name` is the bare name: "W", "theta" for \theta and for θ, "varepsilon", "ell", "softmax", "1" for \mathbb{1}.
    `font` is what it is set in: "" (plain), "bold" (\mathbf, \boldsymbol, \bm), "cal" (\mathcal, \cal, \mathscr),
    "roman" (\mathrm, \operatorname, \text of one word, names such as \log), "blackboard" (\mathbb), "fraktur", "sans",
    "typewriter", or "command" for an unknown command. `accents`, innermost first: "hat", "bar", "tilde", "vec", "dot",
    "ddot", "check", "breve", "underline"; and "Delta" for the \Delta of \Delta w_{ij}. An accent or a font over a
    symbol with scripts, \hat{x_i}, is the symbol's: \hat{x}_i. A name of several plain letters, "net" or "sum", was
    written without a command: a reader who knows the letters n, e and t but no "net" may take it apart.
    """

    name: str
    font: str = ""
    accents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Script(Placed):
    r"""What stands above or below: items side by side, and what parts each from the next ("" or "," or ";").

    _{ij} has the items i and j parted by "", _{i,j} by ","; ^{(l)} has one item, a bracket; ^{[l-1]T} a bracket and T;
    _{l+1} one, a sum of terms; _{j \ne c} one, a chain; _{10} one, a number; _{:,j} the symbol ":" and j.
    """

    items: tuple[Node, ...]
    separators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scripts(Placed):
    r"""A base with scripts. T, \top (a symbol "top"), * ("ast"), \dagger are left as written; `primes` counts ' and
    \prime.

    {x_i}^2 and x_i^2 differ: the first is Scripts of Scripts. A script before its base, {}^t A, has an empty Group
    base.
    """

    base: Node
    below: Script | None = None
    above: Script | None = None
    primes: int = 0


@dataclass(frozen=True, slots=True)
class Group(Placed):
    r"""Something in brackets: `opening` and `closing` are "(", "[", "{" (that is \{), "|", "‖", "⟨", "⌊", "⌈" or ""
    (\left.).

    `separators` parts the items: "," ";" "|" (also \mid) or ":". f(W, b; x) has three items parted by "," and ";".
    Braces that only group, {a}, leave no node, except where they are empty.
    """

    opening: str
    closing: str
    items: tuple[Node, ...]
    separators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fraction(Placed):
    r"""A fraction with a bar; a/b is a Product with the operator "/"."""

    numerator: Node
    denominator: Node


@dataclass(frozen=True, slots=True)
class Root(Placed):
    """A square root, or one of another degree."""

    body: Node
    degree: Node | None = None


@dataclass(frozen=True, slots=True)
class Terms(Placed):
    r"""Terms with their signs "+", "-", "±", "∓"; the first has "+" where none is written. -x is Terms of x and "-"."""

    terms: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Product(Placed):
    r"""Factors, and the operators between them: one fewer.

    There are two levels. Juxtaposition "", "cdot", "times", "/" and "div" bind closer; "odot", "circ", "ast" (also a
    bare * and .*), "star", "bullet", "otimes", "oplus", "wedge", "oslash", "@" stand on a level of their own, so that A
    B \odot C is (A B) \odot C; `grammar.flat` gives all factors on one level. Juxtaposition is not decided against
    application: f(x), f'(z)^2 and x(1-x) all are products of a symbol and a bracket. a/bc is a product of a, b, c with
    "/" and "".
    """

    factors: tuple[Node, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Application(Placed):
    r"""A function that is known by its name (\log, letters that spell "log", \mathrm{softmax}), or \operatorname{any}.

    `function` is a Symbol, or Scripts of it (\tanh^2 z, \log_2 x). With brackets `argument` is the Group, or what
    stands in braces, and scripts after them belong to the whole: \exp(a)^2 is Scripts(Application). Without brackets
    (`bracketed` False) it is what follows up to an operator, another function, a fraction after the first factor, or a
    wide space: \log 2\pi\sigma^2. Other names with brackets, \mathrm{NLL}(w), loss(w), are products as J(w) is.
    """

    function: Node
    argument: Node | None
    bracketed: bool = True


@dataclass(frozen=True, slots=True)
class Big(Placed):
    r"""An operator with bounds, over a body: "sum", "prod", "int", "bigcup", and where they have a subscript "max",
    "min", "argmax", "argmin", "sup", "inf", "lim".

    `lower` holds what is written below: chains (i = 1), or bare nodes (i; a set). The body is the usual reading: the
    product that follows, with a sign before it, up to the next + or - on this level; None if nothing follows. It is
    flat: a reader who wants a shorter one takes fewer of the factors of `body` (a Product).
    """

    operator: str
    lower: tuple[Node, ...]
    upper: Node | None
    body: Node | None


@dataclass(frozen=True, slots=True)
class Differential(Placed):
    r"""d x, \mathrm{d}x, \partial J alone, \Delta (AB): `kind` "d", "partial", "Delta" before what it is taken of.

    A letter d directly before a symbol, dW, is read so; where the document has a variable d it may be a product after
    all.
    """

    kind: str
    of: Node
    order: Node | None = None


@dataclass(frozen=True, slots=True)
class Derivative(Placed):
    r"""A derivative as it is written.

    \frac{\partial J}{\partial W}, \partial J / \partial W: kind "partial", form "fraction" or "slash", of J, by (W,).
    \frac{\partial}{\partial x} f(x) g: form "operator"; `of` is the usual reading: the product that follows (juxtaposed
    or with \cdot) up to + or -; flat, so that fewer factors may be taken; None if nothing follows. \partial_x f,
    \nabla_W J, \nabla J, D_x f: form "subscript", on the next factor with the brackets right after it. `by` holds each
    variable as often as it is written, `powers` the exponent of each (None for 1), `order` that of the \partial above:
    \frac{\partial^2 E}{\partial b^2}. `kind`: "partial", "d", "delta" (\delta J/\delta x), "Delta", "nabla", "D".
    """

    kind: str
    form: str
    of: Node | None
    by: tuple[Node, ...]
    powers: tuple[Node | None, ...] = ()
    order: Node | None = None


@dataclass(frozen=True, slots=True)
class Evaluated(Placed):
    r"""\left. f \right|_{x=0}, f|_{x=0}: a body, and the chains or values that stand below (and above) the bar."""

    body: Node
    below: Script | None
    above: Script | None = None


@dataclass(frozen=True, slots=True)
class Annotated(Placed):
    r"""\underbrace{body}_{label}, \overbrace, \overset{label}{body}, \boxed{body} (no label), \cancel{body}: `kind`
    says which.
    """

    kind: str
    body: Node
    label: Node | None


@dataclass(frozen=True, slots=True)
class Matrix(Placed):
    r"""Rows of cells: `kind` "matrix", "pmatrix", "bmatrix", "vmatrix", "array", "smallmatrix", "substack" ... An empty
    cell is Text("").
    """

    kind: str
    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Cases(Placed):
    r"""\begin{cases}: the value of each line and its condition; a line without a second column has None."""

    values: tuple[Node, ...]
    conditions: tuple[Condition | None, ...]


@dataclass(frozen=True, slots=True)
class Text(Placed):
    r"""Words in a formula, \text{if}; one word that is used as a symbol is a Symbol in roman."""

    words: str


@dataclass(frozen=True, slots=True)
class Dots(Placed):
    r"""An ellipsis: "ldots" (also three full stops), "cdots", "vdots", "ddots"."""

    kind: str


@dataclass(frozen=True, slots=True)
class Listing(Placed):
    r"""Items parted by commas outside brackets: the 1, \dots, L of l = 1, \dots, L."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NotUnderstood(Placed):
    """Something that could not be read: why, and where. It stands in the place of a member or a whole display."""

    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Condition(Placed):
    r"""What limits a formula: "for" l = 1, \dots, L; "if" x > 0; "forall" i; "" (i \ge 1, l \ge 2); "" i \ne j."""

    words: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Relation(Placed):
    r"""A sign between two members: "=", "≈", ":=", "←", "≤", "<", "≥", ">", "≠", "∝", "≡", "∼", "→", "∈", "⊂", "≐",
    "≜", "+=" ...

    `link` is its number in the row, counted from 0 through commas: `link` of the audit's answer. `above` is what stands
    over it, \stackrel{def}{=}. \Rightarrow and \iff part formulas and are not counted.
    """

    sign: str
    link: int = field(default=0, compare=False)
    above: Node | None = None


@dataclass(frozen=True, slots=True)
class Chain(Placed):
    r"""Members with relations between them: a = b \approx c. Also in brackets, [y = k], and below sums.

    A chain that begins with a relation (`continues`) has one member fewer: members[i] stands right of relations[i], and
    its left side is the last member of the row above (`links` finds it), or nothing in the first row. Otherwise
    members[i] stands left of relations[i]. A chain may be one member alone, without relations. `connective` is what
    leads to it from the chain before in its row: "," "quad" "⇒" "⇔" "and" "where". `label` is words with a colon before
    it. `conditions` follow it.
    """

    members: tuple[Node, ...]
    relations: tuple[Relation, ...] = ()
    continues: bool = False
    conditions: tuple[Condition, ...] = ()
    connective: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Note(Placed):
    r"""Something odd that was read all the same: `kind` "bracket", "script", "command", "text", "word", with place and
    words.

    "bracket": brackets that do not match; "script": a^(l) read as a^{(l)}, e^-x, two superscripts; "command": unknown;
    "word": letters read as a name.
    """

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Row(Placed):
    r"""A row of a display, parted from the next by \\ outside nested environments.

    `number` counts those from 0: `row` of the audit's answer. A row that goes on with an operator (+ c, or after an
    open bracket) is read together with the one above and has no Row of its own. `tag` is its \tag or \label.
    """

    number: int
    chains: tuple[Chain, ...]
    notes: tuple[Note, ...] = ()
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Link(Placed):
    """One step: a relation with what stands on its two sides. `left` is None where the first row has no left side."""

    row: int
    link: int
    relation: Relation
    left: Node | None
    right: Node
    chain: Chain


@dataclass(frozen=True, slots=True)
class Display(Placed):
    """All rows of a formula; `failure` if nothing of it could be read."""

    rows: tuple[Row, ...]
    failure: NotUnderstood | None = None


Node: TypeAlias = (
    Number
    | Symbol
    | Scripts
    | Group
    | Fraction
    | Root
    | Terms
    | Product
    | Application
    | Big
    | Differential
    | Derivative
    | Evaluated
    | Annotated
    | Matrix
    | Cases
    | Text
    | Dots
    | Listing
    | Chain
    | NotUnderstood
)

Anything: TypeAlias = Node | Script | Condition | Relation | Row | Display


def children(node: Anything) -> Iterator[Anything]:
    """What a node is made of, from left to right as its fields stand."""
    for name in _fields_of(type(node)):  # type: ignore[arg-type]  # mypy takes no class for hashable
        value = getattr(node, name)
        if isinstance(value, tuple):
            yield from _parts(value)
        elif hasattr(value, "span"):
            yield value


@functools.cache
def _fields_of(kind: Any) -> tuple[str, ...]:
    return tuple(name for name in kind.__dataclass_fields__ if name != "span")


def with_parts(value: Any, change: Callable[[Any], Any]) -> Any:
    """A node or a tuple with each of its parts changed; the same one where none becomes another."""
    if isinstance(value, tuple):
        return tuple(map(change, value))
    if not hasattr(value, "__dataclass_fields__"):
        return value
    changed = {}
    for name in _fields_of(type(value)):  # type: ignore[arg-type]
        old = getattr(value, name)
        new = change(old)
        if new is not old and new != old:
            changed[name] = new
    return replace(value, **changed) if changed else value


def _parts(values: tuple[Any, ...]) -> Iterator[Anything]:
    """The nodes in a tuple, and in the tuples in it."""
    for value in values:
        if isinstance(value, tuple):
            yield from _parts(value)
        elif hasattr(value, "span") and not isinstance(value, Note):
            yield value


def walk(node: Anything) -> Iterator[Anything]:
    """The node and all below it, each before its parts; without recursion."""
    waiting = [node]
    while waiting:
        yield (top := waiting.pop())
        waiting += reversed(list(children(top)))


def links(display: Display) -> tuple[Link, ...]:
    """Every step of a display, numbered as the audit's answers are; a row that starts with a relation goes on from
    above.
    """
    found: list[Link] = []
    last: Node | None = None
    for row in display.rows:
        for chain in row.chains:
            left = last if chain.continues else None
            members = list(chain.members)
            if not chain.continues:
                left = members.pop(0) if members else None
            for relation, right in zip(chain.relations, members, strict=False):
                found.append(Link(row.number, relation.link, relation, left, right, chain, span=_around(left, right)))
                left = right
            last = left
    return tuple(found)


def _around(left: Node | None, right: Node) -> Span:
    """From the left side to the right one, unless the left one stands in a row above."""
    if left is None or left.span[0] > right.span[0]:
        return right.span
    return (left.span[0], right.span[1])
