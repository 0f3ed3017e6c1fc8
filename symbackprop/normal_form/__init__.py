"""Equality for all sizes: every expression becomes a sum of terms, coefficient * contraction of a product of atoms.

In: two expressions and what is assumed. Out: equal or not, and what must not be zero for that. Two expressions with one
normal form are equal for every size; for polynomials the converse holds as well.

Door: `Canonical` in `normal_form`. Read first: `data` (atoms, monomials, polynomials), then `normal_form`, then
`rewriter`, which applies the rules of the modules `rules_*`. What `equal` answers is trusted by the kernel.
"""
