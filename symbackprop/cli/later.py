"""Modules that take long to import, each loaded when it is first used.

    from symbackprop.cli.later import proving        # costs nothing
    proving.prove(network)                           # imports symbackprop.proving

So `symbackprop prove` never waits for training or plotting. Only this module of the command line imports by name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symbackprop import checking as checking
    from symbackprop import compiling as compiling
    from symbackprop import data as data
    from symbackprop import files as files
    from symbackprop import network as network
    from symbackprop import plot as plot
    from symbackprop import program as program
    from symbackprop import progress as progress
    from symbackprop import proving as proving
    from symbackprop import storage as storage
    from symbackprop import train as train
    from symbackprop import verifying as verifying


NAMES = (
    *("checking", "compiling", "data", "files", "network", "plot"),
    *("program", "progress", "proving", "storage", "train", "verifying"),
)


class Later:
    """Stands for a module of this package until something in it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # a tool that looks the object over does not use it
            raise AttributeError(attribute)
        return getattr(importlib.import_module(f"symbackprop.{self._name}"), attribute)


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Later(name)
