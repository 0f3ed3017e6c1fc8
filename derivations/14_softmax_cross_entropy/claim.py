"""The backward pass of softmax cross-entropy with class labels."""

from pathlib import Path

from derivations.build.layer_exhibit import Form, layer_exhibit
from symbackprop.checking.claims import Exhibit

SHOWN = "gradient with respect to z, simplified"  # the theorem that stands in the index

FORMS = (
    Form(
        "z_bar[n,c] = (exp(z[n,c])/sum(k, exp(z[n,k])) - kronecker(c, labels[n]))/N",
        "The maximum cancels in the quotient.",
        remark="Nothing is left of the path through the maximum, because probabilities add up to 1.",
    ),
)


def exhibit() -> Exhibit:
    """The maximum of a row is subtracted before the exponentials, as careful code does."""
    return layer_exhibit(
        Path(__file__).with_name("softmax_cross_entropy.py"),
        "Softmax cross-entropy",
        "The gradient by a score is its probability, less 1 at the label, over the number of examples; the maximum that is subtracted for safety changes nothing.",
        FORMS,
    )
