"""The Python in docs/ runs, and what it prints is what the page shows beneath it."""

from __future__ import annotations

import contextlib
import io
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", sorted(p.name for p in DOCS.glob("*.md")))
def test_python_of_a_page_prints_what_the_page_shows(page, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    code = "".join(f"print({'<block>'!r})\n" + text for kind, text in blocks if kind == "python")
    expected = [text for _, text in blocks]
    shown = [
        expected[k + 1] if k + 1 < len(blocks) and blocks[k + 1][0] == "text" else ""
        for k, (kind, _) in enumerate(blocks)
        if kind == "python"
    ]
    (tmp_path / "page.py").write_text(code, encoding="utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path("page.py")
    assert printed.getvalue().split("<block>\n")[1:] == shown


def test_picture_of_the_rooms_is_not_stale() -> None:
    rooms = runpy.run_path(str(DOCS / "rooms.py"))
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert rooms["with_picture"](page) == page, "run python docs/rooms.py"


def test_architecture_names_no_function_or_file_that_is_missing() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    dotted = [name for name in re.findall(r"`([a-z_]+(?:\.\w+)+)`", page) if not name.endswith((".py", ".md"))]
    assert len(dotted) > 20
    for name in dotted:
        pkgutil.resolve_name(f"symbackprop.{name}")
    for name in re.findall(r"`((?:[a-z_]+/)+\w+\.py)`", page):
        root = DOCS.parent if name.startswith("tests/") else DOCS.parent / "symbackprop"
        assert (root / name).exists() or (DOCS.parent / name).exists(), name
