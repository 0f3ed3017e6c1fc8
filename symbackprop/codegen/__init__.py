"""Code that runs: the proved equations as NumPy, C, JAX or PyTorch.

In: a `Program`, or a network's cost and gradient. Out: functions, and the text of the module that they come from.
Programs are first lowered to a short list of array statements (the room `lowering`); the rooms `numpy`, `c` and
`torch` print those.

Door: `compile_program` in `program`, `compile_network` in `network`. Read first: `lowering.form`, then
`lowering.lower`, then `numpy.plain`.
"""
