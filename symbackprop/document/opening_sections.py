"""The first half of a proof document: what is claimed, in which notation, about which equations, by which rules.

Each function gives the blocks of one section, or none where there is nothing to say.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from symbackprop.calculus.rules import RULES
from symbackprop.document.context import Context, joined, label, runs, sentence, sides
from symbackprop.document.function_figure import function_figure
from symbackprop.document.layer_families import families, layer_of
from symbackprop.document.model import (
    Block,
    Chain,
    Display,
    DisplayedEquality,
    Inline,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
)
from symbackprop.document.model import blocks as nested
from symbackprop.document.network_figure import network_figure
from symbackprop.document.protocols import NetworkLike, ProofLike, RuleLike, TheoremLike
from symbackprop.document.sentences import CONVENTIONS
from symbackprop.expression.build import (
    Apply,
    Entry,
    Expr,
    Kronecker,
    Partial,
    Tensor,
    apply,
    nodes_once,
    number,
    substitute,
    tensors_in,
)
from symbackprop.expression.functions import BASIC, derivative
from symbackprop.expression.program import Equation, symbols
from symbackprop.expression.sympy_bridge import PI, PLACES, definition
from symbackprop.frontends.network import Network
from symbackprop.proofs.functions import functions_of
from symbackprop.rendering.layout import Glyph, Layout, relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import derivative_layout, letter, split_name, tensor_layout
from symbackprop.rendering.tex_reader import read_tex

_MOST = 6  # equations of a family that are all written out


def claims(about: Context, *, brief: bool = False) -> tuple[Block, ...]:
    """All theorems at a glance; a single one speaks for itself."""
    if len(about.groups) == 1 and not brief:
        return ()
    groups = [g for g in about.groups if _is_needed(about, g[0])]
    lines = tuple((DisplayedEquality(*sides(group[0])), _span(about, group)) for group in groups)
    if brief:
        return (Section("What is proved", (Display(lines),)),)
    intro = "Each of these equalities is derived below, and each step of each derivation was checked by machine."
    if len(groups) < len(about.groups):
        intro += " In this order they are the whole backward pass; what else is derived below leads to them."
    return (Section("What is proved", (Paragraph((intro,)), Display(lines))),)


def _is_needed(about: Context, theorem: TheoremLike) -> bool:
    """In a user's own program: whether the backward pass, as it is at last, computes this."""
    gradient, left = about.proof.gradient, theorem.derivation.left
    if about.notation.layered or gradient is None or not isinstance(left, Entry) or left.tensor not in about.bars:
        return True
    return left.tensor in gradient.adjoint.by_tensor


def _span(about: Context, group: Sequence[TheoremLike]) -> Text:
    if len(group) == 1:
        return about.words(sentence(group[0].name))
    layers = sorted(n for t in group[1:] if (n := layer_of(t.derivation.left)) is not None)
    return (*about.words(sentence(group[0].name)), f" In the same way for {runs(layers)}.")


def notation_table(about: Context) -> tuple[Block, ...]:
    """Every symbol with its shape; the layers of one letter share a row."""
    kinds: dict[str, list[Tensor]] = {}
    for tensor in (t for t in about.tensors if t not in about.bars):
        kinds.setdefault(re.sub(r"\d+$", "", tensor.name) if about.notation.layered else tensor.name, []).append(tensor)
    rows: list[tuple[Text, ...]] = []
    for kind in kinds.values():
        kind.sort(key=lambda t: layer_of(Entry(t)) or 0)
        shown = (kind[0], kind[-1]) if len(kind) > 2 else tuple(kind)
        between = ", …, " if len(kind) > 2 else ", "
        shapes = [about.shape(t) for t in shown]
        rows.append(
            (
                joined([Symbolic(about.name(t)) for t in shown], between),
                joined(shapes if len(set(shapes)) > 1 else shapes[:1], between),
                about.meaning(kind),
            )
        )
    table = Table(("Symbol", "Shape", "Meaning"), (*rows, *_scalars(about)))
    return (
        Section(
            "Notation",
            (
                *_conventions(about),
                table,
                *_derivatives(about),
                *_bars(about),
            ),
        ),
    )


def _conventions(about: Context) -> tuple[Block, ...]:
    """How names and indices are to be read, as far as there are any."""
    has_layers = any(split_name(t.name)[1] for t in about.tensors)
    if about.notation.layered and has_layers:
        return (Paragraph((*about.words(CONVENTIONS[about.notation.name]), *_widths(about.proof.network))),)
    said = ["All names are those of the program."] if about.proof.program.lines else []
    counted = "Indices count from 1." if about.notation.first else "Indices count from 0, as in NumPy."
    said += [counted] if any(t.shape for t in about.tensors) else []
    return (Paragraph((" ".join(said),)),) if said else ()


def _scalars(about: Context) -> list[tuple[Text, ...]]:
    """Sizes, hyper-parameters and fixed arguments."""
    network = about.proof.network
    sizes = dict.fromkeys(s for t in about.tensors for size in t.shape for s in symbols(size) if s.kind == "size")
    scalars = dict.fromkeys(s for e in about.equations for s in symbols(e.value) if s.kind != "size" and s is not PI)
    real = "any real number" if network is None else "hyper-parameter, any real number"
    kinds = {"real": real, "positive": "any positive number"}
    given = [((Symbolic(letter(s.name)),), ("a number",), (kinds[s.kind],)) for s in scalars]
    if network is None:
        sizes |= dict.fromkeys(s for e in about.equations for s in symbols(e.value) if s.kind == "size")
        shown = joined([Symbolic(letter(s.name)) for s in sizes], ", ")
        lengths = (shown, (_numbers(len(sizes)),), (_SIZES[len(sizes) > 1],))
        return [*([lengths] if sizes else []), *given, *_fixed(about)]
    m = ((Symbolic(letter("m")),), ("a number",), ("number of examples, a positive integer",))
    shown_sizes: list[Expr] = [s for s in sizes if s.name != "m"]
    if network.depth is None:
        shown_sizes = list(dict.fromkeys(layer.size for layer in network.layers))
        shown_sizes = [*shown_sizes[:2], *shown_sizes[-1:]] if len(shown_sizes) > _MOST else shown_sizes
    shown = joined([Symbolic(layout_of(s, about.notation)) for s in shown_sizes], ", ")
    last = f"; $K = s_{network.depth}$ is that of the output layer" if network.depth else ""
    units = (shown, ("numbers",), about.words(f"numbers of units of the layers, positive integers{last}"))
    x: Text = (Symbolic(row(letter("x"), relation("="), tensor_layout("a1", (), about.notation))),)
    inputs = (x, (Symbolic(read_tex("m \\times s_1")),), ("inputs, one row for each example",))
    return [*([inputs] if network.depth else []), m, units, *given]


_SIZES = ("size of an axis, a positive integer", "sizes of axes, positive integers")


def _numbers(count: int) -> str:
    return "numbers" if count > 1 else "a number"


def _fixed(about: Context) -> list[tuple[Text, ...]]:
    """Keyword arguments of the user's function, with the values that they have in this proof."""
    function = about.proof.program.function
    arguments = inspect.signature(function).parameters.values() if function is not None else ()
    defaults = {a.name: a.default for a in arguments if type(a.default) in (int, float)}
    return [
        ((Symbolic(letter(name)),), ("a number",), ("argument, here ", Symbolic(layout_of(_exact(value)))))
        for name, value in defaults.items()
        if math.isfinite(value)
    ]


def _exact(value: float) -> Expr:
    return number(Fraction(str(value)))


def _derivatives(about: Context) -> tuple[Block, ...]:
    """How a direct derivative and a total one are told apart, and what an equality with free indices says."""
    lines = [step.after for t in about.proof.theorems for step in t.derivation.steps]
    nodes = {type(n) for line in lines for n in nodes_once(line)}
    indexed = any(t.shape for t in about.tensors)
    free = "An equality holds for all values of the indices that are not summed over." if indexed else ""
    if Partial not in nodes:
        return (Paragraph((free,)),) if free else ()
    cost, other = (tensor_layout(n, (), about.notation) for n in ("J", "u"))
    variable = tensor_layout("v", (), about.notation)
    total, direct = derivative_layout(cost, variable), derivative_layout(other, variable, direct=True)
    text: Text = (
        "Two kinds of derivatives occur. ",
        Symbolic(total),
        " is the total one: how the cost changes with an entry, through all that is computed from it. With hats, ",
        Symbolic(direct),
        " is the direct one: the derivative of the right side of the equation of ",
        Symbolic(other),
        " alone, in which all other tensors are held fixed. ",
    )
    bracket = about.words(" A bracket $[j = i]$ is 1 if the two indices are equal and 0 otherwise.")
    return (Paragraph((*text, free, *(bracket if Kronecker in nodes else ()))),)


def setting(about: Context) -> tuple[Block, ...]:
    """What a backward pass computes, and what the upstream gradient is."""
    if not about.upstream:
        return ()
    outputs = [t for t in about.tensors if t in _outputs(about)]
    names = joined([Symbolic(about.name(t)) for t in outputs], " and ")
    handed = joined([Symbolic(about.name(t)) for t in about.upstream], " and ")
    text: Text = (
        "The function returns ",
        *names,
        ". Whatever is computed from that later, up to a final cost ",
        Symbolic(letter("J")),
        ", sends back how fast the cost changes with each returned entry: the upstream gradient ",
        *handed,
        ". A backward pass turns it into the derivatives of the same cost with respect to the inputs. For this it is "
        "enough to know the cost to first order in what is returned, and so the sum of entries times upstream "
        "gradients may stand in for it, with the upstream gradient held constant.",
    )
    return (Section("The setting", (Paragraph(text),)),)


def _outputs(about: Context) -> set[Tensor]:
    """What the cost that stands in for the rest is computed from, other than the upstream gradients."""
    return set(tensors_in(about.proof.program.equations[-1].value)) - set(about.upstream)


def _bars(about: Context) -> tuple[Block, ...]:
    """What a bar over a letter means."""
    first = next((t for t in about.proof.program.inputs if t in about.bars.values()), None)
    if first is None:
        return ()
    bar = next(b for b, t in about.bars.items() if t is first)
    meaning = row(about.name(bar), relation("="), derivative_layout(about.name(about.cost), about.name(first)))
    text: Text = (
        Strong("Meaning of the bar."),
        " It marks a derivative of the cost, entry by entry: ",
        Symbolic(meaning),
        " has the shape of ",
    )
    return (Paragraph((*text, Symbolic(about.name(first)), ".")),)


def forward(about: Context, *, brief: bool = False) -> tuple[Block, ...]:
    """The equations that are differentiated, and a picture of the network."""
    groups = families(about.equations, lambda e: (e.left, e.value))
    lines: list[tuple[DisplayedEquality | Symbolic, Text]] = []
    for equation in _in_order_of_lines(about):
        group = next(g for g in groups if equation in g)
        elided = len(group) > 1 and (brief or len(group) > _MOST)
        if not elided or equation is group[0]:
            note = _forward_note(about, equation, group if elided else (), brief=brief)
            lines.append((DisplayedEquality(equation.left, equation.value), note))
    network = about.proof.network
    if brief and network is not None:
        lines += _functions_in_brief(about)
    blocks: list[Block] = [Display(tuple(lines), flowing=brief), *(_in_brief(about) if brief else ())]
    if network is not None and not brief:
        blocks.append(network_figure(widths_of(network), about.notation, any_depth=network.depth is not None))
    return (Section("Forward equations", tuple(blocks)),)


def _in_order_of_lines(about: Context) -> Sequence[Equation]:
    """A user's equations in the order of the lines that compute them; any others as they are."""
    places = [re.search(r"line (\d+)", e.note) for e in about.equations]
    if about.notation.layered:
        return about.equations
    numbered = [
        (int(p[1]) if p else len(about.equations) + 10**6, e) for p, e in zip(places, about.equations, strict=True)
    ]
    return [e for _, e in sorted(numbered, key=lambda pair: pair[0])]


def _in_brief(about: Context) -> tuple[Block, ...]:
    """What the signs of a brief proof mean, in a few lines."""
    if about.proof.network is None:
        return ()
    if about.proof.network.depth is not None:
        layers = f"; {about.first_layer()}, the equations hold for each $l < {about.proof.network.depth}$"
        if any(e.tensor.name == "J" and Tensor("R") in tensors_in(e.value) for e in about.equations):
            layers += "; $R$ is the penalty of all layers, $E$ the cost without that on W_l"
    else:
        layers = ""
    functions = {n.function.name for e in definitions(about.proof) for n in nodes_once(e[1]) if isinstance(n, Apply)}
    step = "; $\\operatorname{step}(z)$ is 1 for $z > 0$, else 0" if "step" in functions else ""
    text = (
        f"Rows of $x$ and $y$ are the $m$ examples{layers}. The error term $\\delta$ is the derivative of the cost "
        f"by $z$; "
        f"with hats, only the one equation is differentiated; $[j = i]$ is 1 if the indices agree, else 0{step}."
    )
    return (Paragraph(about.words(text)),)


def _functions_in_brief(about: Context) -> Iterator[tuple[DisplayedEquality | Symbolic, Text]]:
    """Each function of the equations with its slope, which the derivations of a page go on from."""
    used = {n.function for e in about.equations for n in nodes_once(e.value) if isinstance(n, Apply)}
    slopes = {sides(t)[0]: DisplayedEquality(*sides(t)) for t in about.proof.theorems}
    for left, right in definitions(about.proof):
        if isinstance(left, Apply) and left.function in used:
            slope = slopes.get(apply(derivative(left.function), *left.arguments))
            yield DisplayedEquality(left, right), ("with slope ", slope) if slope else ()


_RANGES = {
    "a_l": "$2 \\le l \\le L-1$, where ",
    "z_l+1": "$1 \\le l \\le L-1$",
}


def _forward_note(about: Context, equation: Equation, group: Sequence[Equation], *, brief: bool) -> Text:
    """Where an equation comes from, the layers it also speaks for, or its shape."""
    code = about.code(equation) if not brief else None
    note: list[Inline] = list(about.words(sentence(equation.note)[:-1])) if equation.note and not brief else []
    if code is not None:
        note = [code, f", {equation.note}"]
    if equation.indices and not brief:
        note += [", ", about.shape(equation.tensor)] if note else [about.shape(equation.tensor)]
    depth = about.proof.network.depth if about.proof.network is not None else None
    if depth is not None and equation.tensor.name in _RANGES and not brief:
        first = about.first_layer() if equation.tensor.name == "a_l" else ""
        note += about.words(", for " + _RANGES[equation.tensor.name].replace("L", depth) + first)
    layers = [n for e in group[1:] if (n := layer_of(e.left)) is not None]
    note += [f"{'; in' if note else 'In'} the same way for {runs(layers)}"] if layers else []
    return (*note, ".") if note else ()


def definitions(proof: ProofLike) -> list[tuple[Expr, Expr]]:
    """f(z) and what it is, for each function that the proof is written with."""
    if isinstance(proof.network, Network):
        functions = functions_of(proof.network, logits=True)
    else:
        nodes = (n for e in proof.program.equations for n in nodes_once(e.value))
        functions = tuple(dict.fromkeys(n.function for n in nodes if isinstance(n, Apply)))
    z, found = Entry(Tensor("z")), []
    for function in functions:
        meaning = definition(function)
        known = function.name in BASIC or (function.name == "abs" and proof.network is None)
        if meaning is not None and function.arity == 1 and not known:
            found.append((apply(function, z), substitute(meaning, {PLACES[0]: z})))
    return found


def functions(about: Context) -> tuple[Block, ...]:
    """The definitions of all functions that are more than arithmetic."""
    mentioned = {n.function for t in about.proof.theorems for n in _applied(t)}
    mentioned |= {n.function for e in about.equations for n in nodes_once(e.value) if isinstance(n, Apply)}
    shown = [d for d in definitions(about.proof) if isinstance(d[0], Apply) and d[0].function in mentioned]
    names = {n.function.name for d in shown for n in nodes_once(d[1]) if isinstance(n, Apply)}
    names |= {f.name for f in mentioned}
    blocks: list[Block] = []
    if shown:
        lines: list[tuple[DisplayedEquality | Symbolic, Text]] = [(DisplayedEquality(*d), ()) for d in shown]
        blocks += [Paragraph(about.words("For every number $z$:")), Display(tuple(lines))]
        drawn = [d[0].function for d in shown if isinstance(d[0], Apply) and d[0].function.primitive_of is None]
        figure = function_figure(drawn, about.notation)
        blocks += [figure] if figure is not None else []
    words = [text for name, text in IN_WORDS.items() if name in names]
    arbitrary = next((f for f in mentioned if f.definition is None and f.name not in BASIC), None)
    if arbitrary is not None:
        base = arbitrary.primitive_of[0] if arbitrary.primitive_of else arbitrary
        words.append(f"${base.latex}$ is any differentiable function, $ {base.latex}'$ its derivative.")
    if about.proof.program.lines or not (blocks or words):  # what NumPy computes needs no definition
        return ()
    blocks += [Paragraph(about.words(" ".join(words)))] if words else []
    return (Section("Functions", tuple(blocks)),)


# What is said of a function whose name occurs in a document, each with a check in tests/document/test_sentences.py.
IN_WORDS = {
    "step": "$\\operatorname{step}(z)$ is 1 for $z > 0$ and 0 otherwise.",
    "sigmoid": "For every $z$ it holds that $0 < \\sigma(z) < 1$.",
    "abs": "$\\operatorname{abs}'$ is the derivative of the absolute value.",
    "exp": "The exponential is positive everywhere.",
    "log": "The logarithm is the natural one.",
    "erf": "$\\operatorname{erf}(z)$ is $2/\\sqrt{\\pi}$ times the integral of $e^{-t^2}$ from 0 to $z$.",
}


def _applied(theorem: TheoremLike) -> Iterator[Apply]:
    """All applications of functions in a derivation."""
    for expr in (theorem.derivation.left, *(s.after for s in theorem.derivation.steps)):
        yield from (n for n in nodes_once(expr) if isinstance(n, Apply))


def rules(about: Context, told: Sequence[Block]) -> tuple[Block, ...]:
    """The rules that the derivations use, each once.

    Args:
        told: the derivations as they stand in the document.
    """
    cited = dict.fromkeys(line.label for b in nested(tuple(told)) if isinstance(b, Chain) for line in b.lines)
    by_label = {label(name, about.notation): name for name in RULES}
    used = dict.fromkeys(by_label[c] for c in cited if c in by_label)
    blocks: list[Block] = []
    if not about.notation.layered:
        used.pop("definition_of_delta", None)  # the notation has told what a bar means
    for rule in map(RULES.__getitem__, used):
        says: list[Inline] = [Strong(label(rule.name, about.notation) + ". "), *about.words(rule.statement)]
        says += [f" Condition: {rule.condition}."] if rule.condition else []
        says += [f" ({rule.source}.)"] if rule.source not in ("", "definition") else []
        blocks.append(Paragraph(tuple(says)))
        blocks += [Display(((Symbolic(_law(rule, about)), ()),))] if rule.latex else []
    if not blocks:
        return ()
    return (Section("Rules", (Paragraph(("These are all the rules that the derivations use.",)), *blocks)),)


def _law(rule: RuleLike, about: Context) -> Layout:
    """The formula of a rule in the notation of the document."""
    if rule.name == "definition_of_delta" and about.notation.layered:
        indices = [letter(about.notation.rename.get(i, i)) for i in ("n", "i")]
        delta, z = (tensor_layout(n, indices, about.notation) for n in ("delta_l", "z_l"))
        return row(delta, relation("="), derivative_layout(tensor_layout("J", (), about.notation), z))
    cost = about.notation.letters.get("J", "J")
    return read_tex(rule.latex.replace("\\partial J", f"\\partial {cost}"))


def widths_of(network: NetworkLike) -> tuple[Expr, ...]:
    """The widths of a network's layers, as numbers or symbols."""
    return tuple(number(layer.width) if isinstance(layer.width, int) else layer.size for layer in network.layers)


def _widths(network: NetworkLike | None) -> Text:
    """The sizes that are numbers in this network; the proof does not depend on them."""
    known = [layer for layer in network.layers if isinstance(layer.width, int)] if network else []
    if not known:
        return ()
    sizes = [row(letter(layer.size.name), relation("="), Glyph(str(layer.width), "number")) for layer in known]
    return (" Here ", *joined([Symbolic(s) for s in sizes], ", "), ", but nothing below depends on these numbers.")
