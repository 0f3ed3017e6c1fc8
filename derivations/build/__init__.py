"""Builds this folder's documents; no part of the package, and no user of it needs this.

    python -m derivations.build            rebuild all
    python -m derivations.build 03         those whose name begins so

`gallery` turns each claim.py into documents, `layer_exhibit` makes the claims about NumPy code, `first_page` draws the
pictures.
"""
