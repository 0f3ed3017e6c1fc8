"""Documents in files: the ending of the name picks the writer, and no half-written file is ever left.

Main names: `save`, `FORMATS`. A PDF is made by the LaTeX that is found at run time; without one the .tex stays.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from symbackprop.document.html import to_html
from symbackprop.document.markdown import to_markdown
from symbackprop.document.model import Document
from symbackprop.document.tex import to_latex_document, to_latex_fragment
from symbackprop.errors import DataError, UnsupportedError, nearest
from symbackprop.files import write_file

FORMATS: dict[str, Callable[[Document], str]] = {".tex": to_latex_document, ".html": to_html, ".md": to_markdown}
_ENGINES = ("pdflatex", "lualatex")
_SECONDS = 120.0


def save(document: Document, path: str | Path, *, fragment: bool = False) -> Path:
    """Write a document to `path`; .tex, .pdf, .html or .md.

    Args:
        fragment: for .tex: without a preamble, to be put into another document with \\input.

    Returns:
        The path that was written.

    Raises:
        UnsupportedError: another ending; a fragment that is no .tex; or .pdf without a LaTeX, in which case the .tex
            is written beside it.
        DataError: the file cannot be written there.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if fragment and ending != ".tex":
        raise UnsupportedError(
            "only LaTeX is written as a fragment", where=str(path), help="save it as .tex, and \\input it"
        )
    if fragment:
        _write(path, to_latex_fragment(document).encode())
        return path
    if ending == ".pdf":
        _save_pdf(document, path)
        return path
    if ending not in FORMATS:
        known = (*FORMATS, ".pdf")
        near = nearest(ending, known)
        raise UnsupportedError(
            f"no document format for the ending {ending!r}",
            where=str(path),
            evidence=["known:  " + ", ".join(sorted(known))],
            help=f"did you mean {near!r}" if near else None,
        )
    _write(path, FORMATS[ending](document).encode())
    return path


def _write(path: Path, content: bytes) -> None:
    write_file(path, lambda stream: stream.write(content))


def _save_pdf(document: Document, path: Path) -> None:
    source = to_latex_document(document)
    engine = next((found for name in _ENGINES if (found := shutil.which(name))), None)
    if engine is None:
        kept = path.with_suffix(".tex")
        _write(kept, source.encode())
        raise UnsupportedError(
            "no LaTeX is installed, so there is no PDF",
            evidence=[f"looked for:  {', '.join(_ENGINES)}", f"kept:        {kept}"],
            help="install a TeX distribution, or save as .html",
        )
    _write(path, compiled(source, engine))


def compiled(source: str, engine: str) -> bytes:
    """The PDF of a LaTeX source; two runs, so that references settle.

    Raises:
        DataError: LaTeX reports an error; its message is the evidence.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "document.tex").write_text(source, encoding="utf-8")
        command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "document.tex"]
        for _ in range(2):
            try:
                run = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise DataError(f"LaTeX took longer than {_SECONDS:.0f} seconds") from None
            if run.returncode:
                lines = run.stdout.decode(errors="replace").splitlines()
                at = next((k for k, line in enumerate(lines) if line.startswith("!")), max(0, len(lines) - 4))
                raise DataError("LaTeX could not typeset the document", evidence=lines[at : at + 4])
        return (Path(folder) / "document.pdf").read_bytes()
