"""Data that a notebook shows and that `save` writes, without knowing how.

    class Program(Shown): ...                              # below
    register(Program, html=program_html, latex=...)        # above, in document/show

The printers load when something is shown for the first time. Main names: `Shown`, `register`, `saved`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REGISTERED_IN = "symbackprop.document.show"


@dataclass(frozen=True)
class Printer:
    """How one class is shown as HTML and as LaTeX, and written to a file where it can be.

    Args:
        latex: gives None for what has no formula to show.
        save: takes the thing, the path, and the options of the class's own `save`.
    """

    html: Callable[[Any], str]
    latex: Callable[[Any], str | None]
    save: Callable[..., Path] | None = None


_PRINTERS: dict[type, Printer] = {}


class Shown:
    """Base of what a notebook shows as mathematics."""

    def _repr_html_(self) -> str:
        return _printer(type(self)).html(self)

    def _repr_latex_(self) -> str | None:
        return _printer(type(self)).latex(self)


def register(
    kind: type,
    html: Callable[[Any], str],
    latex: Callable[[Any], str | None],
    save: Callable[..., Path] | None = None,
) -> None:
    """From now on things of this class, and of classes that have none of their own, are shown so."""
    _PRINTERS[kind] = Printer(html, latex, save)


def saved(thing: Shown, path: str | Path, **options: Any) -> Path:
    """Write the thing's document; its class says which options there are."""
    save = _printer(type(thing)).save
    assert save is not None, f"{type(thing).__name__} is not saved"
    return save(thing, path, **options)


def _printer(kind: type) -> Printer:
    if not _PRINTERS:
        importlib.import_module(REGISTERED_IN)
    return next(_PRINTERS[base] for base in kind.__mro__ if base in _PRINTERS)
