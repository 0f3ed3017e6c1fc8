"""The penalty as a prior: the negative log posterior is the regularised squared error, up to a factor and a constant."""

from symbackprop.checking.claims import Claims, Exhibit
from symbackprop.frontends.equations import read_program

SHOWN = "Gaussian prior"  # the theorem that stands in the index

NOISE = """
    p[n,k] = (2*pi*s**2)**(-1/2)*exp(-(y[n,k] - h[n,k])**2/(2*s**2))      # density of a target: Gaussian around the output
    L = -sum(n, sum(k, log(p[n,k]))) - sum(i, sum(j, log(q[i,j]))) + Z    # negative log posterior; Z is the logarithm of the evidence
"""
GAUSS = "q[i,j] = (2*pi*t**2)**(-1/2)*exp(-W[i,j]**2/(2*t**2))                # prior of a weight: Gaussian around 0\n"
LAPLACE = "q[i,j] = 1/(2*t)*exp(-abs(W[i,j])/t)                                  # prior of a weight: Laplace\n"
GAUSS_COST = """
    lam = s**2/(m*t**2)
    J = 1/m*sum(n, 1/2*sum(k, (h[n,k] - y[n,k])**2)) + lam/2*sum(i, sum(j, W[i,j]**2))
    C = m*K/2*log(2*pi*s**2) + r*c/2*log(2*pi*t**2) + Z                   # does not depend on the weights
"""
LAPLACE_COST = """
    lam = s**2/(m*t)
    J = 1/m*sum(n, 1/2*sum(k, (h[n,k] - y[n,k])**2)) + lam*sum(i, sum(j, abs(W[i,j])))
    C = m*K/2*log(2*pi*s**2) + r*c*log(2*t) + Z
"""
POSTERIOR = (
    "-sum(n, sum(k, log(p[n,k]))) - sum(i, sum(j, log(q[i,j]))) + Z",
    "The posterior is likelihood times prior over evidence; the noise of the targets is independent, and so are the weights, so both are products.",
)
FIT = "sum(n, sum(k, (y[n,k] - h[n,k])**2/(2*s**2) + log(2*pi*s**2)/2))"
ERROR = "1/m*sum(n, 1/2*sum(k, (h[n,k] - y[n,k])**2))"
SHAPES = {
    "h": ("m", "K"), "y": ("m", "K"), "W": ("r", "c"), "Z": (),
    "p": ("m", "K"), "q": ("r", "c"), "L": (), "lam": (), "J": (), "C": (),
}  # fmt: skip


def exhibit() -> Exhibit:
    """Gaussian noise with a Gaussian and with a Laplace prior."""
    gauss = Claims(read_program(GAUSS + NOISE + GAUSS_COST, SHAPES, output="L", positive=["s", "t"]))
    gauss.theorem(
        "Gaussian prior",
        "L = m*J/s**2 + C",
        POSTERIOR,
        (
            f"{FIT} + sum(i, sum(j, W[i,j]**2/(2*t**2) + log(2*pi*t**2)/2)) + Z",
            "The logarithm of each density is its exponent and a constant.",
        ),
        (
            f"m/s**2*({ERROR} + s**2/(2*m*t**2)*sum(i, sum(j, W[i,j]**2))) + m*K/2*log(2*pi*s**2) + r*c/2*log(2*pi*t**2) + Z",
            "The constants are counted, and $m/s^2$ is taken out of the rest.",
        ),
        why="These are $J$, with $\\lambda = s^2/(m t^2)$, and $C$.",
        remark="Here $s > 0$ and $t > 0$ are the standard deviations of the noise and of the weights; a bias has a flat prior. The outputs $h$ may come from any network. The factor $m/s^2$ is positive, so the most probable weights are those of least regularised squared error.",
    )
    laplace = Claims(read_program(LAPLACE + NOISE + LAPLACE_COST, SHAPES, output="L", positive=["s", "t"]))
    laplace.theorem(
        "Laplace prior",
        "L = m*J/s**2 + C",
        POSTERIOR,
        (
            f"{FIT} + sum(i, sum(j, abs(W[i,j])/t + log(2*t))) + Z",
            "The logarithm of each density is its exponent and a constant.",
        ),
        (
            f"m/s**2*({ERROR} + s**2/(m*t)*sum(i, sum(j, abs(W[i,j])))) + m*K/2*log(2*pi*s**2) + r*c*log(2*t) + Z",
            "The constants are counted, and $m/s^2$ is taken out of the rest.",
        ),
        why="These are $J$, with $\\lambda = s^2/(m t)$, and $C$.",
        remark="The same with the sum of absolute values: the L1 penalty. Here $t > 0$ is the scale of the Laplace density, whose standard deviation is $\\sqrt{2}\\,t$.",
    )
    gauss.refuted(
        "the factor may be left out",
        "L = J + C",
        remark="$L - C$ and $J$ differ by the factor $m/s^2$, which moves no minimum but is part of the value.",
    )
    return Exhibit(
        "The penalty as a prior",
        "With Gaussian noise and a Gaussian prior the negative log posterior is the regularised squared error up to a positive factor and a constant; a Laplace prior gives L1.",
        (gauss.proof("A Gaussian prior"), laplace.proof("A Laplace prior")),
        gauss.refutations,
    )
