"""What is odd in an equation's form stands in its judgement."""

from symbackprop.audit.audit import audit
from symbackprop.audit.report import to_dict


def test_slips_are_mended_and_told():
    text = "$$a_i^(l) = f(z_i)$$\n\n$$J = \\sum_k (a_i - y_i)^2$$\n\n$$\\frac{d}{dx} (x + 1 = 1$$\n\n$$b = a +$$\n\nthe $a^(l)$\n"
    found = to_dict(audit(text))["equations"]
    told = [
        (entry["line"], entry["status"], entry["repair"], entry["repair_status"], entry["oddities"]) for entry in found
    ]
    read = "^(...) is read as ^{(...)}"
    assert told == [
        (1, "DEFINITION", "a_{i}^{(l)} = f(z_{i})", None, ["the index l stands on the left side only", read]),
        (3, "DEFINITION", None, None, ["the sum over k has no k in it"]),
        (5, "PROVED IF", r"\frac{\mathrm{d}}{\mathrm{d} x} (x + 1) = 1", None, ["( is not closed"]),
        (7, "NOT UNDERSTOOD", None, None, []),
        (9, "NOTATION", "a^{(l)}", None, [read]),
    ]


def test_brackets_that_were_closed_are_a_condition():
    [entry] = to_dict(audit("$$\\frac{d}{dx} x^{2 = 2 x$$"))["equations"]
    assert entry["status"] == "PROVED IF" and entry["conditions"] == ["its brackets close as read"]
