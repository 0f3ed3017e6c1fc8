"""Documents: proofs as LaTeX, PDF, HTML and Markdown; see `proof.proof_document` and `save.save`."""
