"""The functions that a user calls, each the list of its stages.

    proof = prove(Network([3, 5, 4], activation="tanh", cost="squared_error"))
    proof.save("proof.html")

For a Program (a traced NumPy function, say) every cotangent is derived and replayed; outputs that are arrays are
met by an upstream gradient `dout`, so that the cost is Sum(dout * out).
"""

from __future__ import annotations

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
