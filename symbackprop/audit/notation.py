r"""The conventions of a document, in words, each with the line it was read from; and a user's word against them.

    {"w": "leads from layer l-1 to layer l; the first index receives (line 7)"}

Main names: `profile` (what was read), `override` (`--notation rows=yes`).
"""

from __future__ import annotations

from collections.abc import Mapping

from symbackprop.audit.definitions import Definition, Environment
from symbackprop.audit.extraction import Document
from symbackprop.audit.names import Mention
from symbackprop.audit.scope import Facts, Reading
from symbackprop.audit.tree import Big, Fraction, Node, Number, Scripts, Symbol, walk
from symbackprop.errors import MalformedError
from symbackprop.expression.functions import FUNCTIONS

CHOICES = ("rows", "columns", "elementwise", "einstein")
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


def profile(document: Document, env: Environment, facts: Facts, reading: Reading) -> dict[str, str]:
    """What letters and marks mean, as far as the document says or shows it."""
    found: dict[str, str] = {}
    for family, known in env.definitions.items():
        for d in known:
            found |= _weights(document, env, facts, d)
            if family in env.costs and not d.slope:
                words = _mean(env, d.right) if not d.head.mention.components else ""
                if words:
                    found.setdefault(family, words + _line(document, d))
            if d.slope:
                found.setdefault(family, "the name of a derivative" + _line(document, d))
    for family, definition in env.functions.items():
        if definition is not None:
            found[family] = "a function, entry by entry" + _line(document, definition)
        elif family in facts.named_functions:
            found[family] = f"the function {facts.named_functions[family].name}, as the text says"
        else:
            found[family] = "an arbitrary differentiable function"
    marked = sorted(env.habits.sampled & facts.per_sample)
    if marked:
        found["superscripts in brackets"] = f"count examples on {', '.join(marked)}"
    for family in sorted(facts.ones):
        found[f"{family}_0"] = "1, the unit of the bias"
    if reading.rows:
        found["vectors"] = "rows, as data stand before weights"
    if reading.elementwise:
        found["vectors side by side"] = "are multiplied entry by entry"
    if facts.columns:
        found["examples"] = "columns of matrices"
    for family, stack in sorted(facts.stacks.items()):
        found[family] = f"the matrix whose rows are the {stack} of all examples"
    return found


def _line(document: Document, d: Definition) -> str:
    return f" (line {document.formulas[d.place[0]].line})" if d.place[0] >= 0 else ""


def _weights(document: Document, env: Environment, facts: Facts, d: Definition) -> dict[str, str]:
    """From which layer to which weights lead, and which of their indices receives."""
    layer = d.layer
    if d.slope or layer is None:
        return {}
    mentions = [m for n in walk(d.right) if isinstance(n, Scripts) and (m := env.names.mention(n)) is not None]
    weights = next((m for m in mentions if facts.ranks.get(m.family) == 2 and m.layer is not None), None)
    sent = next((m for m in mentions if facts.ranks.get(m.family) == 1 and env.definitions.get(m.family)), None)
    if weights is None or sent is None or sent.layer is None:
        return {}
    words = f"^({weights.layer}) leads from layer {sent.layer} to layer {layer}"
    return {weights.family: weights.family + words + _receiver(d, weights) + _line(document, d)}


def _receiver(d: Definition, weights: Mention) -> str:
    mine = {c.name for c in d.head.mention.components if isinstance(c, Symbol)}
    if len(weights.components) != 2 or not mine:
        return ""
    first, second = (isinstance(c, Symbol) and c.name in mine for c in weights.components)
    return "; the first index receives" if first else "; the second index receives" if second else ""


def _mean(env: Environment, right: Node) -> str:
    """Whether a cost is a mean over examples."""
    for node in walk(right):
        match node:
            case Fraction(_, bottom):
                if any(isinstance(n, Symbol) and n.name in env.bounds for n in walk(bottom)):
                    return "a mean"
    if any(isinstance(n, Big) for n in walk(right)):
        return "a sum"
    return "of one example" if not isinstance(right, Number) else ""


def override(choices: Mapping[str, str], facts: Facts, reading: Reading) -> None:
    """Take a user's word for a convention.

    Args:
        choices: rows=yes (vectors are rows), columns=yes (examples are columns of matrices), elementwise=yes (vectors
            side by side are multiplied entry by entry), einstein=yes (repeated indices are summed over), and the name
            of a function for a letter: sigma=tanh.

    Raises:
        MalformedError: a choice that is not known.
    """
    for name, value in choices.items():
        if name in CHOICES:
            if value.lower() not in YES + NO:
                raise MalformedError(f"{name} is yes or no, not {value!r}", help=f"--notation {name}=yes")
            chosen = value.lower() in YES
            if name == "columns":
                facts.columns, facts.along = chosen, 0 if chosen else -1
            elif name != "einstein":  # that counts before anything else is read: see `repeated_indices`
                setattr(reading, name, chosen)
        elif value in FUNCTIONS:
            facts.named_functions[name] = FUNCTIONS[value]
        else:
            raise MalformedError(
                f"the notation {name}={value} is not known",
                evidence=[f"conventions:  {', '.join(CHOICES)}", f"functions:    {', '.join(sorted(FUNCTIONS))}"],
                help="--notation rows=yes, or --notation sigma=sigmoid",
            )


def stated(front_matter: str) -> dict[str, str]:
    """The conventions of a front-matter block: the lines of its part `notation:`, name: value."""
    found: dict[str, str] = {}
    inside = False
    for line in front_matter.splitlines():
        if not line.startswith((" ", "\t")):
            inside = line.strip() == "notation:"
        elif inside and ":" in line:
            name, _, value = line.partition(":")
            found[name.strip()] = value.strip().strip("\"'")
    return found
