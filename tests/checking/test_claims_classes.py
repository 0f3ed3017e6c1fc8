"""The classes of `claims/classes`: real code in the styles of public repositories, right for all sizes, refuted with a slip.

Each file is right as it stands; with `NEW` in place of `OLD` exactly the gradients of `WRONG` are wrong. A counterexample
is examined here from scratch, by central differences of the forward pass in plain NumPy.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import symbackprop as sb

FOLDER = Path(__file__).parent / "claims" / "classes"
FILES = sorted(FOLDER.glob("*.py"))
UNDECIDED = {"embedding_pad"}  # the normal form does not reach it


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses ask for it
    spec.loader.exec_module(module)
    return module


def judged(module: ModuleType) -> sb.Verdict:
    return sb.check(module.forward, module.backward, shapes=module.SHAPES, assume=getattr(module, "ASSUME", None))


def along(module, inputs, upstream, name, direction):
    """The derivative of sum(upstream * output) along a direction, by central differences, extrapolated."""

    def total(shift):
        moved = {n: np.array(v) for n, v in inputs.items()}
        moved[name] = moved[name] + shift * direction
        return np.sum(np.asarray(upstream) * module.forward(**moved))

    wide, narrow = ((total(h) - total(-h)) / (2 * h) for h in (2e-4, 1e-4))
    return (4 * narrow - wide) / 3


@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in UNDECIDED], ids=lambda p: p.stem)
def test_right_class_is_proved_for_all_sizes(path):
    verdict = judged(load(path))
    assert verdict.status == "PROVED", str(verdict)
    assert verdict.scope == "all sizes"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
@pytest.mark.usefixtures("no_diagnosis")
def test_slip_is_refuted_where_differences_say_so(path, tmp_path):
    right = load(path)
    text = path.read_text(encoding="utf-8")
    assert text.count(right.OLD) >= 2  # in the code, and where it is named
    copied = tmp_path / f"{path.stem}_slip.py"
    copied.write_text(text.replace(right.OLD, right.NEW), encoding="utf-8")
    wrong = load(copied)
    verdict = judged(wrong)
    assert (verdict.status, sorted(verdict.wrong)) == ("REFUTED", right.WRONG), str(verdict)
    example = verdict.counterexample
    inputs = {n: np.array(v) for n, v in example.inputs.items()}
    upstream = 1.0 if example.upstream is None else example.upstream
    given = (upstream,) if next(iter(inspect.signature(wrong.backward).parameters)) not in wrong.SHAPES else ()
    claimed = wrong.backward(*given, **{n: v.copy() for n, v in inputs.items()})
    differs = []
    for name in verdict.wrong:
        direction = np.asarray(example.correct[name], float) - np.asarray(claimed[name], float)
        true = along(wrong, inputs, upstream, name, direction)
        differs.append(abs(true - np.sum(np.asarray(claimed[name]) * direction)) > 1e-3 * (1e-3 + abs(true)))
    assert any(differs)
