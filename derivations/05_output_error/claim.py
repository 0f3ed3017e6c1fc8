"""The error term of the output layer for three costs."""

from symbackprop import Network, prove
from symbackprop.checking.claims import Exhibit

SHOWN = "output layer: activation minus target"  # the theorem that stands in the index

NETWORKS = (
    Network(["s_1", "K"], activation="f", cost="squared_error", reduction="sum"),
    Network(["s_1", "K"], activation="sigmoid", cost="cross_entropy", reduction="sum"),
    Network(["s_1", "K"], activation="softmax", cost="softmax_cross_entropy", reduction="sum"),
)


def exhibit() -> Exhibit:
    """Squared error with any activation; cross-entropy with sigmoid; cross-entropy with softmax, for targets that add up to 1."""
    return Exhibit(
        "The error term of the output layer",
        "$-(y - a) f'(z)$ for squared error; $a - y$ for cross-entropy with sigmoid units, and with softmax where the targets of an example add up to 1.",
        tuple(prove(net) for net in NETWORKS),
    )
