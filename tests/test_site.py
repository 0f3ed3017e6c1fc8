"""The pages of docs/ make a site: all stand in its menu, all links lead somewhere, and MkDocs agrees where it is there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MADE = {"gallery.md", "commands.md"}  # by docs/site.py
PAGES = sorted(p.name for p in DOCS.glob("*.md"))


def headings(page):
    """The anchors of a page, as MkDocs makes them."""
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", t).strip().lower()) for t in titles}


def test_menu_has_every_page_once():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert sorted(re.findall(r": (\w+\.md)$", menu, re.MULTILINE)) == sorted({*PAGES, *MADE})


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
        assert target in MADE or (DOCS / (target or page)).exists(), target
        assert not anchor or anchor in headings(target or page), anchor


def test_reference_names_what_there_is():
    import symbackprop

    names = re.findall(r"^::: (\S+)$", (DOCS / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    called = {n.removeprefix("symbackprop.") for n in names if n.count(".") == 1}
    assert called <= set(symbackprop.__all__) and len(names) > 10


@pytest.mark.skipif(importlib.util.find_spec("mkdocstrings") is None, reason="the extra [docs] is not installed")
def test_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    gallery = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert gallery.count("<math>") > 17 and 'href="derivations/10_any_depth/proof.html"' in gallery
    assert (tmp_path / "derivations/10_any_depth/proof.html").exists()
    assert "--exercises" in (tmp_path / "commands.html").read_text(encoding="utf-8")
