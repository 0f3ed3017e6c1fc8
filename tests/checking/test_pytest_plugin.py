"""pytest on a small project with marked backward passes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LAYERS = """
import symbackprop as sb

SHAPES = {"x": ("N", "D"), "w": ("D", "M")}

def forward(x, w):
    return x @ w

@sb.gradient_of(forward, shapes=SHAPES)
def right(dout, x, w):
    return {"x": dout @ w.T, "w": x.T @ dout}

@sb.gradient_of(forward, shapes=SHAPES)
def wrong(dout, x, w):
    return {"x": dout @ w.T, "w": 2 * x.T @ dout}

@sb.gradient_of(forward, shapes=SHAPES)
def half(dout, x, w):
    return {"x": dout @ w.T}

@sb.gradient_of(forward, shapes=SHAPES, complete=False)
def half_on_purpose(dout, x, w):
    return {"x": dout @ w.T}

@sb.gradient_of(forward, shapes="N D")
def malformed(dout, x, w):
    return {"x": dout @ w.T}
"""


def pytest_on(folder):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent.parent)}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-v", "-p", "symbackprop.pytest_plugin", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def test_marked_backward_passes_are_judged(tmp_path):
    (tmp_path / "layers.py").write_text(LAYERS)
    names = "half, half_on_purpose, malformed, right, wrong"
    (tmp_path / "test_layers.py").write_text(f"from layers import {names}\n\ndef test_other():\n    assert right\n")
    status, out = pytest_on(tmp_path)
    assert status == 1
    for name, word in (("right", "PASSED"), ("half_on_purpose", "PASSED"), ("test_other", "PASSED"), ("wrong", "FAILED"), ("half", "FAILED"), ("malformed", "FAILED")):  # fmt: skip
        assert f"test_layers.py::{name} {word}" in out, out
    assert "REFUTED  gradients of forward: x, w" in out and "the factor 2 does not belong there" in out
    assert "no gradient was returned of w" in out and "complete=False" in out
    assert "3 failed, 3 passed" in out and "Traceback" not in out


def test_the_mark_loads_nothing(tmp_path):
    program = "import sys, symbackprop as sb; sb.gradient_of; print('numpy' in sys.modules, 'sympy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False False\n"
