"""The table in numpy.md: what is known of each public function of NumPy, asked of the tracer's own stand-ins.

python docs/numpy_table.py      # writes it anew
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.special

import symbackprop.frontends.numpy.rebind  # noqa: F401 (fills the table of operations)
from symbackprop.frontends.numpy.creation import REFUSED
from symbackprop.frontends.numpy.namespace import MODULES, Namespace, Operation
from symbackprop.frontends.numpy.opaque import Refused

PAGE = Path(__file__).resolve().parent / "numpy.md"
BEGIN = "<!-- written by numpy_table.py -->\n"


def functions(module: object) -> list[str]:
    """The names of the public functions of a module."""
    names = [n for n in dir(module) if not n.startswith("_")]
    found = [n for n in names if callable(getattr(module, n)) and not inspect.isclass(getattr(module, n))]
    return [n for n in found if n not in ("test", "show_config", "show_runtime", "info", "get_include")]


def table(module: object, namespace: Namespace) -> dict[str, list[str]]:
    """exact, refused and untouched: the functions of a module."""
    found: dict[str, list[str]] = {"exact": [], "refused": [], "as it is": []}
    for name in functions(module):
        value = getattr(namespace, name)
        refused = isinstance(value, Refused) or (isinstance(value, Operation) and value.__name__ in REFUSED)
        kind = "exact" if isinstance(value, Operation) and not refused else "refused" if refused else "as it is"
        found[kind].append(name)
    return found


def asked_of() -> str:
    """Which NumPy was asked: others have other functions."""
    return f"Asked of NumPy {'.'.join(np.__version__.split('.')[:2])}."


def page() -> str:
    """The page, as it is written."""
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0] + BEGIN
    numpy = MODULES["numpy"]
    text += f"\n{asked_of()}\n"
    for title, module, namespace in (
        ("numpy", np, numpy),
        ("numpy.linalg", np.linalg, numpy.linalg),
        ("scipy.special", scipy.special, MODULES["scipy.special"]),
        ("scipy.linalg", scipy.linalg, MODULES["scipy.linalg"]),
    ):
        found = table(module, namespace)
        text += f"\n## {title}\n"
        for kind, names in found.items():
            shown = names if not title.startswith("scipy") or kind != "refused" else []
            if shown:
                text += f"\n{kind}: {', '.join(f'`{n}`' for n in shown)}\n"
    return text + "\nAll else in `scipy.special` and `scipy.linalg` is refused by name.\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} written\n")
