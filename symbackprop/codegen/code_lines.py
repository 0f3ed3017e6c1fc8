"""The lines of a generated module beside the equations that they compute.

A generated function has each equation as a comment over the statements for it; this reads them back. Main name:
`code_lines`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from symbackprop.expression.build import Tensor

_COMMENT = re.compile(r" +# (\w+)(?:\[[^\]]*\])? = ")
_NO_STATEMENT = re.compile(r" +(return|for .*:$|\w+ = np\.empty\()|.*\.shape\[")


def code_lines(source: str, tensors: Iterable[Tensor]) -> Mapping[Tensor, str]:
    """For each tensor the statements of the first function that compute it.

    Args:
        source: a module with comments such as `# delta2[n,i] = ...` over the lines that implement them.

    Example:
        >>> t = Tensor("y", ())
        >>> code_lines("def f(x):\\n    # y = 2*x\\n    y = 2 * x\\n    return y\\n", [t])[t]
        'y = 2 * x'
    """
    known = {t.name: t for t in tensors}
    body = re.split(r"\n(?=def )", source[source.index("\ndef ") if "\ndef " in source else 0 :])
    found: dict[Tensor, str] = {}
    for function in body:
        found = {**_of_function(function, known), **found}
    return found


def _of_function(text: str, known: Mapping[str, Tensor]) -> dict[Tensor, str]:
    found: dict[Tensor, str] = {}
    shared: dict[str, str] = {}  # what is computed on the way, and may be used again further down
    name, pending = "", list[str]()
    text = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)  # a docstring computes nothing
    lines = text.split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        comment = _COMMENT.match(line)
        if comment:
            name = comment[1]
        elif re.match(r" +\w", line) and not _NO_STATEMENT.match(line):
            pending.append(line.strip())
            ends = line.startswith("     ") and (_COMMENT.match(following) or not following.startswith("     "))
            if name and (ends or re.match(rf" +{name}_?(\[.*?\])? = ", line)):
                if name in known:
                    found[known[name]] = "; ".join(_with_shared(pending, shared))
                shared |= {s.partition(" = ")[0]: s for s in pending[:-1]}
                name, pending = "", []
    return found


def _with_shared(statements: Sequence[str], shared: Mapping[str, str]) -> list[str]:
    """The statements, led by those for the shared values that they read."""
    out = list(statements)
    for name, statement in reversed(list(shared.items())):
        if statement not in out and any(re.search(rf"\b{re.escape(name)}\b", s) for s in out):
            out.insert(0, statement)
    return out
