"""Verdicts on what users derived: PROVED, REFUTED with numbers, UNDECIDED with a reason, MALFORMED.

In: a forward and a hand-written backward pass, or a formula about a network. Out: a `Verdict`. Numbers that refute are
exact; a refuted claim is diagnosed (the room `diagnosis`).

Door: `check` in `check`, `verify` in `verify`. Read first: `verdict`, `question`, then `decide`.
"""
