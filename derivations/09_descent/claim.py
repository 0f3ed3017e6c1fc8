"""One step of gradient descent lowers the cost to first order, by the squared length of the gradient."""

from symbackprop import Network
from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.frontends.equations import joined, read_program, renamed
from symbackprop.proofs.network import network_gradient

SHOWN = "along any direction"  # the theorem that stands in the index

ANY_COST = """
    u[p] = theta[p] - alpha*g[p]                           # the parameters after the step
    J = E                                                  # any cost of u: its equations are not listed
"""
STEP = """
    alpha = 0                                              # the size of the step: the slope is taken at 0
    V1[i,j] = W1[i,j] - alpha*dJ_dW1[i,j]                  # the parameters after the step
    c1[i] = b1[i] - alpha*dJ_db1[i]
    V2[i,j] = W2[i,j] - alpha*dJ_dW2[i,j]
    c2[i] = b2[i] - alpha*dJ_db2[i]
    C = 0
"""
WEIGHTS = {"1": ("s_2", "s_1"), "2": ("K", "s_2")}
SHAPES = {f"{letter}{k}": shape for letter in ("W", "V", "dJ_dW") for k, shape in WEIGHTS.items()} | {
    f"{letter}{k}": shape[:1] for letter in ("b", "c", "dJ_db") for k, shape in WEIGHTS.items()
}
LONG_STEP = """
    J = t**2/2
    alpha = r**2                                           # a step of any positive size
    C = (t - alpha*t)**2/2                                 # the cost after it: t is also the gradient
    w = where(C < J, 1, 0)                                 # 1 if the step lowers the cost
"""


def exhibit() -> Exhibit:
    """The slope of the cost along the step, for any cost and for a network; long steps may raise it."""
    shapes = {"theta": ("P",), "g": ("P",), "alpha": (), "u": ("P",), "E": (), "J": ()}
    general = Claims(read_program(ANY_COST, shapes, output="J", outside=["u"]), True)
    general.theorem(
        "along any direction",
        "dJ_dalpha = -sum(p, dJ_du[p]*g[p])",
        remark="This holds for every size of the step. At 0, $u$ is $\\theta$. If $g$ is the gradient there, dJ_du is $g$, and the slope is minus the sum of the squares of g.",
    )

    net = Network(["s_1", "s_2", "K"], activation="f", cost="squared_error", l2="lambda/2")
    letters = {"W": "V", "b": "c", "z": "u", "a": "e", "J": "C"}
    after = renamed(net.program, lambda t: letters.get(t.name[0], t.name[0]) + t.name[1:])
    step = read_program(STEP.replace("    C = 0\n", ""), SHAPES | {"alpha": ()}, output="alpha")
    path = Claims(joined(network_gradient(net).adjoint, step, after, output="C"), True, name=lambda t: f"dC_d{t.name}")
    squares = " - ".join(f"sum(i, sum(j, dJ_dW{k}[i,j]**2)) - sum(i, dJ_db{k}[i]**2)" for k in WEIGHTS)
    path.theorem(
        "along the gradient of a network, at step size 0",
        f"dC_dalpha = -{squares}",
        why="At the start the parameters after the step are those before it, and so are all error terms.",
        remark="That the arrays subtracted are the derivatives of the cost is proved in 10, for every depth. By Taylor's theorem, for a twice differentiable activation, the cost after the step is the cost before it, "
        "less the step size times the squared length of the gradient, up to a term of second order in the step size.",
    )
    long = Claims(read_program(LONG_STEP, dict.fromkeys(["J", "C", "t", "r", "alpha", "w"], ())))
    long.refuted(
        "a step of any positive size lowers the cost",
        "w = 1",
        remark="Here the cost is $t^2/2$, the step $r^2$ times the gradient $t$, and $w$ is 1 where the cost after it is smaller. To first order only: a long step overshoots the minimum.",
    )
    return Exhibit(
        "One step of gradient descent",
        "$J(\\theta - \\alpha g) = J - \\alpha \\Vert g \\Vert^2 + O(\\alpha^2)$: for a twice differentiable cost a small step against a gradient $g \\ne 0$ lowers it; a long one need not.",
        (general.proof("Any cost"), path.proof("A network")),
        long.refutations,
    )
