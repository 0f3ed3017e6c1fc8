"""Where the derivatives of a forward pass exist, as propositions of Coq, as far as they do not exist everywhere.

What is seen here to hold by itself, the tactics `positive` and `not_negative` of the theory see too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symbackprop.certificate.check_proof import Node
from symbackprop.certificate.coq_terms import ONE, Terms

Demand = tuple[tuple[str, ...], tuple[Node, ...], str]  # indices, their sizes, what must hold


def conditions(terms: Terms, spare: tuple[str, ...]) -> list[str]:
    """Propositions about the inputs: what was assumed of them, and where each equation has a derivative.

    Args:
        spare: names of indices for the entries of inputs.
    """
    found = dict[str, None]()
    for name in (n for n in terms.number if n in terms.said.inputs):
        kind, shape = terms.said.inputs[name]
        entry = terms.real(("entry", name, *(("entry", i) for i in spare[: len(shape)])), frozenset(spare), 1)
        for text in {"positive": [f"0 < {entry}"], "prob": [f"0 < {entry}", f"0 < 1 - {entry}"]}.get(kind, []):
            found[everywhere(terms, spare, shape, text)] = None
    for line in terms.said.forward.values():
        if line.name in terms.number:
            for names, sizes, text in demands(terms, line.value, line.indices, line.sizes):
                found[everywhere(terms, names, sizes, text)] = None
    return list(found)


def everywhere(terms: Terms, indices: Iterable[str], sizes: Iterable[Node], text: str) -> str:
    """A proposition for all values of the indices."""
    for i, size in reversed(list(zip(indices, sizes, strict=False))):
        text = f"forall {terms.names[i]}, (0 <= {terms.names[i]} < {terms.integer(size)})%Z -> {text}"
    return text


def demands(terms: Terms, n: Node, indices: tuple[str, ...], sizes: tuple[Node, ...]) -> Iterator[Demand]:
    """What must hold for an expression to have a derivative, as far as it does not hold by itself."""
    word, parts = n[0], n[1:]
    if not terms.moves(n):
        return
    if word == "sum":
        yield from demands(terms, parts[2], (*indices, parts[0]), (*sizes, parts[1]))
        return
    if word == "if":
        for branch, value in ((parts[1], "true"), (parts[2], "false")):
            for names, lengths, text in demands(terms, branch, indices, sizes):
                yield names, lengths, f"{terms.test(parts[0])} = {value} -> {text}"
        return
    how, of = demand(n)
    if how and terms.moves(of) and not positive(terms, of):
        yield indices, sizes, how.format(terms.real(of, frozenset(indices), 1))
    for p in parts:
        if isinstance(p, tuple):
            yield from demands(terms, p, indices, sizes)


def demand(n: Node) -> tuple[str, Node]:
    """What a node asks of its argument, and the argument."""
    match n:
        case ("call", "log", of):
            return "0 < {}", of
        case ("call", "step", of) | ("/", _, of):
            return "{} <> 0", of
        case ("**", of, e) if e.denominator > 1:
            return "0 < {}", of
        case ("**", of, e) if e < 0:
            return "{} <> 0", of
    return "", n


def positive(terms: Terms, n: Node) -> bool:
    """Whether an expression is seen to be positive."""
    word, parts, said = n[0], n[1:], terms.said
    match word:
        case "number":
            return bool(parts[0] > 0)
        case "entry" if parts[0] in said.forward:
            return positive(terms, said.forward[parts[0]].value)
        case "entry":
            kind = said.inputs.get(parts[0], ("",))[0]
            return kind in ("positive", "prob") or parts[0] in said.sizes or parts[0] == "pi"
        case "call":
            return parts[0] in ("exp", "sigmoid")
        case "sum":
            return positive(terms, parts[2])
        case "*" | "/":
            return all(positive(terms, p) for p in parts)
        case "**":
            return positive(terms, parts[0])
        case "+":
            less = [p[1] for p in parts if p[0] == "neg"]
            if len(parts) == 2 and less and ONE in parts:
                return below_one(terms, less[0])
            return any(positive(terms, p) for p in parts) and all(not_negative(terms, p) for p in parts)
    return False


def below_one(terms: Terms, n: Node) -> bool:
    """Whether an expression is seen to be a probability."""
    if n[0] == "entry" and n[1] in terms.said.forward:
        return below_one(terms, terms.said.forward[n[1]].value)
    if n[0] == "/" and n[1] == ONE and n[2][0] == "+" and ONE in n[2] and len(n[2]) == 3:
        return all(positive(terms, p) for p in n[2][1:])
    return n[:2] == ("call", "sigmoid") or (n[0] == "entry" and terms.said.inputs.get(n[1], ("",))[0] == "prob")


def not_negative(terms: Terms, n: Node) -> bool:
    """Whether an expression is seen not to be negative."""
    word, parts = n[0], n[1:]
    if word == "entry" and parts[0] in terms.said.forward:
        return not_negative(terms, terms.said.forward[parts[0]].value)
    if word == "**" and parts[1] == 2:
        return True
    if word in ("+", "*"):
        return all(not_negative(terms, p) for p in parts)
    if word == "/":
        return not_negative(terms, parts[0]) and positive(terms, parts[1])
    return not_negative(terms, parts[2]) if word == "sum" else positive(terms, n)
