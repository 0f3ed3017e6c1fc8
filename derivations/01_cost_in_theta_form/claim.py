"""The K-output cost with the biases as column 0 of Theta, and the same cost in weights and biases."""

from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.frontends.equations import read_program

SHOWN = "one layer"  # the theorem that stands in the index

LAYER = """
    W[i,j] = Theta[i,j+1]                                  # the weights are columns $1, \\ldots, s$ of $\\Theta$
    b[i] = Theta[i,0]                                      # the biases are column 0
    a_tilde[n,j] = where(j < 1, 1, a[n,j-1])                   # one more unit, which always sends 1
    z[n,i] = sum(j < s + 1, Theta[i,j]*a_tilde[n,j])
    J = sum(n, sum(i, g[n,i]*z[n,i]))                      # some cost; the theorem does not depend on it
"""
LAYER_SHAPES = {
    "a": ("m", "s"), "Theta": ("r", "s + 1"), "g": ("m", "r"),
    "W": ("r", "s"), "b": ("r",), "a_tilde": ("m", "s + 1"), "z": ("m", "r"), "J": (),
}  # fmt: skip

NETWORK = """
    W1[i,j] = Theta1[i,j+1]
    b1[i] = Theta1[i,0]
    W2[k,i] = Theta2[k,i+1]
    b2[k] = Theta2[k,0]
    x_tilde[n,j] = where(j < 1, 1, x[n,j-1])                   # the inputs and a 1 before them
    z2[n,i] = sum(j < s_1 + 1, Theta1[i,j]*x_tilde[n,j])
    a2[n,i] = sigmoid(z2[n,i])
    a_tilde[n,i] = where(i < 1, 1, a2[n,i-1])
    z3[n,k] = sum(i < s_2 + 1, Theta2[k,i]*a_tilde[n,i])
    h[n,k] = sigmoid(z3[n,k])
    D = -1/m*sum(n, sum(k, y[n,k]*log(h[n,k]) + (1 - y[n,k])*log(1 - h[n,k])))          # the double sum
    R = sum(i < s_1, sum(j < s_2, Theta1[j,i+1]**2)) + sum(i < s_2, sum(j < K, Theta2[j,i+1]**2))   # the triple sum
    J = D + lam/(2*m)*R
"""
APART = "The unit with number 0 sends 1; the others send what they are given, and are counted one further on."
COLUMNS = "The biases are column 0, the weights the columns after it."
SHAPES = {
    "x": ("m", "s_1"), "y": ("m", "K"), "Theta1": ("s_2", "s_1 + 1"), "Theta2": ("K", "s_2 + 1"),
    "W1": ("s_2", "s_1"), "b1": ("s_2",), "W2": ("K", "s_2"), "b2": ("K",),
    "x_tilde": ("m", "s_1 + 1"), "z2": ("m", "s_2"), "a2": ("m", "s_2"), "a_tilde": ("m", "s_2 + 1"), "z3": ("m", "K"), "h": ("m", "K"),
    "D": (), "R": (), "J": (),
}  # fmt: skip


def exhibit() -> Exhibit:
    """One layer of any width, then a whole cost; the two slips of the printed formula fail."""
    layer = Claims(read_program(LAYER, LAYER_SHAPES))
    layer.theorem(
        "one layer",
        "z[n,i] = sum(j, W[i,j]*a[n,j]) + b[i]",
        ("sum(j < s + 1, Theta[i,j]*a_tilde[n,j])", "This is how $z$ is computed."),
        ("Theta[i,0] + sum(j, Theta[i,j+1]*a[n,j])", APART),
        why=COLUMNS,
        remark="This is all that changes from one form to the other, so it carries over to every depth, layer by layer.",
    )
    cost = Claims(read_program(NETWORK, SHAPES, real=["lam"], assume={"y": "bern"}))
    cost.theorem(
        "hidden layer",
        "z2[n,i] = sum(j, W1[i,j]*x[n,j]) + b1[i]",
        ("Theta1[i,0] + sum(j, Theta1[i,j+1]*x[n,j])", APART),
        why=COLUMNS,
    )
    cost.theorem(
        "output layer",
        "z3[n,k] = sum(i, W2[k,i]*a2[n,i]) + b2[k]",
        ("Theta2[k,0] + sum(i, Theta2[k,i+1]*a2[n,i])", APART),
        why=COLUMNS,
    )
    cost.theorem(
        "penalty",
        "R = sum(i, sum(j, W1[i,j]**2)) + sum(k, sum(i, W2[k,i]**2))",
        (
            "sum(i < s_1, sum(j < s_2, Theta1[j,i+1]**2)) + sum(i < s_2, sum(j < K, Theta2[j,i+1]**2))",
            "The triple sum, written out for both matrices.",
        ),
        why="The weights are the columns after the first; two finite sums may be exchanged.",
        remark="The column read is one more than the summed index, so column 0 stays out: biases are not regularised.",
    )
    cost.theorem(
        "cost",
        "J = -sum(n, sum(k, y[n,k]*log(h[n,k]) + (1 - y[n,k])*log(1 - h[n,k])))/m"
        " + lam/(2*m)*(sum(i, sum(j, W1[i,j]**2)) + sum(k, sum(i, W2[k,i]**2)))",
        ("D + lam/(2*m)*R", "The double sum and the triple sum, with their factors."),
        why="The double sum is written out, and the triple sum is that of the squared weights, as above.",
    )
    cost.refuted(
        "upper limit one more than this layer's width",
        "R = sum(i < s_1, sum(j < s_1 + 1, Theta1[j,i+1]**2)) + sum(i < s_2, sum(j < s_2 + 1, Theta2[j,i+1]**2))",
        remark="The limit is the width of the next layer, a subscript l + 1, not one more than this layer's width. "
        "Read literally the sum leaves out rows of the weights, or asks for rows that there are not.",
    )
    cost.refuted(
        "bracket of the logarithm closed after the 1",
        "D = -1/m*sum(n, sum(k, y[n,k]*log(h[n,k]) + (1 - y[n,k])*(log(1) - h[n,k])))",
        remark="As printed the brackets do not balance. Closing the logarithm before the output gives another function.",
    )
    return Exhibit(
        "The cost of a network with K outputs, with a bias column or with biases",
        "Column 0 of Θ with a unit that always sends 1 is the bias; the regularised cost is the same in both forms.",
        (layer.proof("One layer of any width"), cost.proof("The regularised cost")),
        cost.refutations,
    )
