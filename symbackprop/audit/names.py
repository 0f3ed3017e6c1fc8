r"""Which thing a decorated letter names: \delta^{(l)}_{i} is the entry i of the family delta at layer l.

`survey` reads all formulas of a document and says how its scripts are used (`Habits`): which letters number layers,
which count examples, which are entries; `Names.mention` reads one node by them. Nothing here knows what a family is
equal to.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from symbackprop.audit.tree import (
    Application,
    Big,
    Chain,
    Derivative,
    Differential,
    Display,
    Group,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    Terms,
    walk,
)

LAYER_LETTERS = frozenset(["l", "ell"])
TOP_LETTERS = frozenset(["L", "n_l", "N", "K", "D", "M", "H"])
TRANSPOSES = frozenset(["T", "top", "intercal", "t"])
MARKS = frozenset(["ast", "dagger", "star", "+", "-"])
INDEX_LETTERS = frozenset("ijklmnpqrstcduv")
VARIABLE_LETTERS = frozenset("xyzhwabfgouv")
GREEK_INDICES = frozenset(["alpha", "beta", "mu", "nu"])


@dataclass(frozen=True)
class Layer:
    """A layer's number: `base` plus `offset`; a number by itself has the base ""."""

    base: str
    offset: int = 0

    def __str__(self) -> str:
        if not self.base:
            return str(self.offset)
        return self.base + (f"{self.offset:+d}" if self.offset else "")

    def shifted(self, by: int) -> Layer:
        """So many layers on."""
        return Layer(self.base, self.offset + by)


@dataclass(frozen=True)
class Mention:
    """A family with what its scripts say.

    Args:
        family: the letter with its accents, and scripts that only name: "hat y", "J_lambda".
        layer: None where no layer is marked.
        sample: the example that is meant.
        components: the entry that is meant, an item for each axis; none for the whole array.
        power: an exponent, "-1" of a matrix included.
    """

    family: str
    layer: Layer | None = None
    sample: Node | None = None
    components: tuple[Node, ...] = ()
    transposed: bool = False
    power: Node | None = None
    primes: int = 0

    @property
    def plain(self) -> bool:
        """True where neither a transpose, a power nor a prime makes something else of it."""
        return not self.transposed and self.power is None and not self.primes


def bare_name(symbol: Symbol) -> str:
    """The family of an undecorated letter: bold and plain letters are one."""
    font = f"{symbol.font} " if symbol.font == "blackboard" else ""
    return font + "".join(f"{a} " for a in reversed(symbol.accents)) + symbol.name


def layer_of(node: Node) -> Layer | None:
    """A layer's number as it is written: l, l+1, L-1, n_l, 2."""
    match node:
        case Group("(" | "[", _, (inner,)):
            return layer_of(inner)
        case Number(text) if text.isdigit():
            return Layer("", int(text))
        case Symbol(name, _, ()):
            return Layer("l" if name == "ell" else name)
        case Scripts(Symbol(name), Script((Symbol(low),)), None, 0):
            return Layer(f"{name}_{'l' if low == 'ell' else low}")
        case Terms((first, Number(text)), ("+", sign)) if sign in "+-" and text.isdigit():
            base = layer_of(first)
            if base is not None and base.base:
                return base.shifted(int(text) if sign == "+" else -int(text))
    return None


@dataclass
class Habits:
    """How a document uses scripts.

    Args:
        layer_letters: letters that number layers.
        layered: families whose superscripts number layers; `low_layered` those whose subscripts do.
        sampled: families whose superscripts in brackets count examples; `round_sampled` those in round brackets.
        arity: by family, how many entries are written below at most.
        placed: letters that are indices because they stand in the place of one.
        numbered: families with an entry written as a number though others are letters: its numbers are entries.
    """

    layer_letters: set[str] = field(default_factory=lambda: set(LAYER_LETTERS))
    layered: set[str] = field(default_factory=set)
    bare_layered: set[str] = field(default_factory=set)
    low_layered: set[str] = field(default_factory=set)
    sampled: set[str] = field(default_factory=set)
    round_sampled: set[str] = field(default_factory=set)
    arity: Counter[str] = field(default_factory=Counter)
    numbered: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    low_numbers: set[str] = field(default_factory=set)
    placed: set[str] = field(default_factory=set)
    named_by_number: set[str] = field(default_factory=set)


class Names:
    """Reads decorated letters by a document's habits."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self._memo: dict[int, tuple[Node, Mention | None]] = {}

    def mention(self, node: Node) -> Mention | None:
        """What a node names; None if it is no decorated letter."""
        found = self._memo.get(id(node))
        if found is None or found[0] is not node:
            found = self._memo[id(node)] = (node, self._read(node))
        return found[1]

    def _read(self, node: Node) -> Mention | None:
        match node:
            case Symbol(_, _, _):
                return Mention(bare_name(node))
            case Group("(" | "" | "[", _, (inner,), ()):
                found = self.mention(inner)
                return found if isinstance(inner, Scripts | Symbol | Group) else None
            case Differential("d", of):
                found = self.mention(of)
                return replace(found, family=f"d {found.family}") if found is not None else None
            case Scripts(base, below, above, primes):
                start = self.mention(base)
                if start is None or (start.power is not None) or start.primes:
                    return None
                return self._scripted(start, below, above, primes)
        return None

    def _scripted(self, start: Mention, below: Script | None, above: Script | None, primes: int) -> Mention | None:
        found: Mention | None = start
        if below is not None:
            found = self._below(start, below)
        if found is not None and above is not None:
            found = self._above(found, above, primes)
        if found is not None and primes:
            found = replace(found, primes=primes)
        return found

    def _below(self, start: Mention, script: Script) -> Mention | None:
        items = script.items
        if len(items) == 1 and isinstance(items[0], Group) and items[0].opening in "([":
            items = items[0].items
        family, components, layer = start.family, list(start.components), start.layer
        names: list[str] = []
        for place, item in enumerate(items):
            if isinstance(item, Number) and names and self._goes_on(script, place):
                names[-1] += item.text
                continue
            read = layer_of(item)
            letters = self.habits.layer_letters
            if read is not None and read.base in letters and layer is None and family in self.habits.low_layered:
                layer = read
            elif isinstance(item, Number) and item.text.isdigit():
                if family in self.habits.named_by_number and place == 0:
                    names.append(item.text)
                elif family in self.habits.numbered or components or layer is not None:
                    components.append(item)
                elif place == 0:
                    layer = Layer("", int(item.text))
                else:
                    return None
            elif self.names_only(item):
                names.append(_word(item))
            elif isinstance(item, Symbol | Terms | Chain | Scripts) or (isinstance(item, Symbol) and item.name == ":"):
                if (
                    read is not None and read.base and layer is None and family in self.habits.low_layered
                    and read.base in TOP_LETTERS
                ):  # fmt: skip
                    layer = read
                else:
                    components.append(item)
            else:
                return None
        if names:
            family = f"{family}_{','.join(names)}"
        return replace(start, family=family, components=tuple(components), layer=layer)

    def _goes_on(self, script: Script, place: int) -> bool:
        """True for the 1 of out_{h1}: h is no index, and the number goes on with the name."""
        before = script.items[place - 1] if 0 < place < len(script.items) else None
        return isinstance(before, Symbol) and script.separators[place - 1 : place] == ("",) and self.names_only(before)

    def _is_square(self, item: Node, family: str) -> bool:
        """True for the [2] of a^{[2](i)}, in a document that counts the examples of a in round brackets."""
        return isinstance(item, Group) and item.opening == "[" and family in self.habits.round_sampled

    def names_only(self, item: Node) -> bool:
        """True for a subscript that makes another name and is no index: J_\\lambda, W_{out}, b_h."""
        if not isinstance(item, Symbol) or item.name == ":":
            return isinstance(item, Group)
        if item.accents or len(item.name) > 1:
            return item.name not in LAYER_LETTERS and not (
                item.name in GREEK_INDICES and item.name in self.habits.bound
            )
        if item.name in self.habits.bound:
            return False
        return not (item.name in INDEX_LETTERS and item.name not in self.habits.variables)

    def _above(self, found: Mention, script: Script, primes: int) -> Mention | None:
        family = found.family
        for item in script.items:
            inner = item.items[0] if isinstance(item, Group) and len(item.items) == 1 else item
            bracketed = isinstance(item, Group) and item.opening in "(["
            if (
                isinstance(item, Symbol)
                and item.name in TRANSPOSES
                and not (item.name == "t" and found.power is None and "t" in self.habits.layer_letters)
            ):
                found = replace(found, transposed=not found.transposed)
                continue
            if isinstance(item, Symbol) and item.name in MARKS:
                found = replace(found, family=f"{found.family} {item.name}")
                continue
            read = layer_of(inner)
            if bracketed:
                number = read is not None and not read.base
                if found.layer is None and read is not None and (
                    read.base in self.habits.layer_letters
                    or (family in self.habits.layered)
                    or (number and (family not in self.habits.sampled or self._is_square(item, family)))
                ):  # fmt: skip
                    found = replace(found, layer=read)
                    continue
                if found.sample is None:
                    found = replace(found, sample=inner)
                    continue
                return None
            if read is not None and found.layer is None and family in self.habits.bare_layered:
                found = replace(found, layer=read)
                continue
            if found.power is not None:
                return None
            found = replace(found, power=item)
        return found


def _word(item: Node) -> str:
    return bare_name(item) if isinstance(item, Symbol) else ",".join(
        bare_name(i) if isinstance(i, Symbol) else "?" for i in getattr(item, "items", ())
    )  # fmt: skip


def survey(displays: Iterable[Display], by_place: bool = True, numbers_name: bool = False) -> Habits:
    """How the scripts of a document are used.

    Args:
        by_place: what stands in the place of an index is one: the o of u_o beside a sum over the k of u_k.
        numbers_name: b_1 and b_2 are two quantities, where no letter stands in the place of such a number.
    """
    habits = Habits()
    trees = list(displays)
    nodes = [n for d in trees for n in walk(d)]
    _letters(nodes, habits, by_place)
    plain = Names(habits)
    habits.layer_letters |= _following(nodes, plain) - habits.bound
    shifted: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        if not isinstance(node, Scripts):
            continue
        family = _family(node, plain)
        if family is None:
            continue
        if node.above is not None:
            for item in node.above.items:
                bracketed = isinstance(item, Group) and item.opening in "(["
                read = layer_of(item)
                if read is None or not read.base or read.base in TRANSPOSES:
                    continue
                if read.base in habits.layer_letters:
                    habits.layered.add(family)
                    if not bracketed:
                        habits.bare_layered.add(family)
                elif bracketed and read.offset == 0 and len(read.base) == 1 and read.base.islower():
                    habits.sampled.add(family)
                    if isinstance(item, Group) and item.opening == "(":
                        habits.round_sampled.add(family)
        if node.below is not None:
            for item in node.below.items:
                read = layer_of(item)
                if read is not None and read.base and read.offset:
                    shifted[read.base].add(family)
    _low_layers(nodes, shifted, habits, plain)
    _tops(nodes, habits, plain)
    for node in nodes:
        if isinstance(node, Scripts):
            found = plain._read(node)
            if found is not None and found.components:
                kinds = [isinstance(c, Number) for c in found.components]
                if found.layer is not None or found.family not in habits.layered | habits.low_layered:
                    habits.arity[found.family] = max(habits.arity[found.family], len(kinds))
                if not all(kinds):
                    habits.numbered.add(found.family)
            if node.below is not None and _has_low_number(node.base):
                habits.low_numbers.add(_family(node, plain) or "")
    habits.numbered -= habits.low_numbers
    if numbers_name:
        layered = habits.layered | habits.low_layered | habits.numbered
        habits.named_by_number = {family for family in _low_numbered(nodes, plain) if family not in layered}
    return habits


def _following(nodes: Sequence[object], names: Names) -> set[str]:
    """The k of h^{(k)} beside h^{(k-1)}, or W^{(k)} beside it: what has a neighbour is a layer, and no example."""
    above: dict[int, set[str]] = {0: set(), 1: set()}
    for node in nodes:
        if not isinstance(node, Scripts) or node.above is None or _family(node, names) is None:
            continue
        for item in node.above.items:
            read = layer_of(item) if isinstance(item, Group) and item.opening in "([" else None
            if read is not None and len(read.base) == 1 and read.base.islower():
                above[min(abs(read.offset), 1)].add(read.base)
    return above[0] & above[1]


def _low_numbered(nodes: Sequence[object], names: Names) -> set[str]:
    """The families with a number below: W of W_2."""
    scripts = (n for n in nodes if isinstance(n, Scripts) and n.below is not None)
    found = (_family(n, names) for n in scripts if n.below is not None and isinstance(n.below.items[0], Number))
    return {family for family in found if family is not None}


def _has_low_number(base: Node) -> bool:
    """True for (W_2) before further scripts: its number is no entry."""
    match base:
        case Group(_, _, (inner,)):
            return _has_low_number(inner)
        case Scripts(Symbol(), Script((Number(),))):
            return True
    return False


def _family(node: Scripts, names: Names) -> str | None:
    base = node.base
    while True:
        match base:
            case Scripts(inner) | Group("(" | "", _, (inner,)):
                base = inner
            case Symbol():
                return bare_name(base)
            case _:
                return None


def _letters(nodes: Sequence[object], habits: Habits, by_place: bool) -> None:
    """Letters that sums bind, and those that stand as factors or terms by themselves."""
    for node in nodes:
        match node:
            case Big(_, lower):
                for low in lower:
                    for inner in walk(low):
                        if isinstance(inner, Symbol):
                            habits.bound.add(inner.name)
                            break
            case Product(factors):
                habits.variables |= {f.name for f in factors if isinstance(f, Symbol)}
            case Terms(terms):
                habits.variables |= {f.name for f in terms if isinstance(f, Symbol)}
            case Derivative(_, _, of, by):
                habits.variables |= {f.name for f in (of, *by) if isinstance(f, Symbol)}
            case Application(_, Symbol(name)) | Application(_, Group(_, _, (Symbol(name),))):
                habits.variables.add(name)
            case Chain(members, relations) if relations:
                whole = {f.name for f in members if isinstance(f, Symbol)}
                rest = [f for f in members if not isinstance(f, Symbol | Number | Terms)]
                habits.variables |= whole if rest else set()
    habits.bound |= _contracted(nodes)
    if by_place:
        habits.placed = _in_their_place(nodes, habits)
        habits.bound |= habits.placed
    habits.variables &= VARIABLE_LETTERS | {"c"}
    habits.variables |= _gates(nodes)
    habits.variables |= _names_of_costs(nodes)
    habits.variables |= _labels(nodes, habits)
    habits.variables -= habits.bound


def _contracted(nodes: Sequence[object]) -> set[str]:
    """The a of Q_{ia} K_{ja}: below two factors of a product, each time beside a letter that is an index."""
    found: set[str] = set()
    for node in nodes:
        if not isinstance(node, Product):
            continue
        scripts = [f.below for f in node.factors if isinstance(f, Scripts) and f.below is not None]
        letters = [
            {i.name for i in s.items if i == Symbol(getattr(i, "name", ""))} for s in scripts if len(s.items) == 2
        ]
        beside = [names for names in letters if names & INDEX_LETTERS and len(names) == 2]
        for one, two in itertools.combinations(beside, 2):
            found |= {name for name in one & two if len(name) == 1 and name.islower()}
    return found


def _in_their_place(nodes: Sequence[object], habits: Habits) -> set[str]:
    """The a of H_a, where a sum runs over the b of H_b: what stands in the place of an index is one."""
    places: dict[tuple[str, int, int], set[str]] = defaultdict(set)
    for node in nodes:
        if isinstance(node, Scripts) and isinstance(node.base, Symbol) and node.below is not None:
            for place, item in enumerate(node.below.items):
                if isinstance(item, Symbol) and len(item.name) == 1 and item.name.islower() and not item.accents:
                    places[bare_name(node.base), len(node.below.items), place].add(item.name)
    found: set[str] = set()
    grown = True
    while grown:
        met = [letters for letters in places.values() if letters & (habits.bound | found)]
        added = set().union(*met) - habits.bound - found - habits.variables
        found |= added
        grown = bool(added)
    return found


def _labels(nodes: Sequence[object], habits: Habits) -> set[str]:
    """The c of y_o = exp(u_o^T v_c) / ...: an index would stand on the left side as well."""
    left: set[str] = set()
    right: set[str] = set()
    for node in nodes:
        if not isinstance(node, Chain) or not node.relations:
            continue
        head, *rest = node.members
        mine = _letters_below(head) if isinstance(head, Scripts) else set()
        left |= mine
        if mine and not any(isinstance(n, Derivative) for m in rest for n in walk(m)):
            right |= {name for member in rest for name in _letters_below(member)}
    return right - left - habits.bound - habits.layer_letters


def _letters_below(node: Node) -> set[str]:
    """The letters that stand below others, each by itself."""
    scripts = (n.below.items for n in walk(node) if isinstance(n, Scripts) and n.below is not None)
    return {i.name for items in scripts if len(items) == 1 for i in items if isinstance(i, Symbol) and len(i.name) == 1}


def _names_of_costs(nodes: Sequence[object]) -> set[str]:
    """The n of E_n, where it stands below a cost alone: the cost of one pattern, and no entry."""
    costs = {n.of.base.name for n in nodes if isinstance(n, Derivative) and isinstance(n.of, Scripts)
             and isinstance(n.of.base, Symbol) and n.of.above is None}  # fmt: skip
    below: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        if isinstance(node, Scripts) and isinstance(node.base, Symbol) and node.below is not None:
            for item in node.below.items:
                if isinstance(item, Symbol) and len(item.name) == 1:
                    below[item.name].add(node.base.name if len(node.below.items) == 1 else "")
    whole = {name for name, bases in below.items() if len(bases) == 1 and bases <= costs}
    return {name for name in whole if all(b in "CEJL" for b in below[name])}


def _gates(nodes: Sequence[object]) -> set[str]:
    """Letters that name what makes them, i = sigma(W_i x + b_i): there they are no indices."""
    found = set()
    for node in nodes:
        if not isinstance(node, Chain) or len(node.members) < 2:
            continue
        head = node.members[0].base if isinstance(node.members[0], Scripts) else node.members[0]
        if not isinstance(head, Symbol) or not isinstance(node.members[1], Application | Product):
            continue
        for inner in walk(node.members[1]):
            if not isinstance(inner, Scripts) or not isinstance(inner.base, Symbol) or inner.below is None:
                continue
            if inner.below.items == (Symbol(head.name),) and inner.base.name != head.name:
                found.add(head.name)
    return found


def _low_layers(nodes: Sequence[object], shifted: dict[str, set[str]], habits: Habits, names: Names) -> None:
    """Layers or time steps that are written below: h_{t-1}, a_{l+1}."""
    for letter in shifted:
        strong = letter in LAYER_LETTERS or (letter in "tk" and (letter == "t" or letter not in habits.bound))
        if not strong:
            continue
        habits.layer_letters.add(letter)
    # The l of W_{kl} is an index like k, unless somewhere a next layer, l + 1, is written below as well.
    below = habits.layer_letters & set(shifted)
    for node in nodes:
        if isinstance(node, Scripts) and node.below is not None:
            family = _family(node, names)
            reads = [layer_of(item) for item in node.below.items]
            if family and any(r is not None and r.base in below for r in reads) and family not in habits.layered:
                habits.low_layered.add(family)


def _tops(nodes: Sequence[object], habits: Habits, names: Names) -> None:
    """Families whose superscript in brackets is a layer elsewhere keep that sense for L, n_l and numbers."""
    for node in nodes:
        if isinstance(node, Scripts) and node.above is not None:
            family = _family(node, names)
            for item in node.above.items:
                read = layer_of(item)
                if family and read is not None and read.base in ("L", "n_l"):
                    habits.layered.add(family)
                    if not isinstance(item, Group):
                        habits.bare_layered.add(family)
