"""Proofs as files that a program checks which imports nothing of ours.

In: a verdict that is PROVED for all sizes. Out: a text in the format of docs/certificate.md.
Door: `emit.certificate_of`. Read first: `check_proof`, a program by itself in the standard library alone.
"""
