"""The backward pass of layer normalisation."""

from pathlib import Path

from derivations.build.layer_exhibit import layer_exhibit
from symbackprop.checking.claims import Exhibit

SHOWN = "gradient with respect to x"  # the theorem that stands in the index

REMARKS = {
    "mu_bar": "Deviations from a mean add up to zero, so the path through the variance drops out.",
    "x_bar": "What arrives, less its mean over the row, less a part along x_hat: to shift a row changes nothing, to "
    "scale it next to nothing, so these parts must go.",
}


def exhibit() -> Exhibit:
    """From the traced forward pass to the form that is used by hand."""
    return layer_exhibit(
        Path(__file__).with_name("layernorm.py"),
        "Layer normalisation",
        "A change of one entry moves its whole row, through the mean and through the variance: three paths lead back.",
        remarks=REMARKS,
    )
