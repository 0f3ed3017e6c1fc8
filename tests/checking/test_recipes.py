"""What is remembered of lemmas that could not be proved."""

from symbackprop.checking.recipes import FAILURES, Attempted, Recipes
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, multiply, number, sum_over
from symbackprop.expression.program import Equation

N, S = Symbol("N", "size"), Symbol("S", "size")
n, s = Index("n", N), Index("s", S)


def summed(name, source):
    return Equation(Tensor(name, (S,)), (s,), sum_over((n,), Entry(source, (n, s))))


def test_a_sum_of_one_tensor_is_given_up_and_not_the_sum_of_another():
    d, e = Tensor("d", (N, S)), Tensor("e", (N, S))
    one, other, mine = summed("one_bar", d), summed("other_bar", e), summed("mine", e)
    lines = {line.tensor: line for line in (one, other, mine)}
    recipes = Recipes()

    def attempt(own, right):
        return Attempted(recipes, own, Entry(right.tensor, (s,)), lines, ())

    for _ in range(FAILURES):
        assert not attempt(other, one).hopeless()
        attempt(other, one).failed()
    assert attempt(other, one).hopeless()
    assert attempt(mine, one).hopeless()  # it is the same sum under another name
    assert not attempt(mine, other).hopeless()  # one tensor on both sides


def test_another_walk_knows_the_recipes_and_gives_nothing_up():
    d = Tensor("d", (N, S))
    one, other = summed("one_bar", d), summed("other_bar", d)
    lines, recipes = {line.tensor: line for line in (one, other)}, Recipes()
    for _ in range(FAILURES):
        Attempted(recipes, other, Entry(one.tensor, (s,)), lines, ()).failed()
    later = recipes.for_another_walk()
    assert not Attempted(later, other, Entry(one.tensor, (s,)), lines, ()).hopeless()
    Attempted(later, other, Entry(one.tensor, (s,)), lines, ()).proved([one.tensor], True)
    assert Attempted(recipes, other, Entry(one.tensor, (s,)), lines, ()).told() == ([one.tensor], True)


def test_a_recipe_is_tried_where_only_numbers_differ_and_certain_nowhere_else():
    x, places = Tensor("x", (number(9), S)), range(3)
    sources = [Equation(Tensor(f"e{k}", (S,)), (s,), Entry(x, (number(k + 4), s))) for k in places]
    twice = [Equation(Tensor(f"t{k}", (S,)), (s,), multiply(number(2), Entry(sources[k].tensor, (s,)))) for k in places]
    lines, recipes = {line.tensor: line for line in (*sources, *twice)}, Recipes()

    def attempt(k, factor=2):
        return Attempted(recipes, twice[k], multiply(number(factor), Entry(x, (number(k + 4), s))), lines, ())

    attempt(0).proved([sources[0].tensor], True)
    assert attempt(0).told() == ([sources[0].tensor], True)
    assert attempt(1).told() == ([sources[1].tensor], False)
    assert attempt(1, factor=3).told() is None, "two numbers are not one number twice"
    assert Attempted(recipes, sources[1], Entry(x, (number(5), s)), lines, ()).told() is None
