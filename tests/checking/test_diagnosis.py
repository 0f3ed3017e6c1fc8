"""The slips of `claims/slips`: each is put into a right backward pass, and the diagnosis has to name it.

A file holds a forward and a right backward pass and a table of slips: text of one line, the text that takes its place,
and words of the diagnosis, in which {line} stands for the number of that line.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from thinning import thinned

import symbackprop as sb
from symbackprop.checking.budget import SHARES

FOLDER = Path(__file__).parent / "claims" / "slips"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES = {path.stem: load(path) for path in sorted(FOLDER.glob("*.py"))}
# What would be right names the arrays of single rounds of a loop, for which the user's code has no names.
WITHOUT_CURE = {("rnn_sequence", "overwritten"), ("rnn_sequence", "new state")}
LONG = {("rnn_sequence", "new state")}  # seven seconds
SLIPS = [(name, slip) for name, module in MODULES.items() for slip in module.SLIPS]


def check(module: ModuleType):
    assume, where = getattr(module, "ASSUME", None), getattr(module, "WHERE", None)
    return sb.check(module.forward, module.backward, shapes=module.SHAPES, assume=assume, where=where)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """What is found is asserted, not how soon: the limits of the search are meant for an idle machine."""
    for task in (
        "cause",
        "comparison",
        *(f"{stage} edits" for stage in ("likely", "plausible", "several", "unlikely")),
    ):
        monkeypatch.setitem(SHARES, task, SHARES[task]._replace(seconds=10 * SHARES[task].seconds))


@pytest.mark.parametrize("name", MODULES)
def test_backward_is_proved_without_a_slip(name):
    assert check(MODULES[name]).status == "PROVED"


@pytest.mark.parametrize(("name", "slip"), thinned(SLIPS, lambda case: case not in LONG))
def test_slip_is_named_with_its_line_and_a_proved_cure(name, slip, tmp_path):
    right, wrong, words = MODULES[name].SLIPS[slip]
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    head, body = text.split("\ndef backward(")
    assert body.count(right) == 1, "the slip is not at one place"
    line = head.count("\n") + body[: body.index(right)].count("\n") + 2
    path = tmp_path / f"{name}.py"
    path.write_text(head + "\ndef backward(" + body.replace(right, wrong), encoding="utf-8")
    verdict = check(load(path))
    assert verdict.status == "REFUTED"
    assert words.format(line=line) in verdict.diagnosis
    assert verdict.cure or (name, slip) in WITHOUT_CURE


def test_a_kernel_that_is_not_flipped():
    """x is padded by K - 1; the kernel slides over it in the forward pass, and flipped over dout in the backward one."""

    def slid(x, w):
        windows = np.lib.stride_tricks.sliding_window_view(x, len(w))
        return windows @ w

    def forward(x, w):
        return slid(np.pad(x, len(w) - 1), w)

    def backward(dout, x, w):
        return {"x": slid(dout, w)}

    verdict = sb.check(forward, backward, shapes={"x": ("N",), "w": ("K",)})
    assert verdict.wrong == ("x",)
    assert "w must be read backwards along axis 0: a kernel that slides is flipped" in verdict.diagnosis
    assert "(proved)" in str(verdict)
