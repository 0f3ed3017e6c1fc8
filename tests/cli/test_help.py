"""Help, completion and Ctrl-C: what the command line says before it does anything."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import run_here
from thinning import thinned

COMMANDS = ("check", "verify", "demo", "prove", "train", "predict", "export")
README = Path(__file__).resolve().parent.parent.parent / "README.md"


def process(*arguments, folder, **variables):
    environment = os.environ | {"COLUMNS": "80", "TERM": "dumb"} | variables
    command = [sys.executable, "-m", "symbackprop", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def examples(command, folder):
    """The lines beneath "Examples:" of a sub-command's help, as they are printed."""
    lines = [line.rstrip() for line in run_here([command, "--help"], folder).stdout.splitlines()]
    start = lines.index(" Examples:") + 1
    return [line.strip() for line in lines[start : lines.index("", start)]]


@pytest.mark.parametrize("command", thinned(COMMANDS, 3))
def test_help_shows_examples_that_can_be_typed(command, tmp_path):
    found = examples(command, tmp_path)
    assert found
    layer = re.search(r"^```python layernorm.py\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)[1]
    right = layer.replace("dx = (", "dx = -xhat * (dxhat * xhat).mean(axis=1, keepdims=True) / root + (")
    (tmp_path / "layernorm.py").write_text(right)
    if command == "predict":
        run_here(["train", "--layers", "64,10", "--epochs", "2", "--save", "model.npz"], tmp_path)
    for line in found:
        name, *words = shlex.split(line)
        assert name == "symbackprop" and words[0] == command
        run = run_here(words, tmp_path)
        assert (run.returncode, run.stderr) == (0, ""), line


def test_help_keeps_brackets(tmp_path):
    text = " ".join(run_here(["verify", "--help"], tmp_path).stdout.replace("│", " ").split())
    assert "Left side: delta2[n,i], dJ/dW1[i,j]" in text
    assert "delta3[n,k] = (a3[n,k] - y[n,k])/m" in text


def test_completion_offers_the_sub_commands(tmp_path):
    words = {"_SYMBACKPROP_COMPLETE": "complete_bash", "COMP_WORDS": "symbackprop ver", "COMP_CWORD": "1"}
    assert "verify" in process(folder=tmp_path, **words).stdout.split()
    assert "--show-completion" in process("--help", folder=tmp_path).stdout


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send")
@pytest.mark.parametrize("slow", ["numpy", "typer"])
def test_interrupted_import_leaves_one_line(slow, tmp_path):
    stand_in = f"import pathlib, time\npathlib.Path({str(tmp_path / 'started')!r}).touch()\ntime.sleep(60)\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / f"{slow}.py").write_text(stand_in)
    path = os.pathsep.join([str(tmp_path / "site"), str(README.parent)])
    process = subprocess.Popen(
        [sys.executable, "-m", "symbackprop", "prove", "--layers", "3,4"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "started").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "error: interrupted\n")
