"""Lines in which an index stands on an axis of another size: two indices swapped, a tensor of another layer.

Code with such a fault does not run, unless the sizes happen to agree; a formula with it can be written down.
"""

from __future__ import annotations

from collections.abc import Iterator

from symbackprop.checking.diagnosis.node_slips import both, stands
from symbackprop.checking.diagnosis.vocabulary import Change, Vocabulary, value_nodes
from symbackprop.expression.build import Entry, Expr, Index, Sum, children, entries, fresh, rewrite, substitute
from symbackprop.expression.program import Equation


def fits(expr: Expr, v: Vocabulary) -> bool:
    """True if every plain index stands on an axis of its own size, where it has to."""
    return not v.whole_axes or _fits(expr)


def _fits(expr: Expr) -> bool:
    if isinstance(expr, Entry) and any(
        isinstance(i, Index) and i.size is not s for i, s in zip(expr.indices, expr.tensor.shape, strict=False)
    ):
        return False
    return all(_fits(c) for c in children(expr))


def resized(expr: Expr) -> Expr:
    """Each sum over the axis at which its index stands now, where all its places agree."""

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Sum):
            return None
        places = [p for e in entries(node.body) for p in zip(e.indices, e.tensor.shape, strict=True)]
        sizes = {size for i, size in places if i is node.index}
        size = sizes.pop() if len(sizes) == 1 else node.index.size
        if size is node.index.size:
            return Sum(node.index, resized(node.body))
        index = fresh(node.index.name, size)
        return Sum(index, resized(substitute(node.body, {node.index: index})))

    return rewrite(expr, visit)


def misplaced(line: Equation, v: Vocabulary) -> Iterator[tuple[Expr, Change]]:
    """Two indices of one tensor swapped, or another tensor with as many axes, in a line that does not fit."""
    for node in value_nodes(line.value) if not fits(line.value, v) else ():
        if not isinstance(node, Entry) or node.tensor.kind != "real":
            continue
        own = node.tensor
        if len(node.indices) == 2 and node.indices[0] is not node.indices[1]:
            words = both(f"two indices of {v.called(own)} are swapped")
            yield node, (("swapped", 0, 1), words, Entry(own, node.indices[::-1]))
        for other in v.before(line.tensor):
            if other is not own and len(other.shape) == len(own.shape):
                words = stands(v.called(other), v.called(own))
                yield node, (("other", v.label(other)), words, Entry(other, node.indices))


__all__ = ["fits", "misplaced", "resized"]
