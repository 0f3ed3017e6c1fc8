"""The language: expressions in index notation over axes of symbolic size, and programs made of them.

In: numbers, symbols, tensors with axes. Out: `Expr` (frozen, interned nodes) and `Program`, an ordered list of
equations, each defining one tensor entry by entry. Sizes have an arithmetic of their own: what can be proved about
them for all values (`sizes`).

Door: the constructors in `build`, `Program` in `program`. Read first: `nodes`, then `build`, then `program`.
"""
