"""Proofs that others can check: what a verdict rests on as a text file, and a checker that imports nothing of ours.

In comes a verdict PROVED for all sizes; out goes a file in the format of docs/certificate.md, by the door
`emit.certificate`. `check_proof` is a program by itself, in the standard library alone: read it first.
"""
