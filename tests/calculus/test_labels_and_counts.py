"""Counts of equal labels: nothing is differentiated by a label, and the kernel does not ask for a rule."""

import symbackprop as sb


def test_a_count_of_equal_labels_is_replayed():
    def forward(x, g):
        alike = g[:, None] == g[None, :]
        return alike @ x / alike.sum(axis=1, keepdims=True)

    def backward(dout, x, g):
        alike = g[:, None] == g[None, :]
        return {"x": alike @ (dout / alike.sum(axis=1, keepdims=True))}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "D"), "g": ("N",)}, assume={"g": "labels:C"})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)
