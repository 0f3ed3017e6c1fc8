"""The backward pass of layer normalisation."""

from pathlib import Path

from symbackprop.claims import Exhibit
from symbackprop.layer_exhibit import Form, layer_exhibit

ROOT = "sqrt(var[n] + 1/100000)"
FORMS = (
    Form(
        f"mu_bar[n] = -sum(d, x_hat_bar[n,d])/{ROOT}",
        "Deviations from a mean add up to zero, so the path through the variance drops out.",
    ),
    Form(
        "x_bar[n,d] = (x_hat_bar[n,d] - sum(e, x_hat_bar[n,e])/D"
        f" - x_hat[n,d]*sum(e, x_hat_bar[n,e]*x_hat[n,e])/D)/{ROOT}",
        "The same with x_hat for the centred row over its root; deviations from a mean add up to zero.",
        remark="What arrives, less its mean over the row, less a part along x_hat: to shift a row changes nothing, to "
        "scale it next to nothing, so these parts must go.",
    ),
)


def exhibit() -> Exhibit:
    """From the traced forward pass to the form that is used by hand."""
    return layer_exhibit(
        Path(__file__).with_name("layernorm.py"),
        "Layer normalisation",
        "A change of one entry moves its whole row, through the mean and through the variance: three paths lead back.",
        FORMS,
    )
