"""The second half of a proof document: induction, whole batches, code, questions, conditions, and what was checked.

Each function gives the blocks of one section, or none where there is nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from symbackprop.document.any_depth_code import loop_module
from symbackprop.document.context import Context, sentence, shape_layout, sides
from symbackprop.document.flow_figure import flow_figure
from symbackprop.document.matrix_form import form_layout, matrix_form, matrix_name, shapes_of
from symbackprop.document.model import (
    Block,
    Chain,
    Code,
    Display,
    DisplayedEquality,
    Items,
    Listing,
    Paragraph,
    Section,
    Strong,
    Symbolic,
    Table,
    Text,
    blocks,
)
from symbackprop.document.protocols import NetworkLike, is_about_computed
from symbackprop.document.questions import NetworkFacts, answers
from symbackprop.expression.build import (
    ONE,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    Tensor,
    Where,
    add,
    negate,
    nodes_once,
    number,
    tensors_in,
)
from symbackprop.expression.functions import LOG, Function
from symbackprop.expression.program import Program
from symbackprop.frontends.network import written_out
from symbackprop.proofs.shortening.unit_axes import factored
from symbackprop.proofs.theorem import Proof as ProvedNetwork
from symbackprop.rendering.layout import Fence, Glyph, operator, relation, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import Notation, function_layout
from symbackprop.rendering.text import to_text


def induction(about: Context) -> tuple[Block, ...]:
    """What the single results come to: for every layer of this network, or for every depth."""
    network = about.proof.network
    if network is None or (network.depth is None and len(network.layers) < 3):
        return ()
    last = network.depth or str(len(network.layers))
    if network.depth is None:
        text = (
            "The error term of the output layer is computed from the cost and the slope of the output. Each earlier "
            f"one is computed from the one after it, by the same equation in every hidden layer{_own_slopes(network)}; "
            "the gradients of weights and biases need only the error term of the layer they feed. All layers of this "
            "network have been treated above, one by one or by the same steps; for any number of layers, prove the "
            "network with a symbol for its depth."
        )
    else:
        text = (
            f"Let $P(l)$ be the statement that what the backward pass computes for layer $l$ is its error term. The "
            f"base proves $P({last})$, the step proves $P(l)$ from $P(l+1)$ for $2 \\le l \\le {last}-1$. By induction "
            f"downwards from $l = {last}$, $P(l)$ holds for every $l = 2, \\ldots, {last}$ and for every depth ${last} "
            "\\ge 2$. The gradients of the weights and biases with the number $l$, for $1 \\le l \\le "
            f"{last}-1$, need the error term of layer $l+1$ alone, so they are right as well."
        )
    count = len(network.layers)
    layers = ["1", "2", network.depth] if network.depth is not None else [str(k + 1) for k in range(count)]
    return (Section("From layer to layer", (Paragraph(about.words(text)), flow_figure(layers, about.notation))),)


def _own_slopes(network: NetworkLike) -> str:
    """Where the hidden layers have several activations, that each equation has the slope of its own."""
    several = len({layer.function for layer in network.layers[1:-1]}) > 1
    return ", each with the slope of its own activation" if several else ""


def batch(about: Context) -> tuple[Block, ...]:
    """Each theorem about a network for whole arrays, with shapes."""
    if about.proof.network is None:
        return ()
    lines: list[tuple[DisplayedEquality | Symbolic, Text]] = []
    rows = [row_ for e in about.equations for row_ in _shapes(about, e.left, e.value)]
    for theorem in (g[0] for g in about.groups if not is_about_computed(g[0])):
        left, right = sides(theorem)
        form = matrix_form(right, left.indices) if isinstance(left, Entry) else None
        if form is None or not isinstance(left, Entry):
            continue
        whole = row(matrix_name(left.tensor, about.notation), relation("="), form_layout(form, about.notation))
        lines.append((DisplayedEquality(left, right), (Symbolic(whole),)))
        rows += _shapes(about, left, right)
    if not lines:
        return ()
    intro: Text = (
        "All entries at once. Capitals stand for whole arrays, ",
        Symbolic(operator("⊙")),
        " multiplies entry by entry, functions act on every entry, and a bold 1 is a column of ones, which adds up or "
        "repeats. In a product of matrices the sizes that meet agree, and arrays that are added or multiplied entry "
        "by entry have one shape.",
    )
    head = ("Array", "Its shape, from the shapes of what it is computed from")
    table = Table(head, tuple(dict.fromkeys(rows)), shares=(0.2, 0.72))
    return (Section("For a whole batch", (Paragraph(intro), Display(tuple(lines)), table)),)


def _shapes(about: Context, left: Expr, right: Expr) -> list[tuple[Text, Text]]:
    """A row of the table of shapes: Δ2 | (m × s_3)(s_3 × s_2) ⊙ (m × s_2) = m × s_2."""
    form = matrix_form(right, left.indices) if isinstance(left, Entry) else None
    if form is None or not isinstance(left, Entry):
        return []
    shape = shape_layout(left.tensor, about.notation)
    parts = shapes_of(form, about.notation)
    alone = isinstance(parts, Fence)
    shown: Text = (Symbolic(shape if alone else row(parts, relation("="), shape)),)
    widths = _in_numbers(about, left.tensor)
    return [((Symbolic(matrix_name(left.tensor, about.notation)),), (*shown, *widths))]


def _in_numbers(about: Context, tensor: Tensor) -> Text:
    """The shape with the widths of this network, where they are numbers."""
    network = about.proof.network
    known = {x.size: number(x.width) for x in network.layers if isinstance(x.width, int)} if network else {}
    if not any(n in known for n in tensor.shape):
        return ()
    sizes = tuple(known.get(n, n) if isinstance(n, Symbol) else n for n in tensor.shape)
    return (", here ", Symbolic(shape_layout(Tensor("shape", sizes), about.notation)))


NAMES_IN_CODE = {
    "DTYPE": "is the number type of all arrays.",
    "top": "is the largest exponent of each row: with it subtracted no exponential overflows.",
    "total": "is the sum over the output units of $e^{z - t}$, where $t$ is the largest pre-activation.",
    "tail": "of $z$ is $\\log(1 + e^{-|z|})$, in which nothing can overflow; with $\\max(z, 0)$ added it is softplus.",
}


RESERVED = ", whose name generated modules keep for themselves."


def listing(about: Context, code: Mapping[Tensor, str]) -> tuple[Block, ...]:
    """The generated lines beside the equations they compute."""
    forms: dict[Tensor, list[tuple[Entry, Expr]]] = {}
    for left, right in (sides(g[0]) for g in about.groups if not is_about_computed(g[0])):
        if isinstance(left, Entry):
            forms.setdefault(left.tensor, []).append((left, right))
    lines: list[tuple[DisplayedEquality | Symbolic, Text]] = [
        (DisplayedEquality(*_computed(about, found)), (Code(code[tensor]),))
        for tensor, found in forms.items()
        if tensor in code
    ]
    if not lines:
        return ()
    intro = (
        "The generated NumPy lines, each beside the equality that it computes, one for all layers that go in the same "
        "way; the forward pass comes before them."
    )
    text = " ".join(code[tensor] for tensor in forms if tensor in code)
    called = {name: what for name, what in NAMES_IN_CODE.items() if re.search(rf"\b{name}\b", text)}
    named: list[Text] = [(Code(name), " ", *about.words(what)) for name, what in called.items()]
    reserved = [t for t in about.tensors if re.search(rf"\b{re.escape(t.name)}_\b", text)]
    named += [(Code(f"{t.name}_"), " is ", Symbolic(about.name(t)), RESERVED) for t in reserved]
    body: list[Block] = [Paragraph((intro,)), *([Items(tuple(named))] if named else []), Display(tuple(lines))]
    network = about.proof.network
    module = loop_module(about.proof, about.equations) if network is not None and network.depth is not None else ""
    if module:
        whole = "Put together for any number of layers; the error terms travel backwards in the second loop."
        body += [Paragraph((whole,)), Listing(module)]
    return (Section("The same equations as code", tuple(body)),)


def _computed(about: Context, forms: Sequence[tuple[Entry, Expr]]) -> tuple[Entry, Expr]:
    """Of several forms of a gradient the one that the code computes."""
    gradient = about.proof.gradient
    equation = gradient.adjoint.by_tensor.get(forms[0][0].tensor) if gradient is not None else None
    written = (equation.value, factored(equation.value)) if equation is not None else ()
    texts = [to_text(e) for e in written]  # two sums are never the same node
    return next((form for form in forms if to_text(form[1]) in texts), forms[-1])


def questions(about: Context) -> tuple[Block, ...]:
    """The questions that this proof may raise, answered."""
    proof = about.proof
    if not isinstance(proof, ProvedNetwork) or proof.network is None:
        return ()
    asked = answers(NetworkFacts(proof, proof.network))
    points = tuple((Strong(q.ask + " "), *about.words(q.answer)) for q in asked)
    return (Section("Questions a reader may have", (Items(points),)),) if points else ()


def conditions(about: Context) -> tuple[Block, ...]:
    """Where the equalities hold, and what is agreed at kinks."""
    found = [*about.proof.program.conditions, *about.proof.conditions]
    for theorem in about.proof.theorems:
        found += [*theorem.conditions, *theorem.derivation.conditions]
    if any("in every layer" in c for c in found):  # it says what the theorems say one by one
        found = [c.replace("W[", "W_l[") for c in found if not re.match(r"W\w+\[", c)]
    if about.proof.network is not None and about.notation.layered:
        found = [c for c in found if c != "z != 0"]  # of a lemma about a function, which says so itself
    points = [about.words(sentence(c)) for c in dict.fromkeys(found)]
    network = about.proof.network
    points += [] if network is not None else list(_demands(about))
    if network is not None:
        points += [
            _kink(f, about.notation)
            for f in dict.fromkeys(x.function for x in network.layers)
            if f is not None and f.kinks
        ]
    if not points:
        return ()
    return (Section("Conditions", (Paragraph(("The equalities hold wherever:",)), Items(tuple(points)))),)


def _demands(about: Context) -> Iterator[Text]:
    """Divisors, roots and logarithms of the forward equations that need a condition to have a derivative."""
    asked: dict[tuple[Expr, str], None] = {}
    for node in (n for e in about.proof.program.equations for n in nodes_once(e.value)):
        match node:
            case Power(base, Number(value)) if tensors_in(base) and (value < 0 or value.denominator > 1):
                asked[base, ">" if value.denominator > 1 else "≠"] = None
            case Apply(function, (argument,)) if function is LOG and tensors_in(argument):
                asked[argument, ">"] = None
    for expr, wanted in asked:
        if not _is_positive(expr, about.proof.program):
            yield (Symbolic(row(layout_of(expr, about.notation), relation(wanted), Glyph("0", "number"))), ".")
    if about.proof.gradient is not None:
        yield from _kinks(about)


def _kinks(about: Context) -> Iterator[Text]:
    """Where the forward equations go over from one branch to another: there they need not have a derivative."""
    nodes = dict.fromkeys(n for e in about.proof.program.equations for n in nodes_once(e.value))
    told: dict[Text, None] = {}
    for node in nodes:
        shown = Symbolic(layout_of(node, about.notation))
        match node:
            case Compare(_, left, right) if _moves(left) or _moves(right):
                sides_ = (layout_of(side, about.notation) for side in (left, right))
                told[Symbolic(row(next(sides_), relation("≠"), next(sides_))), "."] = None
            case Extremum(_, _, body) if _moves(body):
                told[shown, " is attained at one place only."] = None
            case Apply(function, (argument,)) if function.kinks and _moves(argument):
                told[Symbolic(layout_of(argument, about.notation)), f" is at no kink of {function.name}."] = None
    yield from told


def _moves(expr: Expr) -> bool:
    """Whether real numbers stand in it, which may come to lie at a kink."""
    return any(t.kind == "real" for t in tensors_in(expr))


def _is_positive(expr: Expr, program: Program) -> bool:
    """Whether it is plainly above 0, once the program's equations are put in as they stand."""
    return _least(written_out(program, expr)) is True


def _least(expr: Expr) -> bool | None:
    """True for what is above 0 by its form, False for what is at least 0, None for all else."""
    match expr:
        case Number(value):
            return value > 0 if value >= 0 else None
        case Symbol(_, kind):
            return True if kind != "real" else None
        case Add(terms) if len(terms) == 2 and ONE in terms and _is_below_1(negate(add(*terms, number(-1)))):
            return True
        case Add(terms):
            signs = [_least(t) for t in terms]
            return None if None in signs else any(signs)
        case Multiply(factors):
            signs = [_least(f) for f in factors]
            return None if None in signs else all(signs)
        case Power(base, Number(value)):
            sign = _least(base)
            even = value.denominator == 1 and value.numerator % 2 == 0
            return sign if sign is not None else False if even else None
        case Sum(index, body):  # an axis has at least one entry; a range such as N - 1 may be empty
            sign = _least(body)
            return sign if isinstance(index.size, Symbol) or sign is None else False
        case Apply(function, _):
            return {"exp": True, "sigmoid": True, "softplus": True, "abs": False}.get(function.name)
        case Kronecker() | Compare():
            return False
        case Where(_, then, otherwise):
            signs = [_least(then), _least(otherwise)]
            return None if None in signs else all(signs)
    return None


def _is_below_1(expr: Expr) -> bool:
    """True for a value of sigmoid, also as 1/(1 + u) with u above 0."""
    match expr:
        case Apply(function, _):
            return function.name == "sigmoid"
        case Power(Add(terms), Number(value)) if value == -1 and ONE in terms:
            return _least(add(*(t for t in terms if t is not ONE))) is True
    return False


def checked(
    about: Context, command: str, checks: Sequence[str], told: Sequence[Block] = (), *, brief: bool = False
) -> tuple[Block, ...]:
    """How many lines the document has, what replayed them, what else was tried, and how to do it again.

    Args:
        told: the derivations as they stand in the document.
    """
    chains = [b for b in blocks(tuple(told)) if isinstance(b, Chain)]
    lines = sum(len(c.lines) for c in chains)
    count = f"{_count(lines, 'line')} with a reason, in {_count(len(chains), 'derivation')}"
    if brief:
        again: Text = (" To run it again: ", Code(command.split("\n")[-1])) if command else ()
        return (Paragraph((f"Checked: {count}, each replayed by a program that knows only the rules.", *again)),)
    likewise = len(about.proof.theorems) - len(about.groups)
    text = (
        f"This document has {count}"
        + (f"; {_count(likewise, 'further equality')} for other layers went through the same steps" if likewise else "")
        + ". A small program, which knows the rules but not how the derivations were found, replayed each step: "
        "it put in what the named rule allows and then reduced both sides to one normal form, for all sizes."
    )
    body: list[Block] = [Paragraph((text,))]
    if checks:
        body.append(Items(tuple(about.words(c) for c in checks)))
    if command:
        body += [
            Paragraph(("To run all of this again:",)),
            Listing(command, "sh" if command.startswith("symbackprop ") else "python"),
        ]
    return (Section("What was checked", tuple(body)),)


def _count(number: int, noun: str) -> str:
    """1 step, 2 steps."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _kink(function: Function, notation: Notation) -> Text:
    return (
        Symbolic(function_layout(function, notation)),
        " has a kink: there the slope is taken to be the one of the branch that its definition uses at that point, "
        "and the equalities are claimed away from it.",
    )
