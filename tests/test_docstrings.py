"""What docstrings show is what is printed.

Only modules that show something are imported here: pytest's own collector imports and rewrites every module, in each
of its processes, before the first test.
"""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import symbackprop

PACKAGE = Path(symbackprop.__file__).parent
SHOWING = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]
OPTIONAL = ("jax", "matplotlib", "sklearn", "torch")


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", [dotted(path) for path in SHOWING])
def test_docstrings_show_what_is_printed(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name not in OPTIONAL:
            raise
        pytest.skip(f"{missing.name} is not installed")
    tried = doctest.testmod(module)
    assert tried.attempted, "it shows something that nobody tries"
    assert not tried.failed, "the output above says what is printed instead"
