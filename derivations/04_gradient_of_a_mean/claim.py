"""The gradient of the regularised mean cost from the gradients of the single examples."""

from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.expression.build import Tensor
from symbackprop.frontends.equations import for_each, joined, read_program

SHOWN = "weights of layer 1"  # the theorem that stands in the index

EXAMPLE = """
    z2[i] = sum(j, W1[i,j]*x[j]) + b1[i]
    a2[i] = f(z2[i])
    z3[k] = sum(j, W2[k,j]*a2[j]) + b2[k]
    a3[k] = f(z3[k])
    E = 1/2*sum(k, (a3[k] - y[k])**2)                      # the cost of one example
"""
SHAPES = {
    "x": ("s_1",), "y": ("s_3",), "W1": ("s_2", "s_1"), "b1": ("s_2",), "W2": ("s_3", "s_2"), "b2": ("s_3",),
    "z2": ("s_2",), "a2": ("s_2",), "z3": ("s_3",), "a3": ("s_3",), "E": (),
}  # fmt: skip
MEAN = "J = 1/m*sum(n, E[n]) + lam/2*sum(i, sum(j, W1[i,j]**2)) + lam/2*sum(i, sum(j, W2[i,j]**2))"


def of_example(tensor: Tensor) -> str:
    """The error terms and gradients of one example."""
    return "delta" + tensor.name[1:] if tensor.name[0] == "z" else f"dE_d{tensor.name}"


def exhibit() -> Exhibit:
    """One example by itself, then all of them: mean of the gradients, plus λW for weights alone."""
    one = Claims(read_program(EXAMPLE, SHAPES, output="E"), True, name=of_example)
    one.theorem("weights, one example", "dE_dW1[i,j] = delta2[i]*x[j]")
    one.theorem("biases, one example", "dE_db1[i] = delta2[i]")
    assert one.gradient is not None
    rows = for_each(one.gradient.adjoint, "n", "m", ["x", "y"])
    mean = read_program(MEAN, {"E": ("m",), "W1": ("s_2", "s_1"), "W2": ("s_3", "s_2"), "J": ()}, real=["lam"])
    batch = Claims(joined(rows, mean), True)
    for layer in (1, 2):
        batch.theorem(
            f"weights of layer {layer}",
            f"dJ_dW{layer}[i,j] = sum(n, dE_dW{layer}[n,i,j])/m + lam*W{layer}[i,j]",
            why="Write out the gradients of the examples: the same products stand on both sides.",
        )
        batch.theorem(f"biases of layer {layer}", f"dJ_db{layer}[i] = sum(n, dE_db{layer}[n,i])/m")
    batch.refuted(
        "the penalty with its ½ left over",
        "dJ_dW1[i,j] = sum(n, dE_dW1[n,i,j])/m + lam/2*W1[i,j]",
        remark="The derivative of a square brings a 2, which the ½ cancels.",
    )
    batch.refuted(
        "biases decay too", "dJ_db1[i] = sum(n, dE_db1[n,i])/m + lam*b1[i]", remark="No bias stands in the penalty."
    )
    return Exhibit(
        "The gradient of a mean is the mean of the gradients",
        "$\\partial J/\\partial W$ is the mean of the gradients of the examples plus $\\lambda W$; $\\partial J/\\partial b$ is their mean.",
        (one.proof("One example"), batch.proof("All examples")),
        batch.refutations,
    )
