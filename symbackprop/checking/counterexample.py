"""A counterexample as data: numbers at which a claimed gradient is not the gradient, that anyone can run.

Every float in it is exactly the dyadic number that was used. There is one exception, on a threshold of the claim:
where code compares with 0.1, which is read as 1/10, the float 0.1 is what NumPy takes for equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Examination, Question, to_float
from symbackprop.checking.replay_script import Passes, save_case
from symbackprop.evaluation.compile import Array
from symbackprop.evaluation.number_types import Value

Floats = NDArray[Any]


@dataclass(frozen=True)
class WrongEntry:
    """The entry with the largest disagreement, both values there, and how far apart they are."""

    name: str
    index: tuple[int, ...]
    claimed: float
    correct: float
    difference: float = 0.0


@dataclass(frozen=True)
class Counterexample:
    """Sizes and numbers at which claim and truth differ.

    Args:
        sizes: by symbol.
        inputs: by name; float64, labels int64.
        parameters: hyper-parameters by name.
        upstream: the gradient handed in: an array, a tuple of arrays for several outputs, None for a cost.
        claimed: the claimed gradients by name, rounded to floats.
        correct: the true gradients by name; nan for entries of a very large tensor that were not computed.
        entry: where the disagreement is largest.
        given: values of tensors that the claim takes from the forward pass, such as true error terms.
        functions: what each arbitrary function stands for, by name.
        passes: how the user's forward and backward are run again, where there are such.

    Shapes: `claimed[name]` and `correct[name]` have the shape of the tensor they are the gradient of.
    """

    sizes: dict[str, int]
    inputs: dict[str, Floats]
    parameters: dict[str, float]
    upstream: Floats | tuple[Floats, ...] | None
    claimed: dict[str, Floats]
    correct: dict[str, Floats]
    entry: WrongEntry
    given: dict[str, Floats] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    passes: Passes = field(default_factory=Passes, repr=False, compare=False)

    def save(self, path: str | Path) -> Path:
        """Write all arrays to an .npz file, and beside it a script that replays them under NumPy alone.

        `save("case.npz")` writes case.npz and case.py; each file is whole or not there. The arrays' names say what they
        are: "inputs/x", "upstream/0", "claimed/x", "expected/x", "sizes/N".

        Raises:
            UnsupportedError: another ending than .npz.
            DataError: the files cannot be written there, or case.py is a file of another kind.
        """
        up = self.upstream if isinstance(self.upstream, tuple) else (self.upstream,)
        arrays: dict[str, Any] = {f"inputs/{n}": a for n, a in self.inputs.items()}
        arrays |= {f"upstream/{k}": a for k, a in enumerate(up) if a is not None}
        arrays |= {f"claimed/{n}": a for n, a in self.claimed.items()}
        arrays |= {f"expected/{n}": a for n, a in self.correct.items()}
        arrays |= {f"given/{n}": a for n, a in self.given.items()}
        arrays |= {f"sizes/{n}": k for n, k in self.sizes.items()} | {
            f"parameters/{n}": v for n, v in self.parameters.items()
        }
        return save_case(path, arrays, (self.entry.name, self.entry.index), self.passes)

    def to_dict(self) -> dict[str, Any]:
        """Lists and numbers only, ready for JSON; a value that is not a number is None."""
        up = self.upstream
        return {
            "sizes": dict(self.sizes),
            "inputs": _lists(self.inputs),
            "parameters": dict(self.parameters),
            "upstream": [_plain(u) for u in up] if isinstance(up, tuple) else None if up is None else _plain(up),
            "claimed": _lists(self.claimed),
            "correct": _lists(self.correct),
            "entry": {
                "name": self.entry.name,
                "index": list(self.entry.index),
                "claimed": self.entry.claimed,
                "correct": self.entry.correct,
                "difference": self.entry.difference,
            },
            "given": _lists(self.given),
            "functions": dict(self.functions),
        }


def counterexample(question: Question, found: Examination) -> Counterexample:
    """The counterexample that an examination with disagreements shows."""
    point = found.point
    name = max(found.disagreements(), key=lambda n: found.gap(n)[0])
    _, where = found.gap(name)
    upstream = tuple(point.inputs[t] for t in question.upstream)
    return Counterexample(
        sizes={s.name: n for s, n in point.sizes.items()},
        inputs={t.name: a for t, a in point.inputs.items() if t not in question.upstream},
        parameters={s.name: float(v) for s, v in point.parameters.items()},
        upstream=None if not upstream else upstream[0] if len(upstream) == 1 else upstream,
        claimed={n: _floats(found.claimed[n], found.claimed[n]) for n in found.correct},
        correct={n: _floats(found.correct[n], found.claimed[n]) for n in found.correct},
        entry=_entry(name, where, found.claimed[name][where], found.correct[name][where]),
        given={t.name: _floats(a, a) for t, a in found.settled.items()},
        functions={n: f.name for n, f in point.functions.items()},
    )


def _entry(name: str, where: tuple[int, ...], claimed: Value, correct: Value) -> WrongEntry:
    """Both values, and their difference before it is lost in rounding."""
    difference = to_float(claimed - correct)
    return WrongEntry(name, where, _rounded(claimed), _rounded(correct), difference)


def _rounded(value: Value) -> float:
    """A value as a float; 0 where its enclosure, narrow as it is, holds 0."""
    return 0.0 if isinstance(value, flint.arb) and value.contains(0) else to_float(value)


def _floats(entries: Array, whole: Array) -> Floats:
    """Entries as floats, in the shape of `whole`; nan where there is none."""
    shape = tuple(max(axis) + 1 for axis in zip(*whole, strict=True))
    result = np.full(shape, np.nan)
    for position, value in entries.items():
        result[position] = _rounded(value)
    return result


def _plain(array: Floats) -> Any:
    plain = array.astype(object)
    if array.dtype.kind == "f":
        plain[np.isnan(array)] = None
    return plain.tolist()


def _lists(arrays: Mapping[str, Floats]) -> dict[str, Any]:
    return {name: _plain(array) for name, array in arrays.items()}
