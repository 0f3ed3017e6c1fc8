"""The functions that a user calls, each the list of its stages.

    proof = prove(Network([3, 5, 4], activation="tanh", cost="squared_error"))
    proof.save("proof.html")

For a Program (a traced NumPy function, say) every cotangent is derived and replayed; outputs that are arrays are
met by an upstream gradient `dout`, so that the cost is Sum(dout * out).
"""

from __future__ import annotations

from symbackprop.checking.generated_code import examined_code
from symbackprop.codegen.network import CompiledNetwork
from symbackprop.codegen.program import CompiledProgram
from symbackprop.errors import MalformedError
from symbackprop.expression.program import Program
from symbackprop.frontends.network import Network
from symbackprop.proofs.network import prove_network
from symbackprop.proofs.program import prove_program
from symbackprop.proofs.theorem import Proof


def prove(subject: Network | Program) -> Proof:
    """Derive the gradients and have the kernel replay every step.

    Args:
        subject: a network (all widths and batch sizes; all depths if its depth is a symbol) or a Program.

    Raises:
        UnsupportedError: a Program holds something without a derivative rule.
        ProofError: the kernel refused a step: a fault of this package.

    Example:
        >>> proof = prove(Network([3, 5, 4], activation="sigmoid", cost="cross_entropy"))
        >>> proof.status, proof.theorems[1].text
        ('PROVED', 'delta3[n,k] = (a3[n,k] - y[n,k])/m')
    """
    return prove_network(subject) if isinstance(subject, Network) else prove_program(subject)


def compile(
    subject: Network | Program, backend: str = "numpy", dtype: str = "float64"
) -> CompiledNetwork | CompiledProgram:
    """Code for the cost and the gradients: proved, printed, and examined before it is handed out.

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
        GeneratedCodeError: the code does not compute what was proved: a fault of this package.
    """
    if not isinstance(subject, (Network, Program)):
        raise MalformedError(
            f"compile takes a Network or a traced Program, not {type(subject).__name__}",
            help="sb.compile(sb.Network([3, 5, 2])), or sb.compile(sb.trace(forward, shapes))",
        )
    if not isinstance(backend, str) or not isinstance(dtype, str):
        raise MalformedError("backend and dtype are words", help='sb.compile(net, "c", "float32")')
    return examined_code(subject, backend, dtype)
