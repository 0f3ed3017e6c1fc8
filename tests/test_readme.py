"""The README's sessions are run, and what they print is compared with the page word for word.

`python tests/test_readme.py` writes what is printed now into the page.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_here

README = Path(__file__).parent.parent / "README.md"
FIRST = ["prove", "--layers", "3,5,4"]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_session(text, names):
    """A session of one-line statements with what it really prints."""
    lines = []
    for line in text.splitlines():
        if line.startswith(">>> "):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(line[4:], "README.md", "single"), names)
            lines += [line, *printed.getvalue().splitlines()]
    return "\n".join(lines) + "\n"


def shell(command, folder):
    """Standard output of a command, which may fail: verdicts have exit statuses.

    The first sub-command on the page runs from the installed script, the others here.
    """
    name, *words = shlex.split(command)
    if name == "symbackprop" and words[:3] != FIRST:
        run = run_here(words, folder)
        assert run.stderr == "", run.stderr
        return run
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.stderr == "", run.stderr
    return run


def console_session(text, folder):
    """A shell session with what it really prints."""
    commands = [line for line in text.splitlines() if line.startswith("$ ")]
    return "".join(f"{command}\n{shell(command[2:], folder).stdout}" for command in commands)


def rerun(page, folder):
    """The page with every session as it really goes; files and plain commands are written and run on the way."""
    names = {}

    def block(match):
        language, name, text = match[1], match[2], match[3]
        if name:
            (folder / name).write_text(text)
        elif language == "sh":
            assert [line for line in text.splitlines() if shell(line, folder).returncode] == []
        elif language == "pycon":
            text = python_session(text, names)
        elif language == "console":
            text = console_session(text, folder)
        return f"```{language}{' ' + name if name else ''}\n{text}```"

    return BLOCK.sub(block, page)


@pytest.mark.skipif(os.name == "nt", reason="the page's commands are for a POSIX shell")
def test_readme_shows_what_is_really_printed(tmp_path):
    pytest.importorskip("matplotlib")
    page = README.read_text(encoding="utf-8")
    assert f"$ symbackprop {' '.join(FIRST)} " in page
    assert rerun(page, tmp_path) == page


def test_readme_links_to_files_that_exist():
    links = re.findall(r"\]\((?!http)([^)#]+)", README.read_text(encoding="utf-8"))
    assert [link for link in links if not (README.parent / link).exists()] == []


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        README.write_text(rerun(README.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")
