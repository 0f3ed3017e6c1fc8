"""What is wrong with a claim that was refuted: the edit that would make it right, proved, or where it goes wrong.

In: the claim, the derived gradient, the counterexample. Out: a sentence, and the corrected line.

Door: `diagnoses` in `diagnose`, for code and formulas alike. The slips that people make are one table, the sources of
`line_edits`: `node_slips`, `node_replacements`, `misfits`. Read first: `diagnose`, then `search`.
"""
