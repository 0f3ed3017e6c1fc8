r"""What a document takes for granted: ranks, functions known by name, biases, and what belongs to one example.

Evidence is taken in this order: indices that a family carries somewhere, what the words around the formulas say, the
rank of what defines it, and last the letter itself, where a choice is made under which the definitions fit.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from symbackprop.audit.arrays import Misfit, NotRead
from symbackprop.audit.definitions import Definition, Environment, Head, mentions_in, nodes
from symbackprop.audit.elaborate import NAMED, Elaborator
from symbackprop.audit.extraction import Document
from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.layout import said
from symbackprop.audit.lengths import Key, Lengths
from symbackprop.audit.names import Layer, Mention
from symbackprop.audit.scope import SAMPLES, Facts, Instance, Reading, Scope
from symbackprop.audit.tree import (
    Application,
    Chain,
    Group,
    Link,
    Listing,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    links,
    walk,
)
from symbackprop.expression.build import ONE
from symbackprop.expression.functions import FUNCTIONS, Function

SHARES_OF_ONE = (
    r"sums? (?:up )?to (?:one|1|\$1\$)", r"one-?hot", r"adds? up to (?:one|1)", r"probability distribution",
    r"indicator vector",
    r"\\sum_\{?(?P<k>[a-z])(?: ?= ?1)?\}?(?:\^\{?\w+\}?)? ?(?P<of>[a-z])(?:\^\{?\(?\w\)?\}?)?"
    r"_\{?(?:[a-z],? ?)?(?P=k)\}?(?:\^\{?\(?\w\)?\}?)? ?= ?1(?!\d)",
)  # fmt: skip
UNREAD = -1  # the rank of what could not be read
MOST_LOOSE = 8  # letters of which pairs are tried together
MOST_CLAIMS = 40  # that are asked whether a choice of ranks suits them
SCALARS = frozenset(
    ["lambda", "alpha", "eta", "epsilon", "varepsilon", "m", "n", "N", "M", "K", "D", "d", "p", "i", "j", "k", "c", "t",
     "rho", "tau", "kappa", "nu", "pi", "e"]
)  # fmt: skip
COSTS = frozenset(["J", "L", "C", "E", "Loss", "loss", "ell", "cal L", "F", "Q", "R", "tilde J", "S"])
VECTORS = frozenset("abfghopqsuvxyz")  # of which a Jacobian may be taken
WEIGHTS = frozenset(["W", "w", "V", "U", "Theta", "theta", "A"])
DATA = frozenset(["x", "X", "a", "h", "H", "A", "z"])
TARGETS = frozenset(["x", "y", "t", "d", "r", "tilde y"])
CAPITAL_GREEK = frozenset(["Theta", "Phi", "Psi", "Sigma", "Lambda", "Omega", "Delta", "Gamma", "Xi", "Pi"])
PROSE_FUNCTIONS = {
    r"logistic|sigmoid": FUNCTIONS["sigmoid"], r"hyperbolic tangent|tanh": FUNCTIONS["tanh"],
    r"relu|rectifier|rectified linear": FUNCTIONS["relu"], r"identity|linear function": FUNCTIONS["identity"],
    r"softplus": FUNCTIONS["softplus"],
}  # fmt: skip


def infer(document: Document, env: Environment) -> tuple[Facts, Lengths, Reading]:
    """Everything that is taken for granted, the lengths that the definitions make one, and the conventions."""
    facts = Facts(zeros=set(env.zeros))
    _functions(document, env, facts)
    _output(env, facts)
    _targets(document, env, facts)
    _per_sample(env, facts)
    _aliases(env, facts)
    _ones(document, env, facts)
    _reaches(document, env, facts)
    reading = Reading(rows=rows_first(env))
    facts.laid_out = said(" ".join(p for _, p in document.prose), reading)
    env.bounds |= _counting(document, env)
    _ranks(document, env, facts, reading)
    lengths = Lengths()
    _stated_lengths(document, env, facts, lengths)
    for _ in range(4):
        grown = _settle(env, facts, lengths, reading)
        if not grown:
            break
    return facts, lengths, reading


def _functions(document: Document, env: Environment, facts: Facts) -> None:
    """Functions that the words name: "g is the logistic function"."""
    text = " ".join(p for _, p in document.prose)
    for family in [f for f, d in env.functions.items() if d is None]:
        written = {rf"\{family}", family}
        for name in written:
            found = _said_function(text, name)
            if found is not None:
                facts.named_functions[family] = found


def _output(env: Environment, facts: Facts) -> None:
    """h_{W,b}(x) where nothing defines it: the activation of the last layer."""
    last = tops(env)
    layers = [f for f, known in env.definitions.items() if any(_is_activation(env, d) for d in known)]
    if len(last) != 1 or len(layers) != 1:
        return
    used = {f for known in env.definitions.values() for d in known for f in mentions_in(env, d.right)}
    for family in sorted(used):
        if family.split("_")[0] == "h" and not env.definitions.get(family) and family not in env.functions:
            top = Symbol("L") if "_" not in last[0] else Scripts(Symbol(last[0][0]), Script((Symbol("l"),)))
            right = Scripts(Symbol(layers[0]), None, Script((Group("(", ")", (top,)),)))
            env.definitions[family].append(Definition(Head(Mention(family)), right, (-1, 0)))
            facts.assumptions.append(f"{family} is the activation {layers[0]} of the last layer, {last[0]}")
            env.abstract.discard(family)


def _is_activation(env: Environment, d: Definition) -> bool:
    """a^{(l)} = f(z^{(l)}) for all layers."""
    match d.right:
        case Product((first, Group()), ("",)):
            mention = env.names.mention(first)
            general = d.layer is not None and d.layer.base in env.habits.layer_letters
            return general and mention is not None and mention.family in env.functions
    return False


def _targets(document: Document, env: Environment, facts: Facts) -> None:
    """Data that may be shares of one whole: what is multiplied with a logarithm in a cost."""
    for family in env.costs | set(env.definitions):
        for d in env.definitions.get(family, ()):
            if any(
                isinstance(n, Application) and isinstance(n.function, Symbol) and n.function.name in ("log", "ln")
                for n in walk(d.right)
            ):
                facts.targets |= {
                    f for f in mentions_in(env, d.right) if not env.definitions.get(f) and f not in WEIGHTS
                }
    text = " ".join(p for _, p in document.prose)
    for match in re.finditer("|".join(SHARES_OF_ONE[:4]), text, re.I):
        sentence = re.split(r"[.;]\s", text[: match.start()])[-1]
        for named in re.findall(r"\$([^$]+)\$", sentence)[-1:]:
            mention = env.names.mention(parse_expression(named))
            if mention is not None and mention.plain and not env.definitions.get(mention.family):
                facts.targets.add(mention.family)
    told = (m["of"] for m in re.finditer("|".join(SHARES_OF_ONE), text, re.I))
    facts.sums_to_one = any(family is None or not env.definitions.get(family) for family in told)
    for place, role in list(env.roles.items()):
        if role == "NOTATION" and place in env.stated:
            family, letters = env.stated[place]
            facts.constrained.setdefault(family, set()).update(letters)
    facts.one_hot = _one_hot(env)


def _one_hot(env: Environment) -> dict[str, str]:
    r"""Data of which both y_c = 1 and y_{j \neq c} = 0 are stated, with the letter of the entry that is 1."""
    ones, others = set(), set()
    for place, (family, _) in env.stated.items():
        link = env.link(place)
        mention = env.names.mention(link.left) if link.left is not None else None
        match mention.components if mention is not None else (), link.right:
            case (Symbol(name),), Number("1"):
                ones.add((family, name))
            case (Chain((Symbol(), Symbol(name)), (relation,)),), Number("0") if relation.sign == "≠":
                others.add((family, name))
    return dict(sorted(ones & others))


def _reaches(document: Document, env: Environment, facts: Facts) -> None:
    """What a cost that is only named is a function of: "let $L$ be a loss of $y$"."""
    for _, paragraph in document.prose:
        for named, of in re.findall(
            r"\$([^$]{1,20})\$[^$.;]{0,60}\b(?:of|on|through) (?:the )?\$([^$]{1,20})\$", paragraph
        ):
            cost, last = (env.names.mention(parse_expression(text)) for text in (named, of))
            if cost is None or last is None or cost.family not in env.abstract:
                continue
            if env.definitions.get(last.family) and not any(d.slope for d in env.definitions[last.family]):
                facts.reaches.setdefault(cost.family, set()).add(last.family)


def _said_function(text: str, name: str) -> Function | None:
    quoted = re.escape(name)
    for words, function in PROSE_FUNCTIONS.items():
        after = rf"\${quoted}(?:\([^$]*\))?\$[^.$]{{0,40}}\b(?:is|be|denotes|for|=)\b[^.$]{{0,30}}(?:{words})"
        before = rf"(?:{words})[^.$]{{0,30}}\${quoted}(?:\([^$]*\))?\$"
        if re.search(after, text, re.I) or re.search(before, text, re.I):
            return function
    return None


def _per_sample(env: Environment, facts: Facts) -> None:
    """Families with an example's mark, and all that is computed from them."""
    for node in nodes(env):
        if isinstance(node, Scripts):
            mention = env.names.mention(node)
            if mention is not None and mention.sample is not None:
                facts.per_sample.add(mention.family)
        if isinstance(node, Product):
            for k, factor in enumerate(node.factors[:-1]):
                group = node.factors[k + 1]
                if isinstance(group, Scripts):
                    group = group.base
                if isinstance(group, Group) and node.operators[k] == "":
                    inner = [env.names.mention(i) for i in group.items]
                    if any(m is not None and m.sample is not None for m in inner):
                        called = env.names.mention(factor)
                        if called is not None and called.family not in env.functions:
                            facts.per_sample.add(called.family)
    if not facts.per_sample:
        return
    _data_of_samples(env, facts)
    changed = True
    while changed:
        changed = False
        for family, known in env.definitions.items():
            if family in facts.per_sample:
                continue
            for d in known:
                if d.of_one_entry or _sums_examples(env, d.right):
                    continue
                if mentions_in(env, d.right) & facts.per_sample and not _marked_only(env, d.right, facts):
                    facts.per_sample.add(family)
                    changed = True
                    break


def _data_of_samples(env: Environment, facts: Facts) -> None:
    """The data from which a quantity of one example is computed are those of that example: x and y of E^{(t)}."""
    waiting, seen = list(facts.per_sample), set(facts.per_sample)
    while waiting:
        for d in env.definitions.get(waiting.pop(), ()):
            if _sums_examples(env, d.right):
                continue
            for family in mentions_in(env, d.right) - seen:
                seen.add(family)
                waiting.append(family)
    facts.per_sample |= {f for f in seen if f in TARGETS and not env.definitions.get(f)}


def _sums_examples(env: Environment, node: Node) -> bool:
    """True if a formula adds up examples: what it makes is no quantity of one example."""
    for inner in walk(node):
        if isinstance(inner, Scripts):
            mention = env.names.mention(inner)
            if mention is not None and mention.sample is not None:
                return True
    return False


def _marked_only(env: Environment, node: Node, facts: Facts) -> bool:
    return False


def _aliases(env: Environment, facts: Facts) -> None:
    """W for the matrix of the w_{ij}, X for the matrix of the x^{(i)}, h for h_\\theta."""
    used = {m.family for n in nodes(env) if isinstance(n, Symbol | Scripts) and (m := env.names.mention(n)) is not None}
    for family in sorted(used):
        if env.definitions.get(family) or family in env.functions:
            continue
        lower = family[0].lower() + family[1:] if len(family) == 1 else family
        if lower != family and not env.habits.arity[family]:
            if lower in facts.per_sample and family not in facts.per_sample and not env.definitions.get(family):
                if family in ("X", "Y", "Z", "A", "H"):
                    facts.stacks[family] = lower
            elif (
                env.habits.arity[lower] + (lower in env.indexed_vectors) > (family in env.transposed)
                and lower in used
                and not _elsewhere(env, family)
            ):
                facts.aliases[family] = lower
        if family == "h" and family not in env.definitions:
            longer = [f for f in used if f.startswith("h_")]
            if len(longer) == 1:
                facts.aliases[family] = longer[0]


def _elsewhere(env: Environment, family: str) -> bool:
    """True if a capital letter stands for something else than the matrix of the entries with that letter."""
    cost = family in COSTS and env.habits.arity[family.lower()] < 2  # R beside r_{ui} is a matrix
    return family in env.numerators or family in env.bounds or cost


def _ones(document: Document, env: Environment, facts: Facts) -> None:
    """Entries 0 that are 1: the unit of the bias."""
    for family, known in env.definitions.items():
        for d in known:
            items = d.head.mention.components
            if (
                len(items) == 1
                and isinstance(items[0], Number)
                and items[0].text == "0"
                and isinstance(d.right, Number)
                and d.right.text == "1"
            ):
                facts.ones[family] = ONE


def rows_first(env: Environment) -> bool:
    """True if data stand before weights, X W: then vectors are rows."""
    before = after = 0
    for node in nodes(env):
        if isinstance(node, Product):
            for k, operator in enumerate(node.operators):
                if operator not in ("", "cdot", "times", "@"):
                    continue
                left, right = env.names.mention(node.factors[k]), env.names.mention(node.factors[k + 1])
                if left is None or right is None or not left.plain or not right.plain:
                    continue
                if left.components or right.components:
                    continue
                if left.family[-1:].isupper() and right.family[-1:].islower():
                    continue  # a matrix before a vector: the vector is a column
                before += left.family in DATA and right.family in WEIGHTS
                after += left.family in WEIGHTS and right.family in DATA
    return before > after


def has_arrays(env: Environment) -> bool:
    """True if something in the document can only be a vector or a matrix."""
    for node in nodes(env):
        match node:
            case Product(_, operators) if set(operators) & {"odot", "circ", "otimes"}:
                return True
            case Group("\u2016"):
                return True
            case Application(Symbol(name)) if name.lower() in ("softmax", "tr", "trace", "det", "diag"):
                return True
            case Symbol(_, "bold") | Symbol("R", "blackboard"):
                return True
            case Scripts():
                mention = env.names.mention(node)
                if mention is not None and mention.transposed:
                    return True
    return False


def _ranks(document: Document, env: Environment, facts: Facts, reading: Reading) -> None:
    """A rank for every family."""
    used: dict[str, None] = {}
    for node in nodes(env):
        if isinstance(node, Symbol | Scripts):
            mention = env.names.mention(node)
            if mention is not None:
                used.setdefault(mention.family)
                if mention.family in env.squared:
                    used.setdefault(mention.family + "^2")
    said = _said_ranks(document, env)
    arrays = has_arrays(env)
    loose: list[str] = []
    parameters = _parameters(env)
    defined = {f for f, ds in env.definitions.items() if ds}
    for family in used:
        arity = env.habits.arity[family]
        if arity:
            facts.ranks[family] = arity + (
                family in env.indexed_vectors and (arity == 1 or family in env.listed_vectors)
            )
            facts.sure.add(family)
        elif family.endswith("^2") and env.habits.arity[family[:-2]]:
            facts.ranks[family] = env.habits.arity[family[:-2]]
        elif family.startswith("d ") and not env.definitions.get(family):
            facts.ranks[family] = facts.ranks.get(family[2:], 0)
        elif family in facts.aliases:
            other = facts.aliases[family]
            facts.ranks[family] = env.habits.arity[other] + (other in env.indexed_vectors)
        elif family in said:
            facts.ranks[family] = said[family]
            facts.sure.add(family)
        elif (
            family in parameters
            or family in env.abstract
            or (family in SCALARS - defined and family not in env.transposed | env.denominators)
            or family in env.bounds
            or (not arrays and not _of_an_entry(env, family))
        ):
            facts.ranks[family] = 0
        elif env.definitions.get(family):
            continue
        else:
            facts.ranks[family] = _likely(family, env)
            if not _is_no_quantity(env, family):
                loose.append(family)
    fit = _Fit(env, facts, reading)
    best = fit.choose(loose)
    if fit.misfits(best):
        looser = _Fit(env, facts, replace(reading, elementwise=True))
        again = looser.choose(loose)
        if looser.misfits(again) < fit.misfits(best):
            best, fit, reading.elementwise = again, looser, True
            facts.assumptions.append("vectors side by side are multiplied entry by entry")
    facts.guessed = reading.elementwise or fit.misfits(best) >= 10
    facts.ranks.update(best)
    fit.settle_defined()
    facts.sure |= {f for f in used if facts.ranks.get(f) == 0 and (f in env.costs or f in env.bounds or f in SCALARS)}
    for _ in range(3):
        for family, known in env.definitions.items():
            if any(mentions_in(env, d.right) <= facts.sure | set(env.functions) for d in known):
                facts.sure.add(family)


def _is_no_quantity(env: Environment, family: str) -> bool:
    """True for the b of b_1 where b_1 is a name, for the space R, a transpose, and a function that is known by name."""
    letter = family.rsplit(" ", 1)[-1]
    named = letter in NAMED or letter.isdigit() or letter in ("top", "intercal")
    return named or family == "blackboard R" or family in env.habits.named_by_number


def _of_an_entry(env: Environment, family: str) -> bool:
    """True for L = -\\log p_c: it is one for each c."""
    for d in env.definitions.get(family, ()):
        nodes = list(walk(d.right))
        mentions = [m for n in nodes if isinstance(n, Scripts) and (m := env.names.mention(n)) is not None]
        letters = {c.name for m in mentions for c in m.components if isinstance(c, Symbol)}
        if (
            d.head.mention == Mention(family)
            and not d.slope
            and letters - env.habits.bound | letters & env.habits.placed
        ):
            return True
    return False


def _adds_up(env: Environment, family: str) -> bool:
    """True for what must be a number: it is differentiated, and its letter is not one of a vector."""
    return family in env.costs and family.rsplit(" ", 1)[-1] not in VECTORS


def _parameters(env: Environment) -> set[str]:
    """Letters that stand for the argument of a function and are defined nowhere."""
    found = set()
    for d in env.functions.values():
        mention = env.names.mention(d.head.arguments[0]) if d is not None else None
        if mention is not None and not env.definitions.get(mention.family):
            found.add(mention.family)
    return found


def _likely(family: str, env: Environment) -> int:
    letter = family.rsplit(" ", 1)[-1].split("_")[0]
    if family in COSTS and family in env.numerators:
        return 0
    if family in ("y", "t") and family in env.habits.sampled:
        return 0
    if letter in CAPITAL_GREEK or (len(letter) == 1 and letter.isupper()):
        return 2
    if letter in ("theta", "beta", "w", "phi", "psi", "delta", "xi", "zeta") or (len(letter) == 1 and letter.islower()):
        return 1
    return 0


def _said_ranks(document: Document, env: Environment) -> dict[str, int]:
    r"""Ranks that are stated: x \in \mathbb{R}^n, W is an h \times n matrix, a scalar b."""
    found: dict[str, int] = {}
    for left, space in _memberships(env):
        rank = _rank_of_space(space)
        mention = env.names.mention(left)
        if rank is not None and mention is not None:
            found.setdefault(mention.family, rank)
    for mention, sizes in _sizes_in_words(document, env):
        if mention.plain and not mention.components:
            found.setdefault(mention.family, len(sizes))
    text = " ".join(p for _, p in document.prose)
    name = r"\$([^$]{1,24})\$"
    shape = r"\$[^$]*\\times[^$]*\$"
    patterns = [
        (rf"{name},? (?:is|are|be|has|being)(?: an?| the| of)?(?: (?:size|shape|dimensions?))? {shape}", 2),
        (rf"and {name},? (?:is |are |be )?(?:an? |the )?{shape}", 2),
        (rf"{shape}[ -](?:weight |data |real |design )?matri(?:x|ces) {name}", 2),
        (rf"matri(?:x|ces) {name}", 2),
        (rf"{name} (?:is|denotes|be) (?:an? |the )?(?:[a-z-]+ ){{0,3}}matrix", 2),
        (rf"{name} (?:is|denotes|be|are) (?:an? |the )?(?:[a-z-]+ ){{0,3}}(?:vectors?|rows?|columns?)\b", 1),
        (rf"{name} and {name} are (?:row|column|vector)s?", 1),
        (rf"vectors? {name}", 1),
        (rf"{name} (?:is|denotes|be|are) (?:an? |the )?(?:[a-z-]+ ){{0,2}}(?:scalars?|numbers?)\b", 0),
        (rf"scalars? {name}", 0),
    ]
    for pattern, rank in patterns:
        for match in re.finditer(pattern, text):
            for group in match.groups():
                for part in group.split(","):
                    mention = env.names.mention(_parsed(part))
                    if mention is not None and mention.plain:
                        found.setdefault(mention.family, rank)
    return found


def _memberships(env: Environment) -> Iterator[tuple[Node, Node]]:
    """What is said to be in a space, one by one: Q, K \\in \\mathbb{R}^{n \\times d}."""
    for display in env.displays:
        for row in display.rows:
            for chain in row.chains:
                for left, relation, right in zip(chain.members, chain.relations, chain.members[1:], strict=False):
                    if relation.sign == "∈":
                        for item in left.items if isinstance(left, Listing) else (left,):
                            yield item, right


SIZES_IN_WORDS = (
    r"\$(?P<name>[^$]{1,24})\$,? (?:(?!and\b|with\b|for\b)[a-z-]+ ){0,7}"
    r"\$(?P<rows>[A-Za-z]) ?\\times ?(?P<columns>[A-Za-z])\$",
    r"\$(?P<rows>[A-Za-z]) ?\\times ?(?P<columns>[A-Za-z])\$[ -][a-z -]{0,30}matri(?:x|ces) \$(?P<name>[^$]{1,24})\$",
    r"\$(?P<rows>[A-Za-z])\$-(?:dimensional )?(?:column |row )?vectors? \$(?P<name>[^$]{1,24})\$",
    r"\$(?P<name>[^$]{1,24})\$ (?:is|are|be) (?:an? )?\$(?P<rows>[A-Za-z])\$-(?:dimensional|vector)",
    r"\$(?P<name>[^$]{1,24})\$,? (?:(?!and\b|with\b|for\b)[a-z-]+ ){0,5}"
    r"(?:of|has|have) (?:length|size|dimension) \$(?P<rows>[A-Za-z])\$",
)


def _sizes_in_words(document: Document, env: Environment) -> Iterator[tuple[Mention, tuple[str, ...]]]:
    """An $n \\times d$ matrix $X$; a vector $x$ of length $d$."""
    for _, paragraph in document.prose:
        for pattern in SIZES_IN_WORDS:
            for match in re.finditer(pattern, paragraph):
                sizes = tuple(match[k] for k in ("rows", "columns") if k in match.re.groupindex)
                for part in re.split(r"\\in\b", match["name"])[0].split(","):
                    mention = env.names.mention(parse_expression(part))
                    if mention is not None:
                        yield mention, sizes


def _dimensions(document: Document, env: Environment) -> dict[str, tuple[str, ...]]:
    """The sizes that are stated, letters alone, of families of which nothing else is stated: X \\in R^{n x d}."""
    stated = list(_sizes_in_words(document, env))
    for left, space in _memberships(env):
        letters: tuple[str, ...] = ()
        match space:
            case Scripts(Symbol("R", _), None, Script((Product(factors, operators),))) if set(operators) == {"times"}:
                letters = tuple(f.name if isinstance(f, Symbol) else "" for f in factors)
            case Scripts(Symbol("R", _), None, Script((Symbol(name),))):
                letters = (name,)
        if (mention := env.names.mention(left)) is not None:
            stated.append((mention, letters))
    found: dict[str, tuple[str, ...]] = {}
    for mention, letters in stated:
        if not mention.plain or (mention.layer is not None and mention.layer.base):
            continue
        family = mention.family if mention.layer is None else f"{mention.family}\0{mention.layer}"
        if mention.components and mention.family not in env.indexed_vectors:
            continue
        found[family] = letters if found.get(family, letters) == letters else ()
    return found


def _counting(document: Document, env: Environment) -> set[str]:
    """Letters of sizes that stand for nothing else: they are numbers of entries wherever they stand."""
    letters = {name for names in _dimensions(document, env).values() for name in names if name}
    others = env.habits.bound | env.index_letters | env.habits.layer_letters | set(env.functions)
    return {n for n in letters - others if not env.definitions.get(n) and n not in env.denominators}


def _stated_lengths(document: Document, env: Environment, facts: Facts, lengths: Lengths) -> None:
    """Axes are as long as the text says."""
    for place, names in _dimensions(document, env).items():
        family, _, layer = place.partition("\0")
        family = facts.aliases.get(family, family)
        rank = facts.ranks.get(family, 0)
        if family in facts.per_sample or len(names) > rank or rank - len(names) > 1:
            continue
        for k, name in enumerate(names, rank - len(names)):  # of x_1, ..., x_n the last axis
            if name in env.bounds and (family, k) not in facts.zeros:
                numbered = Layer("", int(layer)) if layer and family not in env.indexed_vectors else None
                key = ("size", name)
                lengths.call(key, name)
                lengths.join(key, ("axis", family, k, numbered))


def _parsed(text: str) -> Node:
    return parse_expression(text)


def _rank_of_space(node: Node) -> int | None:
    match node:
        case Scripts(Symbol("R", _), _, above) if above is not None:
            times = any(isinstance(n, Product) and "times" in n.operators for n in above.items) or any(
                isinstance(n, Symbol) and n.name == "times" for n in above.items
            )
            return 2 if times else 1
        case Symbol("R", _) | Group("{"):
            return 0
    return None


class _Fit:
    """Whether a choice of ranks suits the definitions and claims of a document, under one reading.

    What a formula gives depends on the ranks of what it names: it is kept until one of them is chosen otherwise.
    """

    def __init__(self, env: Environment, facts: Facts, reading: Reading) -> None:
        self.env, self.facts, self.reading = env, facts, reading
        self.recurring = _recurring(env)
        self.slopes_last = sorted(env.definitions.items(), key=lambda item: any(d.slope for d in item[1]))
        self.claims = list(itertools.islice(self._claims(), MOST_CLAIMS))
        self._named: dict[Key, tuple[str, ...]] = {}
        self._known: dict[Key, tuple[int | None, tuple[str, ...]] | bool] = {}

    def _claims(self) -> Iterator[tuple[tuple[int, int], Link]]:
        for f, display in enumerate(self.env.displays):
            for k, link in enumerate(links(display)):
                if (f, k) not in self.env.roles and link.left is not None and link.relation.sign == "=":
                    yield (f, k), link

    def choose(self, loose: list[str]) -> dict[str, int]:
        """Ranks of what is given under which the definitions fit, as near to what the letters say as can be."""
        env, facts = self.env, self.facts
        best = {f: facts.ranks[f] for f in loose}
        worst = self.misfits(best)
        for _ in range(3):
            if not worst:
                break
            before = worst
            for family in loose:
                for rank in (0, 1, 2):
                    if rank == best[family] or (not rank and family in env.transposed):
                        continue
                    tried = {**best, family: rank}
                    count = self.misfits(tried)
                    if count < worst:
                        best, worst = tried, count
            if worst == before:
                break
        if worst and len(loose) <= MOST_LOOSE:
            for one, two in itertools.combinations(loose, 2):
                for ranks in itertools.product((0, 1, 2), repeat=2):
                    tried = {**best, one: ranks[0], two: ranks[1]}
                    if any(not tried[f] and f in env.transposed for f in (one, two)):
                        continue
                    count = self.misfits(tried)
                    if count < worst:
                        best, worst = tried, count
                if not worst:
                    break
        return best

    def misfits(self, ranks: dict[str, int]) -> int:
        """How many definitions and claims do not fit; a definition counts as ten claims."""
        facts = self.facts
        saved, implicit = dict(facts.ranks), dict(facts.implicit)
        facts.ranks.update(ranks)
        count = 10 * self.settle_defined() + sum(self._is_unread(place, link) for place, link in self.claims)
        facts.ranks, facts.implicit = saved, implicit
        return count

    def _state(self, place: Key, *sides: Node) -> Key:
        """A formula with the ranks of what it names."""
        if place not in self._named:
            named = set().union(*(mentions_in(self.env, side) for side in sides))
            bodies = [d.right for f in named if (d := self.env.functions.get(f)) is not None]
            named |= set().union(*(mentions_in(self.env, body) for body in bodies))
            self._named[place] = tuple(sorted(named | {self.facts.aliases.get(f, f) for f in named}))
        ranks, implicit = self.facts.ranks, self.facts.implicit
        return (place, *((ranks.get(f, 0), implicit.get(f)) for f in self._named[place]))

    def _is_unread(self, place: tuple[int, int], link: Link) -> bool:
        """True if a claim does not fit in shape."""
        assert link.left is not None
        state = self._state(("claim", place), link.left, link.right)
        if state not in self._known:
            elab = Elaborator(self.env, self.facts, Lengths(), self.reading, {}, ())
            elab.settled = False
            scope = Scope(claim=("fit", *place))
            try:
                left, right = elab.array(link.left, scope), elab.array(link.right, scope)
                self._known[state] = left.rank != right.rank and not isinstance(link.right, Number)
            except (NotRead, RecursionError):
                self._known[state] = True
        return bool(self._known[state])

    def settle_defined(self) -> int:
        """Give each defined family the rank of what it is defined as; the number of definitions that do not fit.

        A recurrence, h_t = tanh(W h_{t-1}), gives none by itself: there the letter is believed, if then all fits.
        """
        env, facts = self.env, self.facts
        before, implicit = dict(facts.ranks), dict(facts.implicit)
        recurring = {f: _likely(f, env) for f in self.recurring if f not in before and not env.habits.arity[f]}
        if recurring:
            facts.ranks.update(recurring)
            if not self._ranks_by_definition():
                return 0
            facts.ranks, facts.implicit = before, implicit
        return self._ranks_by_definition()

    def _ranks_by_definition(self) -> int:
        """See `settle_defined`; a derivative has the rank of what it is one by: that comes first."""
        failed = 0
        for _ in range(3):
            before = dict(self.facts.ranks)
            failed = sum(self._does_not_fit(family, d) for family, known in self.slopes_last for d in known)
            if self.facts.ranks == before:
                break
        return failed

    def _does_not_fit(self, family: str, d: Definition) -> bool:
        """Give a family the rank of its definition; True if it has another, or the definition does not fit."""
        env, facts = self.env, self.facts
        if d.head.mention.components:
            return False
        rank, letters = self._rank_of_right(d)
        if rank == UNREAD:
            return False
        if rank and _adds_up(env, family) and self.reading.elementwise:
            rank = 0  # the entries are added up
        if rank is None or (rank and _adds_up(env, family)):
            return True
        arity = env.habits.arity[family]
        if letters and not rank and arity in (0, len(letters)) and not facts.implicit.get(family):
            facts.implicit[family] = letters
            rank = len(letters)
        elif family in facts.implicit:
            rank = len(facts.implicit[family])
        return facts.ranks.setdefault(family, rank) != rank

    def _rank_of_right(self, d: Definition) -> tuple[int | None, tuple[str, ...]]:
        state = self._state(("rank", d.place, id(d)), d.right)
        found = self._known.get(state)
        if not isinstance(found, tuple):
            elab = Elaborator(self.env, self.facts, Lengths(), self.reading, {}, ())
            try:
                found = elab.array(d.right, Scope(claim=("rank", d.place), sample=None)).rank, tuple(elab.free)
            except Misfit:
                found = None, ()
            except (NotRead, RecursionError):
                found = UNREAD, ()
            self._known[state] = found
        return found


def _recurring(env: Environment) -> set[str]:
    """Families that are defined by themselves, at another layer or time."""
    reads = {f: {m for d in known if not d.slope for m in mentions_in(env, d.right)} & set(env.definitions)
             for f, known in env.definitions.items()}  # fmt: skip
    found = set()
    for family in reads:
        reached: set[str] = set()
        waiting = [family]
        while waiting:
            for other in reads[waiting.pop()] - reached:
                reached.add(other)
                waiting.append(other)
        if family in reached:
            found.add(family)
    return found


def _settle(env: Environment, facts: Facts, lengths: Lengths, reading: Reading) -> bool:
    """Join what the definitions make equally long; True if something new was found out."""
    before = len(facts.zeros)
    elab = Elaborator(env, facts, lengths, reading, {}, ())
    for family, known in list(env.definitions.items()):
        for d in known:
            if d.of_one_entry or d.slope:
                continue
            for layer in _layers(env, d.layer):
                for lifted in (False, True) if family in facts.per_sample else (False,):
                    try:
                        elab.equation(elab.tensor(Instance(family, layer, lifted)))
                    except NotRead:
                        continue
    for left, right in elab.algebra.grown:
        for key in (left, right):
            if isinstance(key, tuple) and key and key[0] == "axis":
                facts.zeros.add((str(key[1]), int(key[2])))
    lengths.call(SAMPLES, "m")
    return len(facts.zeros) > before


def _layers(env: Environment, layer: Layer | None) -> Iterable[Layer | None]:
    """The layers at which lengths are worth knowing."""
    if layer is None or layer.base not in env.habits.layer_letters:
        return [layer]
    return [Layer(layer.base, k) for k in (-1, 0, 1, 2)] + [Layer(b, k) for b in tops(env) for k in (-1, 0)]


def tops(env: Environment) -> list[str]:
    """The names of the last layer."""
    found = set()
    for node in nodes(env):
        if isinstance(node, Scripts):
            mention = env.names.mention(node)
            if (
                mention is not None
                and mention.layer is not None
                and mention.layer.base
                and mention.layer.base not in env.habits.layer_letters
            ):
                found.add(mention.layer.base)
    return sorted(found)


__all__ = ["Chain", "Misfit", "infer"]
