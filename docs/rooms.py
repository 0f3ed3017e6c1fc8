"""The picture in architecture.md: the rooms of the package and what they import, read from the files themselves.

    python docs/rooms.py            # draws it anew

An arrow leads from a room to one that it imports; one that other arrows imply is left out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "symbackprop"
BEGIN, END = "```mermaid\n", "```\n"


def room_of(module: str) -> str:
    """The folder, or the file beside the folders, in which a module of the package stands."""
    return module.split(".")[1]


def imported(path: Path) -> set[str]:
    """The rooms that a file imports."""
    modules = re.findall(r"^\s*from (symbackprop\.[\w.]+) import ", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {room_of(m) for m in modules}


def graph() -> dict[str, set[str]]:
    """For each room the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if not name.startswith("__"):
            found.setdefault(name, set()).update(imported(path) - {name})
    return found


def reached(start: Iterable[str], rooms: Mapping[str, set[str]]) -> set[str]:
    """All that is imported from there, directly or not."""
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        room = waiting.pop()
        if room not in seen:
            seen.add(room)
            waiting += rooms[room]
    return seen


def picture() -> str:
    """The graph in Mermaid's syntax, without the arrows that others imply, users above what they use."""
    rooms = graph()
    lines = ["flowchart TD"]
    for room in sorted(rooms, key=lambda r: (-len(reached(rooms[r], rooms)), r)):
        for other in sorted(rooms[room]):
            if other not in reached(rooms[room] - {other}, rooms):
                lines.append(f"    {room} --> {other}")
    return "\n".join(lines) + "\n"


def with_picture(page: str) -> str:
    """The page with its picture drawn anew."""
    before, rest = page.split(BEGIN, 1)
    return before + BEGIN + picture() + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    page = DOCS / "architecture.md"
    page.write_text(with_picture(page.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
