"""compile: the proved equations of a network or a Program as running code.

    f = compile(net)
    J, grads = f(params, X, Y, lam=1.0)

The equations become code once the kernel has replayed how they were derived.
"""

from __future__ import annotations

from functools import lru_cache

from symbackprop.api import program_gradient
from symbackprop.calculus.kernel import Kernel
from symbackprop.codegen.network import CompiledNetwork, compile_network
from symbackprop.codegen.program import CompiledProgram, compile_program
from symbackprop.errors import MalformedError, UnsupportedError
from symbackprop.expression.functions import ACTIVATIONS
from symbackprop.expression.program import Program
from symbackprop.frontends.network import Network
from symbackprop.proofs.network import prove_network


def compile(
    subject: Network | Program, backend: str = "numpy", dtype: str = "float64"
) -> CompiledNetwork | CompiledProgram:
    """Code for the cost and the gradients.

    Args:
        subject: a network; or a Program, whose function returns its cost (or takes `dout`) and x_bar for each real
        input x.
        backend: "numpy", "c" or "jax".
        dtype: "float64" or "float32".

    Scale:
        the cost is the mean or the sum over the examples, as the network says.

    Raises:
        UnsupportedError: an arbitrary activation, outputs that the cost cannot take, a network of symbolic depth,
            another backend or type.
        MalformedError: not a network or program.
        ProofError: the kernel refused a step: a fault of this package.
    """
    if not isinstance(subject, (Network, Program)):
        raise MalformedError(
            f"compile takes a Network or a traced Program, not {type(subject).__name__}",
            help="sb.compile(sb.Network([3, 5, 2])), or sb.compile(sb.trace(forward, shapes))",
        )
    if not isinstance(backend, str) or not isinstance(dtype, str):
        raise MalformedError("backend and dtype are words", help='sb.compile(net, "c", "float32")')
    return _compiled(subject, backend, dtype)


@lru_cache(maxsize=64)
def _compiled(subject: Network | Program, backend: str, dtype: str) -> CompiledNetwork | CompiledProgram:
    """`compile` for what has the right types; the same question has the same answer."""
    if isinstance(subject, Network):
        if subject.depth is not None:
            raise UnsupportedError(
                "a network of any depth cannot be compiled", help="list its layers: Network([64, 30, 10])"
            )
        _check_outputs(subject)
        proof = prove_network(subject)
        assert proof.gradient is not None
        return compile_network(proof.gradient.adjoint, subject.prediction, subject.widths, backend=backend, dtype=dtype)
    gradient, _ = program_gradient(subject)
    kernel = Kernel(gradient.program)
    for derivation in gradient.derivations.values():
        kernel.replay(derivation)
    return compile_program(gradient.adjoint, backend=backend, dtype=dtype)


def _check_outputs(network: Network) -> None:
    """Cross-entropy takes logarithms: an output of 0, or below, would make every cost infinite or no number."""
    function = network.layers[-1].function
    if network.cost_name != "cross_entropy" or function is None:
        return
    if function.name in ACTIVATIONS and function.name != "sigmoid":
        name = function.name
        raise UnsupportedError(
            f"cross-entropy needs outputs between 0 and 1, but those of {name} are not",
            help=f'let the last layer be sigmoid: --activation {name},sigmoid, or activation=["{name}", "sigmoid"]; '
            "or take the squared error",
        )
