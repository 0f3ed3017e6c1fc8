"""Error terms that are given by the next layer's alone stand for derivatives where that can be proved."""

from symbackprop.audit.audit import Audit, audit

NET = r"""
The network has $z^{(l)} = W^{(l)} a^{(l-1)} + b^{(l)}$ and $a^{(l)} = \sigma(z^{(l)})$, with cost
$C = \frac12 \| a^{(L)} - y \|^2$. The error in the output layer is

$$\delta^{(L)} = LAST$$

and it is propagated back by

$$\delta^{(l)} = NEXT$$

The gradients are

$$\frac{\partial C}{\partial W^{(l)}} = SLOPE (a^{(l-1)})^T$$
"""
LAST = r"(a^{(L)} - y) \odot \sigma'(z^{(L)})"
NEXT = r"(W^{(l+1)})^T \delta^{(l+1)} \odot \sigma'(z^{(l)})"
SLOPE = r"\delta^{(l)}"
BY_ENTRIES = r"""
Let $z^{(l)}_i = \sum_j w^{(l)}_{ij} a^{(l-1)}_j + b^{(l)}_i$ and $a^{(l)}_i = \sigma(z^{(l)}_i)$.
START
$$\delta^{(l)}_j = \sum_i w^{(l+1)}_{ij}\delta^{(l+1)}_i \sigma'(z^{(l)}_j)$$

$$\frac{\partial C}{\partial b^{(l)}_{i}} = \delta^{(l)}_i$$
"""


def judged(last: str = LAST, following: str = NEXT, slope: str = SLOPE) -> Audit:
    return audit(NET.replace("LAST", last).replace("NEXT", following).replace("SLOPE", slope), "md")


def statuses(found: Audit) -> list[str]:
    return [j.status for j in found.judgements if j.status not in ("DEFINITION", "NOTATION")]


def test_both_equations_and_what_rests_on_them() -> None:
    assert statuses(judged()) == ["PROVED"] * 3


def test_a_slope_that_is_forgotten_at_one_of_the_layers() -> None:
    found = judged(following=r"(W^{(l+1)})^T \delta^{(l+1)}")
    assert statuses(found) == ["PROVED", "REFUTED", "PROVED"]
    assert found.judgements[-2].repair == r"\sigma'(z^{(l)}) \odot (W^{(l+1)})^T \delta^{(l+1)}"
    found = judged(last="a^{(L)} - y")
    assert statuses(found) == ["REFUTED", "PROVED", "PROVED"]


def test_where_both_are_wrong_nothing_is_said_of_what_rests_on_them() -> None:
    found = judged("y - a^{(L)}", r"W^{(l+1)} \delta^{(l+1)}")
    assert statuses(found) == ["NOT UNDERSTOOD"]
    assert "given by itself at the next layer" in found.judgements[-1].reason


def test_it_may_be_the_derivative_by_another_quantity() -> None:
    following = r"(W^{(l+1)})^T (\delta^{(l+1)} \odot \sigma'(z^{(l+1)}))"
    found = judged("a^{(L)} - y", following, r"(\delta^{(l)} \odot \sigma'(z^{(l)}))")
    assert statuses(found) == ["PROVED"] * 3
    assert statuses(judged("a^{(L)} - y", following)) == ["PROVED", "PROVED", "REFUTED"]


def test_a_derivative_at_the_last_layer() -> None:
    start = r"At the end $\delta^{(L)}_j = \partial C/\partial z^{(L)}_j$."
    found = audit(BY_ENTRIES.replace("START", start), "md")
    assert statuses(found) == ["PROVED"] * 2
    assert not any("last layer" in told for told in found.assumptions)


def test_what_nothing_says_of_the_last_layer_is_told() -> None:
    found = audit(BY_ENTRIES.replace("START", ""), "md")
    assert statuses(found) == ["PROVED"] * 2
    assert any("nothing says of the last layer" in told for told in found.assumptions)


def test_words_of_a_whole_sentence_define_nothing_that_comes_after_it() -> None:
    text = r"""
Let $z^{(l)}_i = \sum_j w^{(l)}_{ij} a^{(l-1)}_j$, $a^{(l)}_i = \sigma(z^{(l)}_i)$, $\delta^{(l)}_i = \partial C/\partial z^{(l)}_i$.

## Other notation

From now on $z^{(l)}_i = \sum_j w^{(l)}_{ji} a^{(l-1)}_j$.

$$\delta^{(l)}_j = \sum_i w^{(l+1)}_{ji}\delta^{(l+1)}_i \sigma'(z^{(l)}_j)$$

$$\delta^{(l)}_j = \sum_i w^{(l+1)}_{ij}\delta^{(l+1)}_i \sigma'(z^{(l)}_j)$$
"""
    assert statuses(audit(text, "md")) == ["PROVED", "REFUTED"]


def test_an_error_may_be_what_is_still_missing() -> None:
    last = r"(y - a^{(L)}) \odot \sigma'(z^{(L)})"
    found = judged(last, slope=r"-\delta^{(l)}")
    assert statuses(found) == ["PROVED"] * 3
    assert any(r"\delta^{(l)} stands for -" in told for told in found.assumptions)
    assert statuses(judged(last)) == ["REFUTED", "PROVED", "PROVED"]  # the others say which sign it has
    doubled = r"2 (W^{(l+1)})^T \delta^{(l+1)} \odot \sigma'(z^{(l)})"
    assert statuses(judged(last, doubled, r"-\delta^{(l)}")) != ["PROVED"] * 3
