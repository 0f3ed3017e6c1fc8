r"""LaTeX mathematics as people write it -> presentation trees.

Main names: `parse` (a whole formula: rows, chains, members), `parse_expression` (one member), `flat` (a product on one
level). Reading never fails with an exception: what is not understood is a `NotUnderstood` with reason and place.
"""

from __future__ import annotations

from symbackprop.audit.tree import Display, Node, Product


def parse(text: str) -> Display:
    r"""The rows of a formula.

    Example:
        >>> [link.relation.sign for link in links(parse(r"a &= b \\ &\approx c"))]
        ['=', '≈']
    """
    raise NotImplementedError


def parse_expression(text: str) -> Node:
    """One member: an expression without relations outside brackets, or a chain where there are some."""
    raise NotImplementedError


def flat(product: Product) -> Product:
    r"""All factors on one level, A B \odot C as three, with the operators as they stand from left to right."""
    raise NotImplementedError
