"""A factor in front of the cost: the gradient carries it along, and a positive one moves no minimum."""

from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.frontends.equations import read_program

SHOWN = "the gradient"  # the theorem that stands in the index

SLOPE = """
    J = f(t)                                               # the cost along one parameter t, all others held fixed
    C = c*J
"""
ORDER = """
    r = where(J_a < J_b, 1, 0)                             # 1 if $a$ is better than $b$, else 0
    s = where(c*J_a < c*J_b, 1, 0)                         # the same with the factor $c > 0$
    v = where(-c*J_b < -c*J_a, 1, 0)                       # 1 if $b$ is better than $a$ with the factor $-c < 0$
"""
SQUARE = """
    p = where(a**2 < b**2, 1, 0)                           # 1 if $a^2 < b^2$, else 0
    q = where(c*a**2 < c*b**2, 1, 0)                       # the same with a factor $c$ of any sign
"""


def exhibit() -> Exhibit:
    """Gradient and order of the values; a negative factor turns the order round."""
    slope = Claims(
        read_program(SLOPE, {"t": (), "c": (), "J": (), "C": ()}, output="C"), True, name=lambda t: f"dC_d{t.name}"
    )
    slope.theorem(
        "the gradient",
        "dC_dt = c*f_prime(t)",
        remark="$f$ is any differentiable function: the cost of any network as a function of any one of its parameters. So each entry of the gradient is multiplied by c.",
    )
    order = Claims(read_program(ORDER, dict.fromkeys(["J_a", "J_b", "r", "s", "v"], ()), output="r", positive=["c"]))
    order.theorem(
        "order under a factor $c > 0$",
        "s = r",
        ("where(c*J_a < c*J_b, 1, 0)", "This is $s$."),
        ("where(J_a < J_b, 1, 0)", "Dividing an inequality by a positive number keeps its direction."),
        why="This is $r$.",
        remark="The point $a$ is a minimiser if no $b$ is better. Which $b$ is better does not change, so neither do the minimisers: a ½ or $1/m$ in front of the whole cost moves no minimum.",
    )
    order.theorem(
        "order under a factor $-c < 0$",
        "v = r",
        ("where(-c*J_b < -c*J_a, 1, 0)", "This is $v$."),
        ("where(J_a < J_b, 1, 0)", "Dividing an inequality by a negative number turns it round."),
        why="This is $r$.",
        remark="With a negative factor $b$ is the better one exactly where $a$ was: minimisers become maximisers.",
    )
    square = Claims(read_program(SQUARE, dict.fromkeys(["a", "b", "c", "p", "q"], ()), output="p"))
    square.refuted(
        "any real factor keeps the order",
        "q = p",
        remark="Here $p$ is 1 where $a^2 < b^2$ and 0 elsewhere, $q$ is 1 where $c a^2 < c b^2$ and 0 elsewhere. For the cost $J(t) = t^2$ and a negative factor the better of two points becomes the worse one; its minimum at 0 becomes a maximum.",
    )
    return Exhibit(
        "A constant factor in front of the cost",
        "$\\nabla(cJ) = c\\,\\nabla J$, and for $c > 0$ the minimisers are the same; for $c < 0$ they become the maximisers.",
        (slope.proof("The gradient"), order.proof("The minimisers")),
        square.refutations,
    )
