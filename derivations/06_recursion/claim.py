"""The recursion of the error terms and the gradients of weights and biases, and slips in their derivation."""

from symbackprop import Network, prove
from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.expression.build import Symbol
from symbackprop.frontends.equations import resized
from symbackprop.proofs.network import cotangent_name

SHOWN = "error term of layer 2"  # the theorem that stands in the index


def exhibit() -> Exhibit:
    """Four layers; the slipped lines are read for layers of equal width, since their indices fit no other."""
    net = Network(["s_1", "s_2", "s_3", "K"], activation="f", cost="squared_error", reduction="sum")
    square = resized(net.program, {Symbol(name, "size"): Symbol("s", "size") for name in ("s_1", "s_2", "s_3", "K")})
    slips = Claims(square, True, name=cotangent_name)
    slips.refuted(
        "the weighted input with the receiver's own activation",
        "z3[n,j] = sum(k < s, W2[j,k]*f(z2[n,j])) + b2[j]",
        remark="The summed index must stand at the activation too: each sender sends its own.",
    )
    slips.refuted(
        "differentiated by the unit of the same number",
        "delta2[n,i] = sum(j, delta3[n,j]*W2[j,j]*f_prime(z2[n,j]))",
        remark="With the derivative by unit j instead of unit i the left side's index $i$ is gone from the right side.",
    )
    slips.refuted(
        "the slope inside the sum with the sum's index",
        "delta2[n,i] = sum(j, W2[j,i]*delta3[n,j]*f_prime(z2[n,j]))",
        remark="A captured index: the slope is that of the unit whose error term is asked for.",
    )
    slips.refuted(
        "the weights not transposed",
        "delta2[n,i] = sum(j, W2[i,j]*delta3[n,j])*f_prime(z2[n,i])",
        remark="Error terms travel against the arrows: the sum runs over the receiver, the first index.",
    )
    return Exhibit(
        "The recursion of the error terms, and the gradients",
        "$\\delta$ of a layer from $\\delta$ of the next, $\\partial J/\\partial W = a \\, \\delta$ and $\\partial J/\\partial b = \\delta$ summed over the examples; the slipped lines of the derivation fail.",
        (prove(net),),
        slips.refutations,
    )
