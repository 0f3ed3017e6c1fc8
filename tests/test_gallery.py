"""The documents in derivations/ are what its claims give today, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from symbackprop.gallery import build, folders, main, read_exhibit

SOURCE = Path(__file__).resolve().parent.parent / "derivations"
NAMES = [folder.name for folder in folders(SOURCE)]


@pytest.fixture(scope="session")
def rebuilt(tmp_path_factory):
    target = tmp_path_factory.mktemp("gallery")
    return target, {path.relative_to(target) for path in build(SOURCE, target)}


def test_gallery_is_complete(rebuilt):
    kept = {p.relative_to(SOURCE) for p in SOURCE.rglob("*") if p.suffix in (".tex", ".html", ".md")}
    assert kept == rebuilt[1]


@pytest.mark.parametrize("name", [*NAMES, "README.md"])
def test_documents_are_not_stale(rebuilt, name):
    target, files = rebuilt
    for file in (f for f in files if f.parts[0] == name):
        assert (SOURCE / file).read_bytes() == (target / file).read_bytes(), (
            f"{file}: run python -m symbackprop.gallery derivations"
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_exhibit_is_proved(name):
    exhibit = read_exhibit(SOURCE / name)
    assert exhibit.proofs and all(p.status == "PROVED" and p.theorems for p in exhibit.proofs)
    for refutation in exhibit.refutations:
        entry = refutation.counterexample.entry
        assert entry.claimed != entry.correct


def test_main_rebuilds_the_folders_asked_for(tmp_path, capsys):
    folder = tmp_path / "07_constant_factors"
    folder.mkdir()
    (folder / "claim.py").write_text((SOURCE / folder.name / "claim.py").read_text())
    assert main([str(tmp_path), "07"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "proof.tex"), str(folder / "proof.html")]
