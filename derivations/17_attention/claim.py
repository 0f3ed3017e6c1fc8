"""The backward pass of scaled dot-product attention with a causal mask."""

from pathlib import Path

from symbackprop.claims import Exhibit
from symbackprop.layer_exhibit import Form, layer_exhibit

FORMS = (
    Form(
        "s_bar[t,i] = p[t,i]*(p_bar[t,i] - sum(j, p[t,j]*p_bar[t,j]))",
        "A masked exponential over its sum is the attention weight p.",
        remark="Each weight times what arrives, less the average of what arrives under these weights. No mask is left "
        "in it, because a masked weight is zero.",
    ),
)


def exhibit() -> Exhibit:
    """Queries, keys and values of any number and any two widths."""
    return layer_exhibit(
        Path(__file__).with_name("attention.py"),
        "Attention with a causal mask",
        "The softmax under the mask sends back each weight times what arrives, less its average under the weights; the gradients of queries, keys and values hold for every length.",
        FORMS,
    )
