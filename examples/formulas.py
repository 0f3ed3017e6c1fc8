"""Formulas from a lecture, in index and in matrix notation, against a network."""

import symbackprop as sb

net = sb.Network([3, 5, 4], activation="tanh", cost="squared_error", l2="lambda/2")

for claim, expected in (
    ("delta3[n,k] = (a3[n,k] - y[n,k]) * (1 - a3[n,k]**2) / m", "PROVED"),
    ("delta2 = (delta3 @ W2) * (1 - a2**2)", "PROVED"),
    ("dJ/dW2 = delta3.T @ a2", "REFUTED"),  # the penalty is missing
    ("dJ/dW2 = delta3.T @ a2 + lam * W2", "PROVED"),
    ("dJ/db1 = delta2.sum(axis=0)", "PROVED"),
):
    verdict = sb.verify(net, claim)
    print(verdict)
    assert verdict.status == expected
