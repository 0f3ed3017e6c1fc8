"""The normal form of expressions and equality for all sizes; see `reading.Canonical`."""

from symbackprop.canonical.reading import Canonical, is_integer

__all__ = ["Canonical", "is_integer"]
