"""What a type checker says to users: the README and the docs pass `mypy --strict`, and misspelt names do not.

Functions of the user may lack annotations, as they do on the pages.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|pycon)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# in the files and not as options, so that what the type checker remembers of the package is of use
LENIENT = "# mypy: allow-untyped-defs, allow-untyped-calls, no-warn-unused-ignores\n"


def python_of(page: Path) -> str:
    """All Python of a page, one block after the other."""
    texts = []
    for kind, _, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = text.splitlines()
        texts += [line[4:] for line in lines if line[:4] in (">>> ", "... ")] if kind == "pycon" else lines
    return "\n".join(texts) + "\n"


def mypy(folder: Path) -> tuple[int, str]:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["symbackprop/", "derivations/build/", *map(str, sorted(folder.glob("*.py")))]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def test_pages_pass_a_strict_type_checker_and_mistakes_do_not(tmp_path):
    for page in PAGES:
        if code := python_of(page).strip():
            (tmp_path / f"page_{page.stem.lower()}.py").write_text(LENIENT + code + "\n")
    (tmp_path / "wrong.py").write_text("import symbackprop as sb\n\nsb.verifi\nsb.compile(3)\n")
    _, said = mypy(tmp_path)
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert [line for line in errors if "wrong.py" not in line] == [], said
    assert len(errors) == 2 and '"verifi"' in errors[0] and '"compile"' in errors[1], said


def test_the_package_says_that_it_is_typed():
    assert resources.files("symbackprop").joinpath("py.typed").is_file()
