"""C code: array statements as one C file, compiled once and loaded.

In: a `Form`. Out: a loaded library (`build`), called with arrays.

Door: `CNetwork` in `network`, `program_function` in `program`. Read first: `printer`, then `loops` and `products`.
"""
