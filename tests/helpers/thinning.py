"""Which cases of a large table run by default; the others run with SYMBACKPROP_EVERYTHING=1."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

EVERYTHING = os.environ.get("SYMBACKPROP_EVERYTHING") == "1"
_LEFT_OUT = pytest.mark.skipif(not EVERYTHING, reason="runs with SYMBACKPROP_EVERYTHING=1")


def thinned(cases: Sequence[Any], kept: Callable[[Any], bool] | int) -> list[Any]:
    """The cases for `parametrize`, those that are not kept marked.

    Args:
        kept: says of a case whether it runs by default; or a number n, for every n-th.
    """
    by_default = [k % kept == 0 if isinstance(kept, int) else kept(case) for k, case in enumerate(cases)]
    return [
        case if runs else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=_LEFT_OUT)
        for case, runs in zip(cases, by_default, strict=True)
    ]
