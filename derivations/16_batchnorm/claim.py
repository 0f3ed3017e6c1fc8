"""The backward pass of batch normalisation."""

from pathlib import Path

from derivations.build.layer_exhibit import Form, layer_exhibit
from symbackprop.checking.claims import Exhibit

SHOWN = "gradient with respect to x, simplified"  # the theorem that stands in the index

ROOT = "sqrt(var[d] + 1/100000)"
FORMS = (
    Form(
        f"x_bar[n,d] = gamma[d]/(N*{ROOT})*(N*out_bar[n,d] - beta_bar[d] - x_hat[n,d]*gamma_bar[d])",
        "The sums that stand here are the gradients of $\\beta$ and $\\gamma$.",
        remark="This is the short form that is usually programmed: the sums over the batch are computed once.",
    ),
)


def exhibit() -> Exhibit:
    """From the traced forward pass to the short form that is usually programmed."""
    return layer_exhibit(
        Path(__file__).with_name("batchnorm.py"),
        "Batch normalisation",
        "Mean and variance couple all examples of a batch; the usual short form of the gradient by x is right.",
        FORMS,
    )
