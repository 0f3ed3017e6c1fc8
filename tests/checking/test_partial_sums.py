"""Names for what a derivative adds up."""

from symbackprop.checking.partial_sums import MANY, with_partial_sums
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, add, multiply
from symbackprop.expression.program import Equation, Program

N = Symbol("N", "size")
PLACE = Index("i", N)
PARTS = tuple(Tensor(f"c{k}", (N,)) for k in range(MANY))
BAR = Tensor("x_bar", (N,))


def program(terms):
    return Program(PARTS, (Equation(BAR, (PLACE,), add(*terms)),), (BAR,), ())


def test_with_partial_sums_names_them_from_the_last_user_on():
    terms = [Entry(t, (PLACE,)) for t in PARTS]
    *sums, whole = with_partial_sums(program(terms), ()).equations
    assert whole.value is add(*terms), "the derived equation stays"
    assert sums[0].value is add(terms[-1], terms[-2])
    assert sums[-1].value is add(Entry(sums[-2].tensor, (PLACE,)), terms[0])


def test_with_partial_sums_leaves_short_ones_and_the_forward_pass():
    terms = [multiply(Entry(t, (PLACE,)), Entry(t, (PLACE,))) for t in PARTS]
    assert len(with_partial_sums(program(terms[1:]), ()).equations) == 1
    assert len(with_partial_sums(program(terms), {BAR}).equations) == 1
