"""Why a line of a backward pass follows from the last, said about the very equation that is differentiated.

Which rule of calculus was used, why a sum over an index stays (an entry that every row reads collects from every row),
why another collapses to one term. Main name: `reason_of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.document.context import Context, joined
from symbackprop.document.model import Inline, Symbolic, Text
from symbackprop.expression.build import (
    ONE,
    Apply,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Tensor,
    Where,
    free_indices,
    nodes_once,
    number,
    tensors_in,
)
from symbackprop.expression.program import Equation
from symbackprop.rendering.layout import Layout
from symbackprop.rendering.notation import letter

TWO, HALF = number(2), number(Fraction(1, 2))
_SLOPES = {
    number(2): "the square brings down a 2",
    number(-1): "the derivative of $1/u$ is $-1/u^2$",
}
_OF_FUNCTIONS = {
    "exp": "the exponential is its own derivative",
    "log": "the derivative of $\\log u$ is $1/u$",
}


PLAIN = {
    "derivative": "Differentiate the equation; every entry other than the one asked for counts as a constant.",
    "definition": "The equation is written out; a derivative that has a name is called by it.",
    "contract_delta": "Only the terms in which the indices agree survive.",
}


def reason_of(step: Step, derivation: Derivation, about: Context, *, first: bool) -> Text:
    """The reason of a step, about the tensor whose derivative is worked out; the step's own where nothing is added.

    Args:
        first: it is the first derivation of the document, so that what all have in common is said.
    """
    tensor = derivation.definitions.get(derivation.left.tensor) if isinstance(derivation.left, Entry) else None
    if tensor is None:
        return about.words(step.reason)
    users = [e for e in derivation.program.equations if tensor in tensors_in(e.value)]
    plain = PLAIN.get(step.rule, "")
    if plain and step.reason != plain:  # it has more to say than that the rule was applied
        return about.words(step.reason)
    match step.rule:
        case "chain_rule" if not about.notation.layered:
            return _chain(tensor, users, about)
        case "definition":
            return _written_out(tensor, users, derivation, about)
        case "derivative":
            return _calculus(tensor, users, about, first=first and _has_bracket(step.after))
        case "contract_delta":
            return (*_reductions(tensor, users, about), *_products(step))
    return about.words(step.reason)


def _chain(tensor: Tensor, users: Sequence[Equation], about: Context) -> Text:
    names = joined([Symbolic(about.name(e.tensor)) for e in users], " and ")
    several = "equations" if len(users) > 1 else "equation"
    return (Symbolic(about.name(tensor)), f" occurs in the {several} of ", *names, " and nowhere else.")


def _written_out(tensor: Tensor, users: Sequence[Equation], derivation: Derivation, about: Context) -> Text:
    """Whose equation is put in, what is left out of it, and which derivatives are called by their names."""
    names = joined([Symbolic(about.name(e.tensor)) for e in users], " and ")
    text: list[Inline] = [f"The equation{'s' if len(users) > 1 else ''} of ", *names, " written out"]
    shortened = [e for e in users if any(tensor not in tensors_in(t) for t in getattr(e.value, "terms", ()))]
    if shortened:
        text += [", without the terms that do not contain ", Symbolic(about.name(tensor)), ": their derivative is 0"]
    bars = {t: bar for bar, t in derivation.definitions.items()}
    called = [e.tensor for e in users if e.tensor in bars and bars[e.tensor].name.startswith("delta")]
    if called:
        shown = [p for t in called for p in (Symbolic(about.name(bars[t])), Symbolic(about.name(t)))]
        text += ["; ", shown[0], " is the derivative by ", shown[1]]
    return (*text, ".")


def _has_bracket(expr: Expr) -> bool:
    return any(isinstance(node, Kronecker) for node in nodes_once(expr))


def _calculus(tensor: Tensor, users: Sequence[Equation], about: Context, *, first: bool) -> Text:
    """The rules of calculus that the equations ask for."""
    also = about.words(" A bracket says which entry is meant.") if first else ()
    found = list(dict.fromkeys(word for e in users for word in _slopes(e.value, tensor)))
    name = Symbolic(about.name(tensor))
    if found:
        told = "; ".join(found)
        return (*about.words(f"{told[0].upper()}{told[1:]}."), *also)
    if all(_stands_alone(e.value, tensor) for e in users):
        return (name, " is a term of its own, with slope 1.", *also)
    return ("The equation is linear in ", name, ": what stands beside it remains.", *also)


def _slopes(expr: Expr, tensor: Tensor) -> Iterator[str]:
    for node in nodes_once(expr):
        if tensor not in tensors_in(node):
            continue
        match node:
            case Power(base, Number() as exponent) if tensor in tensors_in(base):
                yield _SLOPES.get(exponent) or _of_power(exponent)
            case Apply(function, _):
                yield _OF_FUNCTIONS.get(function.name, "the slope of a function is taken at its argument")
            case Extremum(kind, _, _):
                largest = "largest" if kind == "max" else "smallest"
                yield f"a {kind}imum moves only with the entry that is the {largest}"
            case Where():
                yield "the branch that the condition picks is differentiated"


def _of_power(exponent: Number) -> str:
    if exponent.value == number(1).value / 2:
        return "the derivative of $\\sqrt{u}$ is $1/(2\\sqrt{u})$"
    return "a power brings down its exponent"


def _stands_alone(expr: Expr, tensor: Tensor) -> bool:
    """True if the tensor is a term with no factor beside it."""
    terms = getattr(expr, "terms", (expr,))
    return any(isinstance(t, Entry) and t.tensor is tensor for t in terms)


def _reductions(tensor: Tensor, users: Sequence[Equation], about: Context) -> Text:
    """Which sums stay, and why: over those indices that say nothing about which entry is read."""
    told: list[Text] = []
    for equation in users:
        read = [e for e in nodes_once(equation.value) if isinstance(e, Entry) and e.tensor is tensor]
        places = frozenset().union(*(free_indices(i) for e in read for i in e.indices))
        free = [i for i in equation.indices if i not in places and i.size is not ONE]
        here, name = Symbolic(about.name(equation.tensor)), Symbolic(about.name(tensor))
        inner = [s for s in nodes_once(equation.value) if isinstance(s, Sum) and s.index in places]
        if any(not isinstance(i, Index | Number) for e in read for i in e.indices):
            told.append(
                (
                    "each entry of ",
                    here,
                    " reads ",
                    name,
                    " at a place that is computed: the bracket that says which stays",
                )
            )
        elif free:
            every, over = _readers(free, about)
            kept = (", so the sum over ", *over, " stays: what comes back from all of them is added")
            told.append((*every, " of ", here, " reads the same entry of ", name, *kept))
        elif len({e.indices for e in read}) > 1:
            told.append(
                (here, " reads ", name, " in several places: in each the term in which the indices agree survives")
            )
        elif inner and not equation.indices:
            told.append(("each entry of ", name, " stands in one term of the sum in ", here, ", so one term survives"))
        elif inner:
            told.append(("each entry of ", name, " goes into one sum of ", here, " and gets back the derivative by it"))
        else:
            told.append(("one entry of ", name, " goes into one of ", here, ", so one term survives"))
    if not told:
        return about.words("Only the terms in which the indices agree survive.")
    out: list[Inline] = []
    for k, text in enumerate(told):
        out += ["; ", *text] if k else list(text)
    if isinstance(out[0], str):
        out[0] = out[0][0].upper() + out[0][1:]
    return (*out, ".")


def _products(step: Step) -> Text:
    """That numbers cancel, where a 2 and a half are left on the line before and neither on this one."""
    before, after = (_numbers_of(side) for side in (step.before, step.after))
    return (" The 2 and the ½ cancel.",) if {TWO, HALF} <= before and not {TWO, HALF} & after else ()


def _numbers_of(expr: Expr) -> set[Expr]:
    """The numbers that stand as factors, not as exponents."""
    return {f for n in nodes_once(expr) if isinstance(n, Multiply) for f in n.factors if isinstance(f, Number)}


def _readers(free: Sequence[Index], about: Context) -> tuple[Text, Text]:
    """Who reads an entry, and what is summed over: letters, or in a network examples and units."""
    if about.notation.layered:
        kinds = ["example" if i.name == "n" else "unit" for i in free]
        return (f"every {' and '.join(kinds)}",), (" and ".join(f"the {k}s" for k in kinds),)
    over = joined([Symbolic(_shown(i, about)) for i in free], " and ")
    return ("every ", *over), over


def _shown(index: Index, about: Context) -> Layout:
    return letter(about.notation.rename.get(index.name, index.name))
