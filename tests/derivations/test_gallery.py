"""The documents in derivations/ are what its claims give today, byte for byte."""

from __future__ import annotations

import re
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
from exhibits import NAMES, SOURCE, exhibit_of

from derivations.build import first_page, gallery
from derivations.build.gallery import audited, build, draw, exhibit_document, folders, main, read_exhibit
from symbackprop.document.model import Chain, blocks, equations
from symbackprop.document.proof_document import proof_document, unbacked
from symbackprop.errors import ProofError
from symbackprop.expression.build import negate


@pytest.fixture(scope="session")
def rebuilt(tmp_path_factory):
    target = tmp_path_factory.mktemp("gallery")
    with pytest.MonkeyPatch.context() as patch:  # what other tests here read as well is read once
        patch.setattr(gallery, "read_exhibit", lambda folder: exhibit_of(folder.name))
        return target, {path.relative_to(target) for path in build(SOURCE, target)}


def test_gallery_is_complete(rebuilt):
    kept = {p.relative_to(SOURCE) for p in SOURCE.rglob("*") if p.suffix in (".tex", ".html", ".md")}
    assert kept == rebuilt[1]


@pytest.mark.parametrize("name", [*NAMES, *(folder.name for folder in audited(SOURCE)), "README.md"])
def test_documents_are_not_stale(rebuilt, name):
    target, files = rebuilt
    for file in (f for f in files if f.parts[0] == name):
        assert (SOURCE / file).read_bytes() == (target / file).read_bytes(), f"{file}: run python -m derivations.build"


@pytest.mark.parametrize("name", NAMES)
def test_every_exhibit_is_proved(name):
    exhibit = exhibit_of(name)
    assert exhibit.proofs and all(p.status == "PROVED" and p.theorems for p in exhibit.proofs)
    for refutation in exhibit.refutations:
        entry = refutation.counterexample.entry
        assert entry.claimed != entry.correct


@pytest.mark.parametrize("name", NAMES)
def test_every_equality_of_a_proof_is_backed(name):
    for proof in exhibit_of(name).proofs:
        assert unbacked(proof_document(proof), proof) == ()


def unproved(document, proofs):
    """The equalities that a document displays and that no proof of the exhibit backs."""
    left = [{(e.left, e.right) for e in unbacked(document, proof)} for proof in proofs]
    return set.intersection(*left)


@pytest.mark.parametrize("name", NAMES)
def test_every_equality_that_a_document_displays_was_proved(name):
    exhibit = exhibit_of(name)
    document = exhibit_document(exhibit, name)
    assert len(equations(document)) > 4
    assert unproved(document, exhibit.proofs) == set()
    chain = next(b for b in blocks(document.body) if isinstance(b, Chain))
    slipped = replace(chain.lines[-1], after=negate(chain.lines[-1].after))
    wrong = replace(document, body=(Chain((*chain.lines[:-1], slipped)),))
    assert unproved(wrong, exhibit.proofs) == {(slipped.before, slipped.after)}


def test_main_rebuilds_the_folders_asked_for_and_draws_what_has_changed(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "07_constant_factors"
    folder.mkdir()
    (folder / "claim.py").write_text((SOURCE / folder.name / "claim.py").read_text())
    monkeypatch.setattr(first_page.shutil, "which", lambda name: None)
    assert main(["07"], tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(folder / f"proof{ending}") for ending in (".tex", ".html", ".md")]
    assert printed.err == "the pictures are as they were: pdflatex and pdftoppm not found\n"


def test_every_document_has_a_small_picture_of_its_first_page():
    for name in NAMES:
        picture = (SOURCE / name / "proof.png").read_bytes()
        assert len(picture) < 100_000
        source = (SOURCE / name / "proof.tex").read_text(encoding="utf-8")
        assert first_page.source_of(picture) == first_page.hash_of(source), (
            f"{name}: run python -m derivations.build where LaTeX is installed"
        )


@pytest.mark.skipif(bool(first_page.missing_tools()), reason="pdflatex or pdftoppm is not installed")
def test_a_picture_is_drawn_anew_only_when_its_document_has_changed(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "claim.py").touch()
    tex = folder / "proof.tex"
    tex.write_text(r"\documentclass{article}\begin{document}One\end{document}")
    assert list(draw(tmp_path)) == [folder / "proof.png"]
    assert list(draw(tmp_path)) == []
    picture = (folder / "proof.png").read_bytes()
    tex.write_text(tex.read_text().replace("One", "Two"))
    assert list(draw(tmp_path)) == [folder / "proof.png"]
    assert (folder / "proof.png").read_bytes() != picture
    pixels = plt.imread(folder / "proof.png")
    assert len({round(float(v) * 15, 3) for v in pixels.ravel()}) <= 16
    assert 0 < (pixels < 0.5).sum() < pixels.size / 100  # a word on a white page


@pytest.mark.parametrize("page", ["README.md", "derivations/README.md"])
def test_pictures_and_their_links_lead_to_files(page):
    place = SOURCE.parent / page
    found = re.findall(r'(?:src|href)="([^"]+)"', place.read_text(encoding="utf-8"))
    assert len(found) >= 6
    assert [f for f in found if not (place.parent / f).exists()] == []


def test_index_shows_every_document(rebuilt):
    page = (rebuilt[0] / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f'<img src="{name}/proof.png"' in page
        assert f"[html]({name}/proof.html)" in page


@pytest.mark.parametrize("folder", [f.name for f in folders(SOURCE) if len(list(f.glob("*.py"))) == 2])
def test_code_of_a_layer_is_judged_and_its_wrong_sign_would_be_found(folder, tmp_path):
    (file,) = (f for f in (SOURCE / folder).glob("*.py") if f.name != "claim.py")
    (verdict,) = exhibit_of(folder).verdicts
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")
    claim = tmp_path / "claim.py"
    claim.write_text((SOURCE / folder / "claim.py").read_text())
    code = file.read_text()
    before, after = code.split('return {"', 1)
    (tmp_path / file.name).write_text(before + 'return {"' + after.replace('": ', '": -', 1))
    with pytest.raises(ProofError, match="is not proved"):
        read_exhibit(tmp_path)
