"""Plain calls in Python, f(params, X, Y, lam=...) of a network, for arrays as of a call before.

Where there are few numbers the work takes less time than a few lines of Python, so these lines are printed for the
function at hand, each name and each array in its place: no loop, no list that could be a variable. What they give is
None wherever an argument is not what they expect; then it is looked at again by what knows how to say what is wrong.
Main name: `quick_call`. For kernels in C there is `codegen.c.calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# What takes the arguments of a call at which nobody has looked, and gives None if they are not like those before.
Quick = Callable[[Any, Any, Any, Mapping[str, Any]], "tuple[float, Any] | None"]


def quick_call(
    parameters: Sequence[str], hyper: Sequence[str], lines: Sequence[str], known: Mapping[str, object]
) -> Quick:
    """The function that ends in `lines`, which may use `known` and the names of the arrays.

    Args:
        parameters: their names; in the lines they are `variables(...)`, after X and Y.
        hyper: names of numbers, which are `n0`, `n1`, ... in the lines, all of them floats.
    """
    arrays, numbers = variables(parameters), number_names(hyper)
    text = [
        "def quick(params, X, Y, hyper):",
        f"    if type(params) is not dict or len(params) != {len(parameters)} or len(hyper) != {len(hyper)}:",
        "        return None",
        "    try:",
        *(f"        {v} = params[{name!r}]" for v, name in zip(arrays, parameters, strict=True)),
        *(f"        {v} = hyper[{name!r}]" for v, name in zip(numbers, hyper, strict=True)),
        "    except KeyError:",
        "        return None",
        *(f"    if type({v}) is not float:\n        return None" for v in numbers),
        *(f"    {line}" for line in lines),
    ]
    names: dict[str, Any] = dict(known)
    exec(compile("\n".join(text) + "\n", "<a plain call by symbackprop>", "exec"), names)
    made: Quick = names["quick"]
    return made


def number_names(hyper: Sequence[str]) -> list[str]:
    """The names of the numbers in the lines of a call."""
    return [f"n{k}" for k in range(len(hyper))]


def variables(parameters: Sequence[str]) -> list[str]:
    """The names of the arrays of parameters in the lines of a call."""
    return [f"p{k}" for k in range(len(parameters))]
