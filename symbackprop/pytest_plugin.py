"""pytest collects backward passes marked by `gradient_of`, and fails with the whole story of those that are not proved.

    # test_layers.py
    from layers import backward         # marked with @sb.gradient_of(forward, shapes=...)

Loaded by pytest where the package is installed; `-p no:symbackprop` leaves it out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import symbackprop
from symbackprop.checking.marked import claim_of


class GradientItem(pytest.Item):
    """One backward pass."""

    def __init__(self, *, backward: Callable[..., Any], **options: Any) -> None:
        super().__init__(**options)
        self.backward = backward

    def runtest(self) -> None:
        """Pass if it is proved.

        Raises:
            AssertionError: it is not; the message is the verdict.
        """
        claim = claim_of(self.backward)
        assert claim is not None, "only what is marked is collected"
        symbackprop.assert_proved(claim.forward, self.backward, **claim.options)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The verdict alone: no traceback through this package."""
        if isinstance(excinfo.value, (AssertionError, symbackprop.SymbackpropError)):
            return str(excinfo.value).lstrip("\n")
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where the backward pass stands."""
        code = getattr(inspect.unwrap(self.backward), "__code__", None)
        return self.path, code.co_firstlineno - 1 if code else None, f"gradient: {self.name}"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> GradientItem | None:
    """Collect what is marked, whatever it is called."""
    if claim_of(obj) is None:
        return None
    item: GradientItem = GradientItem.from_parent(collector, name=name, backward=obj)
    return item
