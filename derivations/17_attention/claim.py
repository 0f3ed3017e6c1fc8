"""The backward pass of scaled dot-product attention with a causal mask."""

from pathlib import Path

from derivations.build.layer_exhibit import layer_exhibit
from symbackprop.checking.claims import Exhibit

SHOWN = "back to s"  # the theorem that stands in the index


def exhibit() -> Exhibit:
    """Queries, keys and values of any number and any two widths."""
    return layer_exhibit(
        Path(__file__).with_name("attention.py"),
        "Attention with a causal mask",
        "The softmax under the mask sends back each weight times what arrives, less its average under the weights, with "
        "no mask left in it: a masked weight is zero. The gradients of queries, keys and values hold for every length.",
    )
