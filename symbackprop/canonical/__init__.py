"""The normal form of expressions and equality for all sizes; see `reading.Canonical`."""

from symbackprop.canonical.alike import Pattern, pattern
from symbackprop.canonical.reading import Canonical, is_integer

__all__ = ["Canonical", "Pattern", "is_integer", "pattern"]
