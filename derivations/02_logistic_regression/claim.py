"""A network without hidden layer and with one output is logistic regression; what the double and the triple sum add up."""

from symbackprop import Network
from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.expression.build import ONE, Symbol
from symbackprop.frontends.equations import joined, read_program, resized

SHOWN = "the double sum"  # the theorem that stands in the index

LOGISTIC = """
    theta[j] = W1[0,j]                                     # the only row of weights
    beta = b1[0]
    t[n] = y[n,0]
    p[n] = sigmoid(sum(j, theta[j]*x[n,j]) + beta)
    C = -1/m*sum(n, t[n]*log(p[n]) + (1 - t[n])*log(1 - p[n])) + lam/(2*m)*sum(j, theta[j]**2)    # cost of logistic regression
"""
LOGISTIC_SHAPES = {
    "W1": (1, "s_1"), "b1": (1,), "x": ("m", "s_1"), "y": ("m", 1),
    "theta": ("s_1",), "beta": (), "t": ("m",), "p": ("m",), "C": (),
}  # fmt: skip

UNITS = """
    C[k] = -1/m*sum(n, y[n,k]*log(a3[n,k]) + (1 - y[n,k])*log(1 - a3[n,k]))     # logistic cost of output unit k
"""
SQUARES = """
    R = sum(i < s_1, sum(j < s_2, Theta1[j,i+1]**2)) + sum(i < s_2, sum(j < K, Theta2[j,i+1]**2))    # the triple sum
    A = sum(j, sum(i, Theta1[j,i]**2)) + sum(j, sum(i, Theta2[j,i]**2))                              # every entry squared
    B = sum(j, Theta1[j,0]**2) + sum(j, Theta2[j,0]**2)                                              # the biases squared
    J = lam/(2*m)*R
"""
SQUARES_SHAPES = {"Theta1": ("s_2", "s_1 + 1"), "Theta2": ("K", "s_2 + 1"), "R": (), "A": (), "B": (), "J": ()}


def exhibit() -> Exhibit:
    """Three equalities, and the reading of "all parameters" that includes the biases fails."""
    single = Network(["s_1", "K"], activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    one_output = resized(single.program, {Symbol("K", "size"): ONE})
    logistic = Claims(joined(one_output, read_program(LOGISTIC, LOGISTIC_SHAPES, output="C", real=["lam"])))
    logistic.theorem(
        "the special case",
        "J = C",
        (
            "-1/m*sum(n, y[n,0]*log(a2[n,0]) + (1 - y[n,0])*log(1 - a2[n,0])) + lam/(2*m)*sum(j, W1[0,j]**2)",
            "With one output unit each sum over output units has one term.",
        ),
        (
            "-1/m*sum(n, t[n]*log(p[n]) + (1 - t[n])*log(1 - p[n])) + lam/(2*m)*sum(j, theta[j]**2)",
            "The output is the sigmoid of what the only row of weights sends it: that is $p$.",
        ),
        why="This is the cost of logistic regression.",
        remark="Two layers and one output unit: nothing is left of the network but the logistic function.",
    )

    net = Network(["s_1", "s_2", "K"], activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    units = Claims(
        joined(net.program, read_program(UNITS, {"y": ("m", "K"), "a3": ("m", "K"), "C": ("K",)}, output="C"))
    )
    units.theorem(
        "the double sum",
        "J = sum(k, C[k]) + lam*sum(i, sum(j, W1[i,j]**2))/(2*m) + lam*sum(i, sum(j, W2[i,j]**2))/(2*m)",
        (
            "-1/m*sum(n, sum(k, y[n,k]*log(a3[n,k]) + (1 - y[n,k])*log(1 - a3[n,k])))"
            " + lam/(2*m)*sum(i, sum(j, W1[i,j]**2)) + lam/(2*m)*sum(i, sum(j, W2[i,j]**2))",
            "The cost of the network.",
        ),
        why="The order of two finite sums may be exchanged: each output unit brings its own logistic cost.",
    )

    squares = Claims(read_program(SQUARES, SQUARES_SHAPES, sizes=["m"], real=["lam"]))
    squares.theorem(
        "the triple sum",
        "R = A - B",
        (
            "sum(j, sum(i, Theta1[j,i]**2)) - sum(j, Theta1[j,0]**2)"
            " + sum(j, sum(i, Theta2[j,i]**2)) - sum(j, Theta2[j,0]**2)",
            "A sum from column 1 on is the sum over all columns less column 0.",
        ),
        why="Both matrices together.",
        remark="Every entry of every matrix once, without those of column 0.",
    )
    squares.refuted(
        "the triple sum adds up all parameters",
        "R = A",
        remark="True of the weights, not of the biases: the column read is one more than the summed index, so never 0.",
    )
    return Exhibit(
        "Regularised logistic regression as a network, and what its sums add up",
        "For $L = 2$ and $K = 1$ the cost is that of regularised logistic regression; the double sum adds up $K$ such costs, the triple sum all squared weights but no bias.",
        (logistic.proof("Two layers and one output"), units.proof("The double sum"), squares.proof("The triple sum")),
        squares.refutations,
    )
