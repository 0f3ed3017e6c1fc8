"""The gallery's exhibits, each read and proved once by a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from derivations.build.gallery import Exhibit, folders, read_exhibit

SOURCE = Path(__file__).resolve().parents[2] / "derivations"
NAMES = [folder.name for folder in folders(SOURCE)]


@cache
def exhibit_of(name: str) -> Exhibit:
    """The exhibit in the folder of this name."""
    return read_exhibit(SOURCE / name)
