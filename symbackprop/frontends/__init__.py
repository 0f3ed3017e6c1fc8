"""Programs from what users write: networks, formulas, equations, functions for NumPy, PyTorch and JAX.

In: a description (`network`), text (`formula`, `equations`), or functions (the rooms `numpy`, `torch`, `jax`). Out: a
`Program` with its domain. Text is read by a whitelist and never evaluated.

Door: `Network` in `network`, `read_program` in `equations`, `trace` in `numpy.traced`, `passes_of` in `subject`. Read
first: `formula`, then `network`.
"""
