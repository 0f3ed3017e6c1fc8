"""Softmax over the edges that enter a node: sums over equal labels, inside of each other."""

import numpy as np

import symbackprop as sb

EDGES = {"e": ("M", "H"), "dst": ("M",), "feat": ("V", "H")}


def edge_softmax(e, dst, feat):
    ex = np.exp(e)
    z = np.zeros_like(feat)
    np.add.at(z, dst, ex)
    return ex / z[dst]


def pulled(dout, e, dst, feat, of):
    a = edge_softmax(e, dst, feat)
    ga = dout * a
    acc = np.zeros_like(feat)
    np.add.at(acc, dst, ga)
    return {"e": ga - of(a, e) * acc[dst]}


def test_softmax_over_the_edges_of_a_node():
    asked = {"shapes": EDGES, "assume": {"dst": "labels:V"}}
    right = sb.check(edge_softmax, lambda dout, e, dst, feat: pulled(dout, e, dst, feat, lambda a, e: a), **asked)
    assert right.for_all_sizes
    wrong = sb.check(
        edge_softmax, lambda dout, e, dst, feat: pulled(dout, e, dst, feat, lambda a, e: np.exp(e)), **asked
    )
    assert wrong.wrong == ("e",)
