"""A counterexample in files: what was saved is what was found, and the script needs nothing but NumPy."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import DataError, UnsupportedError

SOURCE = """
import numpy as np


def forward(x, w, b):
    return np.tanh(x @ w + b)


def backward(dout, x, w, b):
    d = dout * (1 - np.tanh(x @ w + b) ** 2)
    return {"x": d @ w.T, "w": x.T @ d, "b": d.mean(axis=0)}
"""
SHAPES = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}


@pytest.fixture
def passes(tmp_path):
    """Two functions in a file of the user's."""
    file = tmp_path / "layer.py"
    file.write_text(SOURCE)
    names = {"__name__": "layer"}
    exec(compile(SOURCE, str(file), "exec"), names)
    return names["forward"], names["backward"], file


def replayed(script):
    """What the script prints, run where this package cannot be imported."""
    blocked = script.with_name("blocked")
    blocked.mkdir(exist_ok=True)
    (blocked / "symbackprop.py").write_text("raise ImportError('not here')")
    env = os.environ | {"PYTHONPATH": str(blocked)}
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, check=False)


def test_save_writes_all_arrays_and_a_script_that_replays_them(passes, tmp_path):
    forward, backward, file = passes
    verdict = sb.check(forward, backward, shapes=SHAPES)
    found = verdict.counterexample
    assert found.save(tmp_path / "case.npz") == tmp_path / "case.npz"
    with np.load(tmp_path / "case.npz") as case:
        for name in SHAPES:
            np.testing.assert_array_equal(case[f"inputs/{name}"], found.inputs[name])
            np.testing.assert_array_equal(case[f"expected/{name}"], found.correct[name])
        np.testing.assert_array_equal(case["claimed/b"], found.claimed["b"])
        np.testing.assert_array_equal(case["upstream/0"], found.upstream)
    run = replayed(tmp_path / "case.py")
    assert run.returncode == 1 and "not as expected:  b" in run.stdout, run.stderr
    file.write_text(SOURCE.replace("d.mean", "d.sum"))
    run = replayed(tmp_path / "case.py")
    assert run.returncode == 0 and "none, at this point" in run.stdout, run.stderr
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_script_says_what_to_do_with_functions_that_cannot_be_imported(tmp_path):
    def forward(x):
        return np.sin(x)

    def backward(dout, x):
        return {"x": dout * np.sin(x)}

    found = sb.check(forward, backward, shapes={"x": ("N",)}).counterexample
    found.save(tmp_path / "case.npz")
    run = replayed(tmp_path / "case.py")
    assert run.returncode == 1 and "replay(forward, backward)" in run.stderr
    script = {"__name__": "case", "__file__": str(tmp_path / "case.py")}
    exec((tmp_path / "case.py").read_text(), script)
    assert script["replay"](forward, backward) == ["x"]
    assert script["replay"](forward, lambda dout, x: {"x": dout * np.cos(x)}) == []


def test_script_hands_on_a_cache_and_fixed_arguments(tmp_path):
    def forward(x, power=2):
        return np.sum(x**power), x

    def backward(cache, power=2):
        return {"x": power * cache}

    found = sb.check(forward, backward, shapes={"x": ("N",)}, fixed={"power": 3}).counterexample
    found.save(tmp_path / "case.npz")
    script = {"__name__": "case", "__file__": str(tmp_path / "case.py")}
    exec((tmp_path / "case.py").read_text(), script)
    assert script["replay"](forward, backward) == ["x"]
    assert script["replay"](forward, lambda cache, power: {"x": power * cache ** (power - 1)}) == []


def test_bad_paths_give_messages(passes, tmp_path):
    forward, backward, _ = passes
    found = sb.check(forward, backward, shapes=SHAPES).counterexample
    with pytest.raises(UnsupportedError, match=r"\.npz"):
        found.save(tmp_path / "case.json")
    with pytest.raises(DataError, match="cannot write"):
        found.save(tmp_path / "missing" / "case.npz")
    (tmp_path / "mine.py").write_text("print('mine')\n")
    with pytest.raises(DataError, match="overwrite"):
        found.save(tmp_path / "mine.npz")
    assert (tmp_path / "mine.py").read_text() == "print('mine')\n" and not (tmp_path / "mine.npz").exists()
    with pytest.raises(DataError, match="for its module"):
        found.save(tmp_path / "numpy.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DataError, match="folder"):
        found.save(tmp_path / "folder.npz")
    found.save(tmp_path / "case.npz")
    found.save(tmp_path / "case.npz")  # its own files it replaces


def test_large_counterexample_is_summarised():
    def forward(**p):
        return sum(np.sum(np.sin(a)) for a in p.values())

    def backward(**p):
        return {name: np.sin(a) if name == "a3" else np.cos(a) for name, a in p.items()}

    verdict = sb.check(forward, backward, shapes={f"a{k}": ("N", "M", "K") for k in range(20)})
    assert verdict.wrong == ("a3",)
    assert "8 more arrays" in str(verdict) and len(str(verdict).split("example")[1].splitlines()[0]) < 800


def test_verdict_is_saved_as_json(passes, tmp_path):
    forward, backward, _ = passes
    verdict = sb.check(forward, backward, shapes=SHAPES)
    verdict.save(tmp_path / "verdict.json")
    found = json.loads((tmp_path / "verdict.json").read_text())
    assert found["status"] == "REFUTED" and found["wrong"] == ["b"]
