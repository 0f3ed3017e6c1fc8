"""Programs from what users write: networks, formulas, equations, NumPy functions.

In: a description (`network`), text (`formula`, `equations`), or functions (the room `numpy`). Out: a `Program` with its
domain. Text is read by a whitelist and never evaluated.

Door: `Network` in `network`, `read_program` in `equations`, `trace` in `numpy.traced`. Read first: `formula`, then
`network`.
"""
