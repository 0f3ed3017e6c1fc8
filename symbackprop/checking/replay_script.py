"""A counterexample in files: all of its arrays, and a script beside them that replays it under NumPy alone.

The script imports the user's two functions from their file, where they can be imported; else it says how to hand them
to it. It compares what the backward pass returns with the expected gradients, and with a difference quotient of the
forward pass, so that nobody need trust this package.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from symbackprop.errors import DataError, UnsupportedError
from symbackprop.files import write_arrays, write_file

FIRST_LINE = "# A counterexample to a backward pass, replayed under NumPy alone. Written by symbackprop.\n"
PLAIN = (bool, int, float, str, type(None))  # values of fixed arguments that a script can write down


@dataclass(frozen=True)
class Passes:
    """How the user's two functions are run again.

    Args:
        file: where both can be imported from; "" where they cannot.
        forward, backward: their names there.
        roles: which arguments of the backward are the upstream gradient and the cache.
        fixed: values of further arguments.
    """

    file: str = ""
    forward: str = ""
    backward: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


def save_case(path: str | Path, arrays: Mapping[str, Any], entry: tuple[str, tuple[int, ...]], passes: Passes) -> Path:
    """Write the arrays to an .npz file, and the script beside it.

    Args:
        arrays: by "inputs/x", "upstream/0", "claimed/x", "expected/x", "sizes/N".
        entry: where claim and truth differ most: the input and the place in it.

    Raises:
        UnsupportedError: another ending than .npz.
        DataError: a file cannot be written there, or the script would take the place of something else.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise UnsupportedError(
            f"a counterexample is saved as an .npz file, not as {path.suffix or 'a file without an ending'!r}",
            where=str(path),
            help=f"write save({path.with_suffix('.npz').name!r})",
        )
    script = path.with_suffix(".py")
    if path.stem in sys.stdlib_module_names or path.stem in ("numpy", "symbackprop"):
        raise DataError(
            f"the script beside it would be {script.name}, which Python would take for its module {path.stem}",
            where=str(path),
            help="choose another name, such as case.npz",
        )
    if script.exists() and not (script.is_file() and _is_ours(script)):
        raise DataError(
            "the script beside it would overwrite a file that is none of a counterexample",
            where=str(script),
            help="choose another name, such as case.npz",
        )
    write_arrays(path, {name: np.asarray(a) for name, a in arrays.items()})
    write_file(script, lambda stream: stream.write(_script(path.name, entry, passes).encode()))
    return path


def _is_ours(script: Path) -> bool:
    with script.open("rb") as stream:
        return stream.read(len(FIRST_LINE)) == FIRST_LINE.encode()


def _script(case: str, entry: tuple[str, tuple[int, ...]], passes: Passes) -> str:
    told = {
        "CASE": case,
        "NAME": entry[0],
        "ENTRY": entry[1],
        "FIXED": {k: v for k, v in passes.fixed.items() if isinstance(v, PLAIN)},
        "ROLES": dict(passes.roles),
        "FILE": passes.file,
        "FORWARD": passes.forward,
        "BACKWARD": passes.backward,
    }
    return FIRST_LINE + HEAD + "".join(f"{name} = {value!r}\n" for name, value in told.items()) + BODY


HEAD = """
import importlib.util
import inspect
import pathlib
import sys

import numpy as np

"""
BODY = '''

def load():
    """The arrays by kind: inputs, upstream, claimed, expected, sizes."""
    found = {}
    with np.load(pathlib.Path(__file__).resolve().with_name(CASE), allow_pickle=False) as case:
        for key in case.files:
            kind, _, name = key.partition("/")
            found.setdefault(kind, {})[name] = case[key][()]
    return found


def accepted(function, values):
    parameters = inspect.signature(function).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {k: np.copy(v)[()] for k, v in values.items() if anything or k in parameters}


def outputs_of(result):
    if "cache" in ROLES.values() and isinstance(result, tuple):
        result = result[0] if len(result) == 2 else result[:-1]
    result = list(result.values()) if isinstance(result, dict) else result
    return list(result) if isinstance(result, (tuple, list)) else [result]


def gradients(forward, backward, case):
    """What the backward pass returns, by name."""
    inputs, keywords = case["inputs"], {k: v for k, v in FIXED.items() if k in inspect.signature(backward).parameters}
    given = list(case.get("upstream", {}).values())
    labels = [name for name, role in ROLES.items() if role == "upstream"]
    handed = dict(zip(labels, given if len(labels) > 1 else [given[0] if len(given) == 1 else tuple(given)]))
    for name in [name for name, role in ROLES.items() if role == "cache"]:
        handed[name] = forward(**accepted(forward, inputs | FIXED))[-1]
    returned = backward(**handed, **accepted(backward, inputs), **keywords)
    if not isinstance(returned, dict):
        returned = dict(zip(inputs, returned if isinstance(returned, tuple) else (returned,)))
    names = [(name, key) for name in case["expected"] for key in (name, f"d{name}", f"d_{name}") if key in returned]
    return {name: np.asarray(returned[key]) for name, key in reversed(names)}


def slope(forward, case, step=1e-5):
    """A central difference quotient of sum(upstream * forward) by the entry."""
    costs = []
    for sign in (1, -1):
        inputs = {k: np.array(v, dtype=float) if k == NAME else v for k, v in case["inputs"].items()}
        inputs[NAME][ENTRY] += sign * step
        outputs = outputs_of(forward(**accepted(forward, inputs | FIXED)))
        weights = list(case.get("upstream", {}).values()) or [1.0] * len(outputs)
        costs.append(sum(float(np.sum(w * out)) for w, out in zip(weights, outputs)))
    return (costs[0] - costs[1]) / (2 * step)


def replay(forward, backward):
    """Compare, print, and return the names of the gradients that are not what they should be."""
    case = load()
    found = gradients(forward, backward, case)
    wrong = []
    for name, expected in case["expected"].items():
        there = np.isfinite(expected)
        scale = max(1e-9, float(np.max(np.abs(expected[there]), initial=0.0)))
        near = name in found and np.shape(found[name]) == np.shape(expected)
        if not near or not np.all(np.abs(found[name] - expected)[there] <= 1e-9 * scale):
            wrong.append(name)
    place = f"{NAME}[{', '.join(map(str, ENTRY))}]" if ENTRY else NAME
    print(f"{place}:  backward returns {found[NAME][ENTRY]:.12g}    expected {case['expected'][NAME][ENTRY]:.12g}")
    print(f"{' ' * len(place)}   a difference quotient of the forward pass: {slope(forward, case):.9g}")
    print("not as expected:  " + (", ".join(wrong) or "none, at this point"))
    return wrong


def imported(name):
    spec = importlib.util.spec_from_file_location("case_module", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


if __name__ == "__main__":
    if not FILE:
        case = load()
        for kind in ("claimed", "expected"):
            print(f"{kind}:  d{NAME}{list(ENTRY)} = {case[kind][NAME][ENTRY]:.12g}")
        sys.exit(f"import {pathlib.Path(__file__).stem}, and call its replay(forward, backward) with your functions")
    sys.exit(1 if replay(imported(FORWARD), imported(BACKWARD)) else 0)
'''
