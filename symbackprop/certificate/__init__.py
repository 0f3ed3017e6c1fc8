"""Proofs as files that a program checks which imports nothing of ours.

In: a verdict that is PROVED for all sizes. Out: a text in the format of docs/certificate.md, or a file for Coq.
Door: `emit.certificate_of`, and `coq.coq_of` for its text. Read first: `check_proof`, a program by itself.
"""
