"""Numerical safety: what floating point makes of a backward pass that is right over the reals.

In: a proved verdict, the user's two functions, ranges and a dtype. Out: a `checking.verdict.Precision`: the worst input
that was seen, the expression that loses the digits there, and a stable form that is proved equal.

Door: `precision_of` in `safety`. Read first: `exact_values`, `search`, then `interval_runs`, `blame` and `cures`.
"""
