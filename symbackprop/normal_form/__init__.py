"""The normal form of expressions and equality for all sizes; see `reading.Canonical`."""

from symbackprop.normal_form.normal_form import Canonical, is_integer
from symbackprop.normal_form.renaming import Pattern, pattern

__all__ = ["Canonical", "Pattern", "is_integer", "pattern"]
