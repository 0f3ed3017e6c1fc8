"""The backward pass of logistic regression."""

from pathlib import Path

from derivations.build.layer_exhibit import Form, layer_exhibit
from symbackprop.checking.claims import Exhibit

SHOWN = "back to z, simplified"  # the theorem that stands in the index

FORMS = (
    Form(
        "z_bar[n] = (p[n] - y[n])/N",
        "Each example has the share 1/N in the mean.",
        remark="The slope of the sigmoid, $p (1 - p)$, has cancelled against the denominators that the logarithms bring.",
    ),
)


def exhibit() -> Exhibit:
    """A linear score, a sigmoid, the mean cross-entropy, and a penalty on the weights."""
    return layer_exhibit(
        Path(__file__).with_name("logistic_regression.py"),
        "Logistic regression",
        "The gradient by a score is probability less target, over the number of examples.",
        FORMS,
        data=("x", "y", "lam"),
    )
