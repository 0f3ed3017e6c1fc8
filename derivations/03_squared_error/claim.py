"""The squared-error cost of one example, its mean over m examples, and the two constants of weight decay."""

from symbackprop import Network
from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.frontends.equations import joined, read_program

SHOWN = "the mean of the costs of the examples"  # the theorem that stands in the index

PARTS = """
    E[n] = 1/2*sum(k, (a3[n,k] - y[n,k])**2)               # cost of example $n$: half the squared distance
    Q = sum(i, sum(j, W1[i,j]**2)) + sum(i, sum(j, W2[i,j]**2))
    C = 1/m*sum(n, E[n]) + lam/(2*m)*Q                     # the constant of the other text
    D = 1/m*sum(n, E[n]) + (m*lam)/(2*m)*Q                 # its constant taken $m$ times as large
"""
SHAPES = {
    "a3": ("m", "s_3"), "y": ("m", "s_3"), "W1": ("s_2", "s_1"), "W2": ("s_3", "s_2"),
    "E": ("m",), "Q": (), "C": (), "D": (),
}  # fmt: skip


def exhibit() -> Exhibit:
    """The cost taken apart; λ/2 and λ/(2m) differ, and how they correspond."""
    net = Network(["s_1", "s_2", "s_3"], activation="f", cost="squared_error", l2="lambda/2")
    claims = Claims(joined(net.program, read_program(PARTS, SHAPES, output="C", real=["lam"])))
    claims.theorem(
        "the mean of the costs of the examples",
        "J = sum(n, E[n])/m + lam/2*Q",
        (
            "1/m*sum(n, 1/2*sum(k, (a3[n,k] - y[n,k])**2)) + lam/2*(sum(i, sum(j, W1[i,j]**2)) + sum(i, sum(j, W2[i,j]**2)))",
            "The cost of the network, with the factors in front.",
        ),
        why="The cost of an example and the sum of the squared weights get their names.",
    )
    claims.theorem(
        "the two constants",
        "J = D",
        ("sum(n, E[n])/m + lam/2*Q", "As above."),
        why="The $m$ cancels.",
        remark="$\\lambda/2$ is $\\lambda/(2m)$ with a $\\lambda$ that is $m$ times as large: the same family of costs, differently numbered.",
    )
    claims.refuted(
        "the two constants are the same",
        "J = C",
        remark="With the same $\\lambda$ the penalties differ by the factor $m$.",
    )
    return Exhibit(
        "Mean squared error with weight decay",
        "$\\frac{1}{2}\\Vert h - y\\Vert^2$ for one example, its mean over $m$ examples, and weight decay with $\\lambda/2$ or $\\lambda/(2m)$, which are different constants.",
        (claims.proof("The cost taken apart"),),
        claims.refutations,
    )
