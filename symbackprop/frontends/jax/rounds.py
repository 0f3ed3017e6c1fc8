"""The rounds of jax.lax.scan as plain Python: rebuilt like a user's own loop, they run over any number of steps.

The code of `one_by_one` is rewritten as a user's is; it must stay as plain as it is. A loop knows states and lists by
their names, so there are so many of each and no more.
"""

from __future__ import annotations

from typing import Any

MOST_LEAVES = 4  # arrays in a carry, and in what a step gives


def one_by_one(f: Any, a: Any, b: Any, c: Any, d: Any, steps: Any, whole: Any, leaf: Any, item: Any) -> Any:
    """Run `f` once for each step, first to last: the carry's leaves after the last, and what the steps give.

    Args:
        a, b, c, d: the leaves of the carry; numbers where it has fewer.
        whole: the carry of such leaves.
        leaf: one leaf of a carry, or of what a step gives, by its number; a number where there is none.
        item: what a step is handed, by its number.
    """
    p: list[Any] = []
    q: list[Any] = []
    r: list[Any] = []
    s: list[Any] = []
    for k in range(steps):
        carry, out = f(whole(a, b, c, d), item(k))
        a = leaf(carry, 0)
        b = leaf(carry, 1)
        c = leaf(carry, 2)
        d = leaf(carry, 3)
        p.append(leaf(out, 0))
        q.append(leaf(out, 1))
        r.append(leaf(out, 2))
        s.append(leaf(out, 3))
    return (a, b, c, d), (p, q, r, s)


one_by_one.__module__ = "jax_rounds"  # to be rebuilt, as what is not the library's own is
