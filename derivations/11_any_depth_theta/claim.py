"""Backpropagation for every number of layers, with the biases in column 0 of Θ."""

from symbackprop import Network, prove
from symbackprop.checking.claims import Exhibit

SHOWN = "error term of a general layer"  # the theorem that stands in the index


def exhibit() -> Exhibit:
    """Sigmoid units, cross-entropy, weight decay over the number of examples."""
    net = Network(depth="L", activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    return Exhibit(
        "Backpropagation for any depth, in Θ",
        "The biases are column 0 of Θ, the network is $h_\\Theta$, and a superscript $(i)$ numbers the examples.",
        (prove(net),),
        notation="theta",
    )
