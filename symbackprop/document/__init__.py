"""Documents: proofs and verdicts as LaTeX, PDF, HTML and Markdown.

In: a proof or a verdict. Out: a `Document` (sections, displays, tables), which the writers `tex`, `html` and `markdown`
turn into text.

Door: `proof_document` in `proof_document`, `verdict_document` in `verdict_document`, `save` in `save`. Read first:
`model`, then `proof_document`.
"""
