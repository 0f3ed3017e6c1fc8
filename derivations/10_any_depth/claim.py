"""Backpropagation for every number of layers, by induction."""

from symbackprop import Network, prove
from symbackprop.claims import Exhibit

NETWORKS = (
    Network(depth="L", activation="f", cost="squared_error", l2="lambda/2"),
    Network(depth="L", activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)"),
)


def exhibit() -> Exhibit:
    """Both seeds' networks: any activation with squared error, sigmoid with cross-entropy."""
    return Exhibit(
        "Backpropagation for any depth",
        "The last layer, one general layer, and induction downwards: the equations hold for every number of layers.",
        tuple(prove(net) for net in NETWORKS),
    )
