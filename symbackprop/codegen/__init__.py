"""Code from Programs: NumPy, C and JAX.

`compile_program` turns any Program into a function; `compile_network` gives a network's cost and gradient the fast
forms.
"""

from symbackprop.codegen.network import CompiledNetwork, compile_network
from symbackprop.codegen.program import CompiledProgram, compile_program

__all__ = ["CompiledNetwork", "CompiledProgram", "compile_network", "compile_program"]
