"""What is wrong with a claim that was refuted: the edit that would make it right, proved, or where it goes wrong.

In: the claim, the derived gradient, the counterexample. Out: a sentence, and the corrected line.

Door: `mends` in `diagnose` for code, `formula` for formulas. Read first: `diagnose`, then `search`.
"""
