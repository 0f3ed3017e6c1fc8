"""What the site has beyond the pages of this folder, as a hook of MkDocs: `mkdocs build --strict` calls it.

The gallery's documents, the help of the command line, and every file of the repository that a page links to are added;
formulas of the gallery's table become MathML, so that nothing is loaded from elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe
import typer
from mkdocs.structure.files import File, Files

from symbackprop.cli import app
from symbackprop.rendering.mathml import to_mathml
from symbackprop.rendering.tex_reader import read_tex

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = re.compile(r"\]\(\.\./([\w./-]+)\)")
ENDINGS = (".html", ".tex", ".md", ".png", ".py")


class Docstrings(griffe.Extension):  # type: ignore[misc]
    """An example is called Example in our docstrings, and Examples where Griffe knows that it is code."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Rename the section."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"(?m)^(\s*)Example:$", r"\1Examples:", obj.docstring.value)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here, and the files that pages link to."""
    files.append(File.generated(config, "gallery.md", content=gallery()))
    files.append(File.generated(config, "commands.md", content=commands()))
    wanted = {p for p in sorted((ROOT / "derivations").rglob("*.*")) if p.suffix in ENDINGS and "build" not in p.parts}
    for page in (ROOT / "docs").glob("*.md"):
        wanted |= {ROOT / target for target in OUTSIDE.findall(page.read_text(encoding="utf-8"))}
    for path in sorted(wanted):
        if path.is_file():
            name = str(path.relative_to(ROOT)) + (".txt" if path.suffix == ".md" else "")
            files.append(File.generated(config, name, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links that lead out of docs/ lead to the files that were added."""
    return OUTSIDE.sub(lambda m: f"]({m[1]}{'.txt' if m[1].endswith('.md') else ''})", markdown)


def gallery() -> str:
    """The gallery's own page, its formulas as MathML and its links from here."""
    page = (ROOT / "derivations" / "README.md").read_text(encoding="utf-8").replace("# Derivations", "# Gallery", 1)
    page = re.sub(r"\$([^$]+)\$", lambda m: f"<math>{to_mathml(read_tex(m[1]))}</math>", page)
    page = re.sub(r"\]\((\d\d_\w+/)\)", r"](derivations/\1proof.html)", page)
    page = re.sub(r"\]\((\d\d_\w+/(?:proof|audit)\.\w+)\)", r"](derivations/\1)", page)
    page = re.sub(r"(proof|audit)\.md\)", r"\1.md.txt)", page)
    return re.sub(r'(href|src)="(\d\d_)', r'\1="derivations/\2', page)


def commands() -> str:
    """The help of every sub-command, as it is typed."""
    parts = ["# Command line", "Every sub-command has `--help`; this is what it says."]
    group = typer.main.get_command(app)
    assert hasattr(group, "commands"), "the program has sub-commands"
    for name, command in group.commands.items():
        context = typer.Context(command, info_name=f"symbackprop {name}")
        told = command.help.replace("\\[", "[").split("\n\n")
        parts.append(f"## {name}")
        for paragraph in told:
            example = paragraph.startswith("Example")
            parts.append(
                f"{paragraph.splitlines()[0]}\n\n```sh\n"
                + "\n".join(x.strip() for x in paragraph.splitlines()[1:])
                + "\n```"
                if example
                else paragraph
            )
        rows = [record for p in command.get_params(context) if (record := p.get_help_record(context))]
        parts.append("| option | |\n|---|---|\n" + "\n".join(f"| `{a}` | {_cell(b)} |" for a, b in rows))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("\\[", "[").split())
