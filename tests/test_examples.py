"""Every script and notebook of examples/ runs, asserts what it says, and stands in the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(script, folder):
    path = os.pathsep.join(filter(None, [str(EXAMPLES.parent), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_runs(script, tmp_path):
    run(EXAMPLES / script, tmp_path)
    assert f"({script})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("notebook", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_notebook_runs_and_is_kept_without_output(notebook, tmp_path):
    cells = json.loads((EXAMPLES / notebook).read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text("\n\n".join(code), encoding="utf-8")
    run(tmp_path / "notebook.py", tmp_path)
    assert f"({notebook})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
