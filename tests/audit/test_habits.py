"""What a document leaves unsaid: an activation that nothing defines is the usual one before a claim is refuted."""

from symbackprop.audit.audit import audit


def said(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(judgement.status, judgement.conditions) for judgement in audit(text).judgements]


def test_an_activation_that_nothing_defines_is_the_usual_one():
    text = "$$o = \\sigma(z), \\quad z = w x$$\n\n$$\\frac{\\partial o}{\\partial z} = o (1 - o)$$\n\n$$\\frac{\\partial o}{\\partial z} = o (o - 1)$$"
    assert said(text)[2] == ("PROVED IF", ("sigma is the function sigmoid",))
    assert said(text)[3][0] == "REFUTED"


def test_an_activation_that_is_defined_is_what_it_is():
    text = "$$\\sigma(x) = \\tanh(x), \\quad o = \\sigma(z), \\quad z = w x$$\n\n$$\\frac{\\partial o}{\\partial z} = o (1 - o)$$"
    assert said(text)[3][0] == "REFUTED"


def test_a_change_has_a_name_of_its_own():
    text = "$$E = (w - 1)^2, \\quad \\Delta w = -\\eta \\frac{\\partial E}{\\partial w} = 2 \\eta (1 - w)$$"
    assert [status for status, _ in said(text)] == ["DEFINITION", "DEFINITION", "PROVED"]
