"""Derivatives with their proofs. Read this room to know what PROVED rests on.

In: a program with one scalar cost. Out: for each tensor its cotangent and a `Derivation`, a chain of named steps that
the kernel replays. `reverse_mode` proposes, `kernel` checks; neither imports the other.

Door: `differentiate` in `reverse_mode`, `Kernel` in `kernel`. Read first: `derivation` (the data), `rules` (the table
of named rules), then `kernel`.
"""
