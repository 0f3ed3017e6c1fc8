"""How lemmas were proved, by their pattern: layer after layer of a deep model asks for one lemma under other names.

A recipe says which definitions were put in, by the places at which their tensors stand in what was read before. Where
it fits, nothing is searched; where the definitions are the same too, but for names, nothing is computed either. Step
after step of a loop that was followed reads x[4] where the step before has read x[5]: what was put in there is tried.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from symbackprop.expression.build import Expr, Symbol, Tensor
from symbackprop.expression.program import Equation
from symbackprop.normal_form.renaming import Pattern, Rows

FAILURES = 2  # of lemmas with one pattern, after which it is not tried again


@dataclass(frozen=True)
class Recipe:
    """A way to prove a lemma.

    Args:
        opened: the numbers, among all that was read before, of the tensors whose definitions are put in.
        whole: the pattern of the lemma with these definitions, where that is all that the proof looked at.
    """

    opened: tuple[int, ...]
    whole: Pattern | None


@dataclass
class Recipes:
    """The recipes so far, also by the patterns without numbers, and what could not be proved."""

    known: dict[Pattern, Recipe] = field(default_factory=dict)
    alike: dict[Pattern, Recipe] = field(default_factory=dict)
    failures: dict[Pattern, int] = field(default_factory=dict)

    def for_another_walk(self) -> Recipes:
        """The same recipes, with nothing given up: a pattern does not say what its tensors are, and with a line as it
        would be right they are others."""
        return Recipes(self.known, self.alike)


class Attempted:
    """A lemma that is looked for: its own definition, and what the tensor may equal.

    Args:
        other: what it may equal, over the indices of the definition.
        lines: the definitions of all tensors.
        names: what keeps its name, as `pattern` has it.
    """

    def __init__(
        self,
        recipes: Recipes,
        own: Equation,
        other: Expr,
        lines: Mapping[Tensor, Equation],
        names: Container[Symbol | Tensor],
    ) -> None:
        self.recipes, self.lines, self.names = recipes, lines, names
        self._start = (own.left, own.value, other)
        self._base = self._rows().pattern

    def told(self) -> tuple[list[Tensor], bool] | None:
        """The definitions that the recipe for this pattern puts in, and whether they certainly do."""
        recipe = self.recipes.known.get(self._base) or self.recipes.alike.get(self._without_numbers)
        if recipe is None:
            return None
        rows, opened = self._rows(), list[Tensor]()
        for number in recipe.opened:
            tensor = rows.tensor(number)
            if tensor is None or tensor not in self.lines:
                return None
            opened.append(tensor)
            rows.add(self.lines[tensor].left, self.lines[tensor].value)
        return opened, rows.pattern == recipe.whole

    def hopeless(self) -> bool:
        """True if lemmas of this pattern were tried in vain."""
        return self.recipes.failures.get(self._with_definitions, 0) >= FAILURES

    def failed(self) -> None:
        """Remember that it was not proved."""
        failures = self.recipes.failures
        failures[self._with_definitions] = failures.get(self._with_definitions, 0) + 1

    def proved(self, opened: Sequence[Tensor], everything: bool) -> None:
        """Remember how it was proved.

        Args:
            everything: whether the proof looked at nothing but these definitions.
        """
        rows, numbers = self._rows(), list[int]()
        for tensor in opened:
            if tensor not in rows.numbers:
                return
            numbers.append(rows.numbers[tensor])
            rows.add(self.lines[tensor].left, self.lines[tensor].value)
        found = self.recipes.known[self._base] = Recipe(tuple(numbers), rows.pattern if everything else None)
        self.recipes.alike[self._without_numbers] = found

    @cached_property
    def _with_definitions(self) -> Pattern:
        """The pattern with what defines the tensors that it speaks of: a sum of one tensor is not the sum of another,
        though it may be of a third."""
        rows = self._rows()
        for tensor in [n for n in rows.numbers if isinstance(n, Tensor) and n in self.lines]:
            rows.add(self.lines[tensor].left, self.lines[tensor].value)
        return rows.pattern

    @cached_property
    def _without_numbers(self) -> Pattern:
        """What is left of the pattern when it does not say which numbers stand in it."""
        return self._rows(any_number=True).pattern

    def _rows(self, any_number: bool = False) -> Rows:
        rows = Rows(self.names, any_number)
        rows.add(*self._start)
        return rows
