"""Errors: what was wrong, where, and what to do.

Three kinds reach a user: the input is malformed, it is not supported (yet), or a proof step does not check. Every
message has the same layout: one sentence, the user's own text with a caret, evidence, and one `help:` line.
This module knows nothing of mathematics.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class SymbackpropError(Exception):
    """Any error that a user can cause; `str()` is the whole message.

    Args:
        what: one sentence, lower case, no full stop.
        where: the user's own text in which the fault lies, if there is one.
        span: (start, end) of the guilty part of `where`, marked with carets.
        evidence: lines such as "left:   i (out), j (in)".
        help: one concrete action; leave it out unless it is sure.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        span: tuple[int, int] | None = None,
        evidence: Iterable[str] = (),
        help: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.span = span
        self.evidence = tuple(evidence)
        self.help = help
        super().__init__(self._message())

    def _message(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append("    " + self.where)
            if self.span is not None:
                start, end = self.span
                lines.append("    " + " " * start + "^" * max(1, end - start))
        lines += ["  " + line for line in self.evidence]
        if self.help:
            lines.append("help: " + self.help)
        return "\n".join(lines)


class MalformedError(SymbackpropError):
    """The input makes no sense as it stands."""


class IndexNotationError(MalformedError):
    """Indices or axes of an equation do not fit together."""


class NetworkError(MalformedError):
    """A network description that cannot be read."""


class FormulaError(MalformedError):
    """Text that is not a formula of the language that is parsed here."""


class DataError(MalformedError):
    """Arrays or files that do not fit the network or the task."""


class UnsupportedError(SymbackpropError):
    """A sensible request that this version does not handle."""


class TraceError(UnsupportedError):
    """A NumPy function that cannot be followed for all sizes."""


class ProofError(SymbackpropError):
    """A proof step that the kernel does not accept."""


class GeneratedCodeError(SymbackpropError):
    """Generated code that does not compute what was proved: a fault of this package, never of its user."""


class BudgetError(SymbackpropError):
    """Work stopped because its time or term budget ran out."""


def reports_all(function: F) -> F:
    """A public function that raises none but our own errors: what nobody has foreseen is told as such."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except (SymbackpropError, AssertionError):
            raise
        except (OverflowError, MemoryError, RecursionError) as error:
            raise BudgetError(f"sizes or numbers are too large ({type(error).__name__})") from error
        except Exception as error:
            what = f"internal error: {type(error).__name__}: {error}"
            raise UnsupportedError(what, help="please report this case") from error

    return call  # type: ignore[return-value]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None.

    Example:
        >>> nearest("sigmod", ["sigmoid", "tanh"])
        'sigmoid'
    """
    lower = {k.lower(): k for k in known}
    matches = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return lower[matches[0]] if matches else None
