"""Numerical safety: what floating point makes of a function that is right over the reals.

In: a proved verdict and the user's two functions, or a traced forward alone; ranges and a dtype. Out: a
`checking.verdict.Precision`: the worst input that was seen, the expression that loses the digits, and a stable form
that is proved equal.

Door: `precision_of` and `precision_of_forward` in `safety`. Read first: `exact_values`, `search`, then
`interval_runs`, `blame` and `cures`.
"""
