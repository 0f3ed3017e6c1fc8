"""Data that a prompt and a notebook show and that `save` writes, without knowing how.

    class Program(Shown): ...                              # below
    register(Program, html=program_html, latex=...)        # above, in document/show

The printers load when something is shown for the first time. Main names: `Shown`, `register`, `saved`,
`in_a_line`, `row`.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REGISTERED_IN = "symbackprop.document.show"
LONGEST_LINE = 100  # characters of what a prompt shows of a formula
MOST_NAMES = 12  # in a row


@dataclass(frozen=True)
class Printer:
    """How one class is shown as HTML, as LaTeX and as text, and written to a file where it can be.

    Args:
        latex: gives None for what has no formula to show.
        text: what `print` shows: lines of plain text.
        brief: what a prompt shows: one line.
        save: takes the thing, the path, and the options of the class's own `save`.
    """

    html: Callable[[Any], str]
    latex: Callable[[Any], str | None]
    text: Callable[[Any], str] = object.__repr__
    brief: Callable[[Any], str] = object.__repr__
    save: Callable[..., Path] | None = None


_PRINTERS: dict[type, Printer] = {}


class Shown:
    """Base of what a prompt shows in a line, `print` in full, and a notebook as mathematics.

    A class may say its `__repr__` and `__str__` itself; a dataclass is then one with `repr=False`.
    """

    def __repr__(self) -> str:
        return _printer(type(self)).brief(self)

    def __str__(self) -> str:
        return _printer(type(self)).text(self)

    def _repr_html_(self) -> str:
        return _printer(type(self)).html(self)

    def _repr_latex_(self) -> str | None:
        return _printer(type(self)).latex(self)


def register(
    kind: type,
    html: Callable[[Any], str],
    latex: Callable[[Any], str | None],
    save: Callable[..., Path] | None = None,
    *,
    text: Callable[[Any], str] = object.__repr__,
    brief: Callable[[Any], str] = object.__repr__,
) -> None:
    """From now on things of this class, and of classes that have none of their own, are shown so."""
    _PRINTERS[kind] = Printer(html, latex, text, brief, save)


def in_a_line(text: str) -> str:
    """`text` as one line that fits on a screen.

    Example:
        >>> len(in_a_line("a = b + c + " * 20))
        100
    """
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 4] + " ..."


def enumerated(names: Iterable[str]) -> str:
    """Names, those that differ by a running number as "W0 to W63" where there are many.

    Example:
        >>> enumerated([f"{name}{k}" for k in range(30) for name in ("W", "b")] + ["x"])
        'W0 to W29, b0 to b29, x'
    """
    names = list(names)
    if len(names) > MOST_NAMES:
        families: dict[str, list[tuple[int, str]]] = {}
        for name in names:
            *_, number = ["0", *re.findall(r"\d+", name)]
            families.setdefault(name.replace(number, "*"), []).append((int(number), name))
        names = [text for family in families.values() for text in _runs(sorted(family))]
    rest = [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join([*names[:MOST_NAMES], *rest])


def _runs(family: list[tuple[int, str]]) -> Iterator[str]:
    """Names that differ by a number alone; of more than two that follow each other the first and the last."""
    for _, run in itertools.groupby(enumerate(family), key=lambda pair: pair[1][0] - pair[0]):
        found = [name for _, (_, name) in run]
        yield from [f"{found[0]} to {found[-1]}"] if len(found) > 2 else found


def row(label: str, text: str) -> list[str]:
    """A labelled line; further lines of the text are indented under the first.

    Example:
        >>> row("if", "m > 0")
        ['  if         m > 0']
    """
    if not text:
        return []
    first, *rest = text.split("\n")
    return [f"  {label:<10} {first}", *(" " * 13 + line for line in rest)]


def saved(thing: Shown, path: str | Path, **options: Any) -> Path:
    """Write the thing's document; its class says which options there are."""
    save = _printer(type(thing)).save
    assert save is not None, f"{type(thing).__name__} is not saved"
    return save(thing, path, **options)


def _printer(kind: type) -> Printer:
    if not _PRINTERS:
        importlib.import_module(REGISTERED_IN)
    return next(_PRINTERS[base] for base in kind.__mro__ if base in _PRINTERS)
