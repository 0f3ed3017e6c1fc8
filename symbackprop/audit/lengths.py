"""How long the axes are: what a document says of sizes, gathered by what its equations demand.

Two axes of which a definition demands that they are equally long are one class. A class carries the document's own
name for it, s_{l+1} or n, once a sum's bound or the words around it give one. `Lengths.copy` makes a draft in which a
claim may demand what it likes: what it joins that the definitions keep apart is a misfit, and told.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from symbackprop.expression.build import Expr, Symbol, number

Key = Hashable


class Lengths:
    """Classes of axes that are equally long."""

    def __init__(self) -> None:
        self._parent: dict[Key, Key] = {}
        self._name: dict[Key, str] = {}
        self._value: dict[Key, int] = {}
        self._title: dict[Key, str] = {}

    def copy(self) -> Lengths:
        """A draft: what is joined there is not joined here."""
        other = Lengths()
        other._parent, other._name, other._value = dict(self._parent), dict(self._name), dict(self._value)
        other._title = dict(self._title)
        return other

    def root(self, key: Key) -> Key:
        """The representative of a class."""
        parent = self._parent.setdefault(key, key)
        while parent != key:
            key, parent = parent, self._parent[parent]
        return key

    def join(self, left: Key, right: Key) -> None:
        """The two axes are equally long."""
        a, b = self.root(left), self.root(right)
        if a == b:
            return
        self._parent[b] = a
        if b in self._name:
            self._name.setdefault(a, self._name[b])
        if b in self._value:
            self._value.setdefault(a, self._value[b])

    def call(self, key: Key, name: str) -> None:
        """The document's name for a length; of several the first stays."""
        self._name.setdefault(self.root(key), name)

    def fix(self, key: Key, value: int) -> None:
        """The length is a number."""
        self._value.setdefault(self.root(key), value)

    def name(self, key: Key) -> str | None:
        """What the document calls a length."""
        return self._name.get(self.root(key))

    def size(self, key: Key) -> Expr:
        """The length as an expression: a number, or a symbol that is the same for all axes of a class."""
        root = self.root(key)
        if root in self._value:
            return number(self._value[root])
        return Symbol(self._name.get(root) or self.title(root), "size")

    def title(self, root: Key) -> str:
        """What a length is called that the document gives no name; no two have the same."""
        found = self._title.get(root)
        if found is None:
            match root:
                case ("axis", family, int(place), layer):
                    found = f"size {place + 1} of {family}" + (f"^({layer})" if layer is not None else "")
                case ("samples",):
                    found = "examples"
                case ("sum", _, str(letter), *_) | ("free", _, str(letter)):
                    found = f"range of {letter}"
                case _:
                    found = "range"
            number = sum(t == found or t.startswith(f"{found} (") for t in self._title.values())
            found = self._title[root] = f"{found} ({number + 1})" if number else found
        return found

    def count(self) -> int:
        """How many classes there are."""
        return len({self.root(key) for key in list(self._parent)})

    def keys(self) -> Iterator[Key]:
        """All axes that have been spoken of."""
        return iter(self._parent)


class Overlay(Lengths):
    """A draft on which the lengths that are known keep their names, whatever is joined.

    So expressions that were made before stay good.
    """

    def __init__(self, base: Lengths) -> None:
        super().__init__()
        self.base = base
        self._parent, self._name, self._value = dict(base._parent), dict(base._name), dict(base._value)
        self._title = dict(base._title)

    def size(self, key: Key) -> Expr:
        """The length as it was before; of a new axis that of a known one with which it is joined."""
        if key in self.base._parent:
            return self.base.size(key)
        root = self.root(key)
        known = next((k for k in self.base._parent if self.root(k) == root), None)
        return super().size(key) if known is None else self.base.size(known)
