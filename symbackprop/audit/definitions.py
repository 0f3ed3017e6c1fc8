r"""What a document defines: quantities, functions, updates; and what is claimed about them.

`Environment` goes through all links of all formulas. The first equation with a quantity alone on its left defines it;
an error term is defined by the equation that calls it a derivative, wherever that stands. What is said of ranks,
functions and sizes in words is the business of `inference`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from symbackprop.audit.grammar import flat
from symbackprop.audit.names import Habits, Layer, Mention, Names
from symbackprop.audit.tree import (
    Application,
    Big,
    Chain,
    Derivative,
    Differential,
    Display,
    Group,
    Link,
    Listing,
    Node,
    Number,
    Product,
    Relation,
    Script,
    Scripts,
    Symbol,
    Terms,
    children,
    links,
    walk,
    with_parts,
)

FUNCTION_LETTERS = frozenset(["f", "g", "phi", "varphi", "sigma", "psi", "varsigma"])
SPOKEN = -2  # the number of the formula of what the words say
DEFINES = frozenset(["=", ":=", "≡", "≜", "≐", "←"])


@dataclass(frozen=True)
class Head:
    """A quantity alone on one side: what it names, and the arguments in brackets behind it."""

    mention: Mention
    arguments: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Definition:
    """head = right.

    Args:
        place: the number of the formula, and of its link.
        name: the head as it is written, where it is but a part of a side of its link.
    """

    head: Head
    right: Node
    place: tuple[int, int]
    slope: bool = False
    name: Node | None = None

    @property
    def layer(self) -> Layer | None:
        """The layer of which it speaks."""
        return self.head.mention.layer

    @property
    def of_one_entry(self) -> bool:
        """True for x_0 = 1: it says nothing of the other entries."""
        return any(isinstance(c, Number) for c in self.head.mention.components)


@dataclass
class Environment:
    """Everything a document says of its symbols.

    Args:
        definitions: by family.
        functions: functions of one argument that are used on several: with their definition, or None.
        abstract: quantities that are differentiated and never defined.
        arguments: of such that others are differentiated by, the K(\\theta) of dL/dK and dK/d\\theta, by what they are.
        squared: families of which the square is a quantity, \\sigma^2.
        zeros: axes, (family, number), with an entry 0.
        stated: assumptions about single entries, y_c = 1, and of which family.
        roles: of each link of each formula: DEFINITION, NOTATION or "" for a claim.
        spoken: names that the words give to derivatives.
        differentials: dJ is the total differential of J, and no name for a derivative.
        other_forms: what quantities without layer or entry were proved to be, beside what defines them.
        endless: quantities that are given by themselves at the next layer, with no end to it.
    """

    habits: Habits
    names: Names
    displays: tuple[Display, ...]
    definitions: dict[str, list[Definition]] = field(default_factory=lambda: defaultdict(list))
    functions: dict[str, Definition | None] = field(default_factory=dict)
    abstract: set[str] = field(default_factory=set)
    arguments: dict[str, set[str]] = field(default_factory=dict)
    squared: set[str] = field(default_factory=set)
    zeros: set[tuple[str, int]] = field(default_factory=set)
    roles: dict[tuple[int, int], str] = field(default_factory=dict)
    numerators: set[str] = field(default_factory=set)
    mentions: dict[str, int] = field(default_factory=dict)
    bounds: set[str] = field(default_factory=set)
    denominators: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    index_letters: set[str] = field(default_factory=set)
    transposed: set[str] = field(default_factory=set)
    indexed_vectors: set[str] = field(default_factory=set)
    listed_vectors: set[str] = field(default_factory=set)  # with several indices, \phi_{s,a}
    used_names: set[str] = field(default_factory=set)
    stated: dict[tuple[int, int], tuple[str, set[str]]] = field(default_factory=dict)
    spoken: tuple[Link, ...] = ()
    differentials: bool = False
    other_forms: dict[str, list[Node]] = field(default_factory=lambda: defaultdict(list))
    endless: dict[str, Definition] = field(default_factory=dict)

    def link(self, place: tuple[int, int]) -> Link:
        """The link at a place: a formula's, or with a formula's number below 0 one that the words say."""
        f, k = place
        return links(self.displays[f])[k] if f >= 0 else self.spoken[k]

    @property
    def costs(self) -> set[str]:
        """What is differentiated and never differentiated by, and no part of what defines another quantity."""
        return self.numerators - self.denominators - self.parts

    def of(self, family: str, layer: Layer | None) -> Definition | None:
        """The definition of a family at a layer: its own, or the one for all layers."""
        found = [d for d in self.definitions.get(family, []) if not d.of_one_entry]
        exact = [d for d in found if d.layer == layer]
        if exact:
            return next((d for d in exact if d.slope), exact[0])
        if layer is None:
            return None
        general = [d for d in found if d.layer is not None and d.layer.base in self.habits.layer_letters]
        return next((d for d in general if d.slope), general[0] if general else None)

    def head(self, node: Node) -> Head | None:
        """A quantity alone: W, z^{(l)}_i, J(\\theta), h(x)_k."""
        match node:
            case Product((first, Group("(", _, items)), ("",)):
                mention = self.names.mention(first)
                if mention is not None and (mention.plain or mention.primes) and self._called(first, mention):
                    return Head(mention, items)
                return None
            case Product((first, Scripts(Group("(", _, items), Script(below), None, 0)), ("",)):
                mention = self.names.mention(first)
                if mention is not None and mention.plain and not mention.components:
                    return Head(Mention(mention.family, mention.layer, mention.sample, below), items)
                return None
            case Group("(" | "{" | "", _, (inner,)):
                return self.head(inner)
        mention = self.names.mention(node)
        return Head(mention) if mention is not None else None

    def _called(self, node: Node, mention: Mention) -> bool:
        return True


def environment(
    displays: Sequence[Display], habits: Habits, spoken: Sequence[tuple[Node, Node]] = (), differentials: bool = False
) -> Environment:
    """Read all links of a document.

    Args:
        spoken: names that the words give: "write dX for the derivative dL/dX".
        differentials: dJ is the total differential of J.
    """
    names = Names(habits)
    env = Environment(habits, names, tuple(displays), differentials=differentials)
    env.spoken = tuple(Link(-1, 0, Relation("="), one, two, Chain((one, two))) for one, two in spoken)
    _count(env)
    _beside_rows(env)
    _functions(env)
    _zeros(env)
    _definitions(env)
    _endless(env)
    _name_parts(env)
    _abstract(env)
    return env


def nodes(env: Environment) -> Iterator[object]:
    """All nodes of all formulas, and of what the words say."""
    for display in env.displays:
        yield from walk(display)
    for link in env.spoken:
        yield from walk(link.chain)


def _count(env: Environment) -> None:
    for display in env.displays:
        if not links(display):
            continue  # a letter alone in the text
        for inner in walk(display):
            if isinstance(inner, Symbol):
                named = env.names.mention(inner)
                if named:
                    env.mentions[named.family] = env.mentions.get(named.family, 0) + 1
    for node in nodes(env):
        if isinstance(node, Derivative) and node.of is not None:
            head = env.head(node.of)
            if head is not None:
                env.numerators.add(head.mention.family)
        if isinstance(node, Derivative):
            for by in node.by:
                mention = env.names.mention(by)
                if mention is not None:
                    env.denominators.add(mention.family)
        if isinstance(node, Symbol):
            env.used_names.add(node.name)
        if isinstance(node, Scripts):
            mention = env.names.mention(node)
            if mention is not None and mention.transposed and not mention.components:
                env.transposed.add(mention.family)
            if mention is not None and mention.transposed and len(mention.components) == 1 and mention.layer is None:
                env.indexed_vectors.add(mention.family)  # x_n x_n^T: each x_n is a vector
            for item in mention.components if mention is not None else ():
                if isinstance(item, Symbol):
                    env.index_letters.add(item.name)
        if isinstance(node, Big):
            if isinstance(node.upper, Symbol):
                env.bounds.add(node.upper.name)
            for low in node.lower:
                if (
                    isinstance(low, Chain)
                    and low.relations
                    and low.relations[0].sign == "∈"
                    and isinstance(low.members[1], Symbol)
                ):
                    env.bounds.add(low.members[1].name)


def _beside_rows(env: Environment) -> None:
    """u^T v_c: what stands behind a row is a vector, and c is which of them."""
    for node in nodes(env):
        if not isinstance(node, Product):
            continue
        whole = flat(node)
        for left, operator, right in zip(whole.factors, whole.operators, whole.factors[1:], strict=False):
            one, two = env.names.mention(left), env.names.mention(right)
            if one is None or two is None or operator not in ("", "cdot") or not one.transposed or two.transposed:
                continue
            vector = one.family[-1:].islower() or one.family.split("_")[0][-1:].islower()
            each = 0 < len(two.components) == env.habits.arity[two.family] and two.layer is None
            once = each and (len(two.components) == 1 or not one.components)
            if vector and once and (len(one.components) <= 1):
                env.indexed_vectors.add(two.family)
                env.listed_vectors |= {two.family} if len(two.components) > 1 else set()


def stripped(env: Environment, node: Node) -> str | None:
    """The family that an argument names, whatever its scripts."""
    mention = env.names.mention(node)
    return mention.family if mention is not None and mention.plain else None


def _functions(env: Environment) -> None:
    """Which letters are functions of one argument."""
    applied: dict[str, list[Node]] = defaultdict(list)
    primed: set[str] = set()
    primed_alone: set[str] = set()
    after: dict[str, int] = defaultdict(int)
    for node in nodes(env):
        if isinstance(node, Scripts) and node.primes and isinstance(node.base, Symbol):
            primed_alone.add(node.base.name)
        if isinstance(node, Product):
            whole = flat(node)
            for k, factor in enumerate(whole.factors[:-1]):
                group = whole.factors[k + 1]
                if isinstance(group, Scripts) and isinstance(group.base, Group):
                    group = group.base
                if whole.operators[k] == "" and isinstance(group, Group) and group.opening in "([":
                    mention = env.names.mention(factor)
                    if mention is None or mention.transposed or mention.sample is not None:
                        continue
                    after[mention.family] += 1
                    if len(group.items) == 1:
                        applied[mention.family].append(group.items[0])
                        if mention.primes:
                            primed.add(mention.family)
    heads: dict[str, tuple[Definition, str]] = {}
    bare_heads: set[str] = set()
    for f, display in enumerate(env.displays):
        for k, link in enumerate(links(display)):
            if link.left is None or link.relation.sign not in DEFINES:
                continue
            head = env.head(link.left)
            if head is None or not head.mention.plain:
                continue
            if len(head.arguments) == 1 and not head.mention.components:
                symbol = head.arguments[0]
                if isinstance(symbol, Symbol):
                    heads.setdefault(
                        head.mention.family, (Definition(head, link.right, (f, k)), stripped(env, symbol) or "")
                    )
            elif not head.arguments:
                bare_heads.add(head.mention.family)
    for family, arguments in applied.items():
        strange = [a for a in arguments if stripped(env, a) is None]
        families = {stripped(env, a) for a in arguments} - {None}
        if family in heads:
            definition, parameter = heads[family]
            if family in primed or strange or families - {parameter}:
                env.functions[family] = definition
        elif (
            family in primed
            or family in FUNCTION_LETTERS & primed_alone - bare_heads
            or (
                family not in bare_heads
                and env.mentions.get(family, 0) <= after[family]
                and (
                    family in FUNCTION_LETTERS
                    or (strange and family.islower() and len(family) == 1 and family not in "xyzwab")
                )
            )
        ):
            env.functions[family] = None


def _zeros(env: Environment) -> None:
    """Axes with an entry 0: written so, or summed from 0."""
    for node in nodes(env):
        mention = env.names.mention(node) if isinstance(node, Scripts) else None
        if mention is not None:
            for place, item in enumerate(mention.components):
                if isinstance(item, Number) and item.text == "0":
                    env.zeros.add((mention.family, place))
        if isinstance(node, Big) and node.operator == "sum" and node.body is not None:
            letter = _from_zero(node)
            if letter:
                for inner in walk(node.body):
                    mention = env.names.mention(inner) if isinstance(inner, Scripts) else None
                    for place, item in enumerate(mention.components if mention else ()):
                        if isinstance(item, Symbol) and item.name == letter:
                            env.zeros.add((mention.family, place))  # type: ignore[union-attr]


def _from_zero(node: Big) -> str | None:
    """The letter of a sum from 0 to n; a sum from 0 to n-1 only counts otherwise."""
    if len(node.lower) != 1 or isinstance(node.upper, Terms):
        return None
    match node.lower[0]:
        case Chain((Symbol(letter), Number("0")), (_,)):
            return letter
    return None


def mentions_in(env: Environment, node: Node) -> set[str]:
    """The families that a formula names."""
    found = set()
    for inner in walk(node):
        if isinstance(inner, Symbol | Scripts):
            mention = env.names.mention(inner)
            if mention is not None:
                found.add(mention.family)
    return found


def changes_in(env: Environment, nodes: Iterable[Node | Display]) -> set[str]:
    """The families of which a formula has total differentials."""
    found = (n.of for node in nodes for n in walk(node) if isinstance(n, Differential) and n.kind == "d")
    return {m.family for of in found if (m := env.names.mention(of)) is not None}


def given_changes(env: Environment, nodes: Iterable[Node | Display]) -> set[str]:
    """Those of them that nothing defines: the document writes their differentials, and the others do not change."""
    return {family for family in changes_in(env, nodes) if not env.definitions.get(family)}


def rests_on(env: Environment, families: Iterable[str]) -> set[str]:
    """Quantities and all those of which their definitions are made."""
    found: set[str] = set()
    waiting = list(families)
    while waiting:
        family = waiting.pop()
        if family not in found:
            found.add(family)
            waiting += [f for d in env.definitions.get(family, ()) for f in mentions_in(env, d.right)]
    return found


def _is_update(env: Environment, head: Head, right: Node, sign: str) -> bool:
    """W = W - ..., W := W - ..., W <- ...: an assignment says what is done, not what is."""
    if sign == "←":
        return True
    top = right
    if isinstance(top, Terms):
        own = head.mention
        first = env.head(top.terms[0])
        if first is not None and first.mention == own:
            return True
    return sign in (":=", "+=", "-=") and head.mention.family in mentions_in(env, right)


def assigned(env: Environment) -> set[str]:
    """Quantities that nothing defines but g <- ..., steps of a program; W <- W - ... leaves W what it was."""
    found = set()
    for display in env.displays:
        for link in links(display):
            head = env.head(link.left) if link.left is not None and link.relation.sign == "←" else None
            first = link.right.terms[0] if isinstance(link.right, Terms) else None
            own = env.head(first) if first is not None else None
            if head is not None and not (own is not None and own.mention == head.mention):
                found.add(head.mention.family)
    return {family for family in found if not env.definitions.get(family)}


def _definitions(env: Environment) -> None:
    taken: dict[tuple[str, Layer | None, int, bool], Definition] = {}
    slopes: dict[tuple[str, Layer | None], tuple[int, int]] = {}
    for k, link in enumerate(env.spoken):
        head = env.head(link.left) if link.left is not None else None
        if head is not None and _defines_slope(env, head, _without_sign(link)):
            slopes.setdefault((head.mention.family, _generic(env, head.mention.layer)), (SPOKEN, k))
    for f, display in enumerate(env.displays):
        for k, link in enumerate(links(display)):
            head = env.head(link.left) if link.left is not None else None
            if head is not None and _defines_slope(env, head, link):
                slopes.setdefault((head.mention.family, _generic(env, head.mention.layer)), (f, k))
    _patterns(env, slopes)
    for place in [p for p in slopes.values() if p[0] == SPOKEN]:
        link = env.link(place)
        named = env.head(link.left) if link.left is not None else None
        if named is not None:
            env.definitions[named.mention.family].append(Definition(named, link.right, place, True))
    for f, display in enumerate(env.displays):
        chained = False  # the chain began with a quantity alone
        for k, link in enumerate(links(display)):
            place = (f, k)
            sign = link.relation.sign
            if sign in ("+=", "-=", "↔", "→", "∈", "⊂", "≤", "≥", "<", ">", "≠", "∼"):
                env.roles[place] = "NOTATION"
                continue
            if link.left is None:
                continue
            head = env.head(link.left)
            if env.differentials and isinstance(link.left, Differential):
                continue
            if sign == "←":
                env.roles[place] = "NOTATION"
                continue
            if sign not in DEFINES:
                continue
            applied = head is not None and bool(head.arguments) and head.mention.family in env.functions
            if (head is None or applied) and k and chained:
                _alias(env, link, place)
            chained = head is not None or (k > 0 and chained and link.link > 0)
            if head is None or place in env.roles:
                continue
            mention = head.mention
            if mention.power is not None:
                if isinstance(mention.power, Number) and mention.power.text == "2" and not mention.primes and (
                    mention.family not in env.definitions and mention.family not in env.functions
                ):  # fmt: skip
                    env.squared.add(mention.family)
                    mention = Mention(mention.family + "^2", mention.layer, mention.sample, mention.components)
                    head = Head(mention, head.arguments)
                else:
                    continue
            if mention.primes or mention.transposed:
                continue
            if _states_entries(mention, link.right) and not env.definitions.get(mention.family):
                env.roles[place] = "NOTATION"
                env.stated[place] = mention.family, {c.name for c in mention.components if isinstance(c, Symbol)}
                continue
            if any(isinstance(c, Chain) for c in mention.components):
                continue
            counts = mention.family in env.index_letters | env.habits.layer_letters
            if isinstance(link.right, Listing) or (
                counts and mention == Mention(mention.family) and isinstance(link.right, Symbol | Number)
            ):  # fmt: skip
                env.roles[place] = "NOTATION"  # a case: i = j
                continue
            other_side = env.names.mention(link.right)
            if other_side is not None and other_side.family == mention.family:
                swapped = len(mention.components) == 2 and mention.components == other_side.components[::-1]
                if other_side.transposed or swapped:
                    env.roles[place] = "NOTATION"  # A = A^T, w_{ij} = w_{ji}: the matrix is symmetric
                    continue
            if _is_update(env, head, link.right, sign):
                env.roles[place] = "NOTATION"
                continue
            if head.arguments and mention.family in env.functions:
                known = env.functions[mention.family]
                if known is not None and known.place == place:
                    env.roles[place] = "DEFINITION"
                    continue
                if known is not None or env.names.mention(head.arguments[0]) is None:
                    continue
                if len(head.arguments) == 1:
                    env.functions[mention.family] = Definition(head, link.right, place)
                    env.roles[place] = "DEFINITION"
                continue
            if mention.family in env.functions:
                continue
            number = len(head.arguments) if head.arguments else -1
            other = next((d for d in env.definitions[mention.family] if _covers(env, d, head)), None)
            if other is not None and _only_names(env, other.right) and not _only_names(env, link.right):
                env.definitions[mention.family].remove(other)
                other = None
            if other is not None and other.layer != mention.layer and _given(env, link.right):
                other = None  # the first layer is the input
            slope = _defines_slope(env, head, link)
            first = slopes.get((mention.family, _generic(env, mention.layer)))
            names = env.definitions[mention.family]
            if slope and any(d.place[0] == SPOKEN and _says_again(env, d.right, link.right) for d in names):
                env.roles[place] = "DEFINITION"
                continue
            if other is not None and not (slope and first == place and not other.slope):
                continue
            if first is not None and first != place and not slope:
                continue  # elsewhere the document says that this is a derivative: here it is a claim
            definition = Definition(head, _formula(env, display, k), place, slope)
            env.definitions[mention.family].append(definition)
            env.roles[place] = "DEFINITION"
            taken[mention.family, mention.layer, number, slope] = definition


def _endless(env: Environment) -> None:
    """delta^l = W^{l+1} delta^{l+1}: what is given by itself at the next layer, unless it is called a derivative."""
    for family, known in env.definitions.items():
        general = [d for d in known if d.layer is not None and d.layer.base in env.habits.layer_letters]
        if general and not any(d.slope for d in general):
            own = (env.names.mention(n) for n in walk(general[0].right) if isinstance(n, Scripts))
            ahead = (m.layer for m in own if m is not None and m.family == family and m.layer is not None)
            here = general[0].layer
            if here is not None and any(a.base == here.base and a.offset > here.offset for a in ahead):
                env.endless[family] = general[0]


def _name_parts(env: Environment) -> None:
    """a_t = W h_{t-1} + U x_t beside h_t = tanh(W h_{t-1} + U x_t): h is made of a, and a derivative by a is one."""
    named: list[tuple[Definition, Node]] = []
    for known in env.definitions.values():
        for d in known:
            if d.place[0] >= 0 and not d.slope and not d.of_one_entry and isinstance(d.right, Terms | Product):
                name = d.name or env.link(d.place).left
                if name is not None and not d.head.arguments:
                    named.append((d, name))
    for family, known in env.definitions.items():
        for n, d in enumerate(known):
            for part, name in named:
                within = part.head.mention.family != family and part.right != d.right
                if within and any(node == part.right for node in walk(d.right)):
                    known[n] = d = replace(d, right=_with_name(d.right, part.right, name))


def _with_name(value: Any, part: Node, name: Node) -> Any:
    """The tree with a name for each place where a part stands; no deeper than the grammar lets trees be nested."""
    if value == part:
        return name
    return with_parts(value, lambda inner: _with_name(inner, part, name))


def _patterns(env: Environment, slopes: dict[tuple[str, Layer | None], tuple[int, int]]) -> None:
    """\\bar{X} = dL/dX, where X stands for any quantity: then \\bar{V} is dL/dV, and what is said of it is a claim."""
    for (family, _), place in list(slopes.items()):
        link = env.link(place)
        right = link.right
        by = env.names.mention(right.by[0]) if isinstance(right, Derivative) and len(right.by) == 1 else None
        if by is None or by != Mention(by.family) or _is_spoken_of(env, by.family, link):
            continue
        mark = family.removesuffix(by.family)
        if not mark or mark == family:
            continue
        env.roles[place] = "NOTATION"
        del slopes[family, None]
        used = {m.family for n in nodes(env) if isinstance(n, Symbol | Scripts | Differential)
                if (m := env.names.mention(n)) is not None}  # fmt: skip
        for marked in sorted(name for name in used if name.startswith(mark) and name != family):
            for named in _stated_places(env, marked.removeprefix(mark)):
                mention = env.names.mention(named)
                assert isinstance(right, Derivative) and mention is not None
                head = Head(Mention(marked, mention.layer))
                env.definitions[marked].append(Definition(head, replace(right, by=(named,)), (-1, 0), True))
                slopes[marked, _generic(env, mention.layer)] = (-1, 0)


def _is_spoken_of(env: Environment, family: str, link: Link) -> bool:
    """True if a letter stands elsewhere than in such links."""
    others = [step for display in env.displays for step in links(display)]
    sides = [
        s for step in others if (step.left, step.right) != (link.left, link.right) for s in (step.left, step.right)
    ]
    return any(node == Symbol(family) for side in sides if side is not None for node in walk(side))


def _stated_places(env: Environment, family: str) -> list[Node]:
    """A quantity without entries as the document writes it, at a layer where it has layers."""
    found: dict[Layer | None, Node] = {}
    for node in nodes(env):
        mention = env.names.mention(node) if isinstance(node, Symbol | Scripts) else None
        if mention is None or mention.family != family:
            continue
        layer = mention.layer
        if layer is not None and (layer.base not in env.habits.layer_letters or layer.offset):
            continue
        assert isinstance(node, Symbol | Scripts)
        parts: tuple[Node, ...] = (node,)
        if isinstance(node, Scripts):
            low = Script((Symbol(layer.base),)) if layer is not None else None
            parts = (node, Scripts(node.base, None, node.above), Scripts(node.base, low, None), node.base)
        for part in parts:
            if env.names.mention(part) == Mention(family, layer):
                found.setdefault(layer, part)
    layered = [node for layer, node in found.items() if layer is not None]
    return layered or list(found.values())


def _formula(env: Environment, display: Display, k: int) -> Node:
    """What the link defines its head as: of y = P(O = o | C = c) = exp(...) / ... the formula behind the name."""
    steps = links(display)
    link = steps[k]
    if k + 1 < len(steps) and _only_names(env, link.right):
        following = steps[k + 1]
        if (following.row, following.link) == (link.row, link.link + 1) and following.left == link.right:
            return following.right
    return link.right


def _only_names(env: Environment, right: Node) -> bool:
    r"""True for \mathcal{N}(x; \mu, \Sigma), where nothing says what \mathcal{N} is: it gives a name and no formula."""
    match right:
        case Product((first, Group("(" | "[", _, items)), ("",)) if len(items) > 1:
            mention = env.names.mention(first)
            return mention is not None and not any(d.head.arguments for d in env.definitions.get(mention.family, ()))
    return False


def _states_entries(mention: Mention, right: Node) -> bool:
    """True for y_c = 1 or y_{j \\ne c} = 0, which single out entries without saying what all of them are."""
    lettered = any(not isinstance(c, Number) for c in mention.components)
    return isinstance(right, Number) and lettered


def _generic(env: Environment, layer: Layer | None) -> Layer | None:
    return None if layer is None else Layer("l") if layer.base in env.habits.layer_letters else layer


def _covers(env: Environment, known: Definition, head: Head) -> bool:
    """True if a definition is one of this quantity: at this layer, with this entry, in this sense."""
    ours, theirs = known.head.mention, head.mention
    mine = ours.layer is not None and ours.layer.base in env.habits.layer_letters
    if ours.layer != theirs.layer and not (mine and theirs.layer is not None):
        return False
    numbers = [c.text if isinstance(c, Number) else None for c in ours.components]
    others = [c.text if isinstance(c, Number) else None for c in theirs.components]
    if numbers != others and (any(numbers) or any(others)):
        return False
    if known.head.arguments and head.arguments:
        return len(known.head.arguments) == len(head.arguments)
    return True


def _defines_slope(env: Environment, head: Head, link: Link) -> bool:
    """delta = dC/dz: a derivative gets a name."""
    right = link.right
    if (
        not isinstance(right, Derivative)
        or right.kind == "nabla"
        or right.of is None
        or link.relation.sign not in DEFINES
    ):
        return False
    of = env.head(right.of)
    return of is not None and head.mention.plain and not head.arguments and of.mention.family != head.mention.family


def _without_sign(link: Link) -> Link:
    """An error may be the opposite of a derivative."""
    right = link.right
    return replace(link, right=right.terms[0]) if isinstance(right, Terms) and right.signs == ("-",) else link


def _says_again(env: Environment, one: Node, two: Node) -> bool:
    """delta^L = dC/dz^L, where delta^l is known to be dC/dz^l."""
    if not isinstance(one, Derivative) or not isinstance(two, Derivative) or len(one.by) != 1 or len(two.by) != 1:
        return False
    its, own = env.names.mention(one.by[0]), env.names.mention(two.by[0])
    return its is not None and own is not None and its.family == own.family


def _given(env: Environment, right: Node) -> bool:
    """True for a letter by itself that nothing defines."""
    mention = env.names.mention(right)
    return mention is not None and mention.plain and not env.definitions.get(mention.family)


def _alias(env: Environment, link: Link, place: tuple[int, int]) -> None:
    """C = sum (y - t)^2 = sum (a - t)^2: the two differ by what y stands for, which is said in no other place."""
    if link.left is None:
        return
    pairs = list(_differences(link.left, link.right))
    if len(pairs) != 1:
        return
    for one, other in (pairs[0], pairs[0][::-1]):
        head = env.head(one)
        if head is None or not head.mention.plain or head.arguments or env.of(head.mention.family, head.mention.layer):
            continue
        known = env.head(other)
        if known is not None and not env.of(known.mention.family, known.mention.layer):
            continue
        if head.mention.family in env.functions or (known is None and not isinstance(other, Product | Terms)):
            continue
        env.definitions[head.mention.family].append(Definition(head, other, place, name=one))
        env.roles[place] = "DEFINITION"
        return


def _differences(left: Node, right: Node) -> Iterator[tuple[Node, Node]]:
    """The parts in which two formulas of the same make differ."""
    if left == right:
        return
    mine, its = list(children(left)), list(children(right))
    same = type(left) is type(right) and len(mine) == len(its) and not isinstance(left, Symbol | Number | Scripts)
    if isinstance(left, Scripts) and isinstance(right, Scripts) and isinstance(left.base, Group):
        same = (left.below, left.above, left.primes) == (right.below, right.above, right.primes)
    if isinstance(left, Product | Terms | Group | Big) and same:
        same = all(
            getattr(left, f) == getattr(right, f)
            for f in ("operators", "signs", "opening", "operator")
            if hasattr(left, f)
        )
    if not same:
        yield left, right
        return
    for a, b in zip(mine, its, strict=True):
        yield from _differences(a, b)  # type: ignore[arg-type]


def _abstract(env: Environment) -> None:
    """Quantities that are differentiated though nothing defines them."""
    used = {f for known in env.definitions.values() for d in known for f in mentions_in(env, d.right)}
    env.parts = {f for f in used if not f.rsplit(" ", 1)[-1][0].isupper()}
    for node in nodes(env):
        if isinstance(node, Derivative) and node.of is not None:
            head = env.head(node.of)
            if head is not None and head.mention.plain and not env.definitions.get(head.mention.family):
                if head.mention.family in env.functions or isinstance(node.of, Application | Differential):
                    continue
                if head.mention.family in used and head.mention.layer is not None:
                    continue  # a parameter
                env.abstract.add(head.mention.family)
            for by in node.by:
                mention = env.names.mention(by)
                if mention is not None and isinstance(mention.power, Number) and mention.power.text == "2":
                    env.squared.add(mention.family)
    for family in env.abstract & env.denominators:
        found = _differentiated_by(env, family)
        if found and not any(env.definitions.get(f) for f in found):
            env.arguments[family] = found


def _differentiated_by(env: Environment, family: str) -> set[str]:
    """The families by which a quantity is differentiated."""
    found: set[str] = set()
    for node in nodes(env):
        head = env.head(node.of) if isinstance(node, Derivative) and node.of is not None else None
        if isinstance(node, Derivative) and head is not None and head.mention.family == family:
            found |= {m.family for by in node.by if (m := env.names.mention(by)) is not None}
    return found
