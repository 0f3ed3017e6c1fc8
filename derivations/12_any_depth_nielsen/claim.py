"""Backpropagation for every number of layers, with weights that are numbered by the layer they lead to."""

from symbackprop import Network, prove
from symbackprop.checking.claims import Exhibit

SHOWN = "error term of a general layer"  # the theorem that stands in the index


def exhibit() -> Exhibit:
    """The derivation of 10_any_depth in the notation of Nielsen's book."""
    net = Network(depth="L", activation="f", cost="squared_error", l2="lambda/2")
    return Exhibit(
        "Backpropagation for any depth, in Nielsen's notation",
        "The same derivation with the cost called $C$, the activation $\\sigma$, and weights numbered by the layer they lead to.",
        (prove(net),),
        notation="nielsen",
    )
