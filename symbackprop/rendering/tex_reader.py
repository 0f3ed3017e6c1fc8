r"""LaTeX mathematics -> layout: the subset in which the rules' formulas and other tools' output are written.

Knows \frac, \sqrt, scripts, Greek, named functions, \operatorname, \text and the like, \left and \right, big operators,
`cases` and `matrix`, and spaces; \changed{...} is a part that is `Marked`. Main name: `read_tex`. An unknown command
becomes its own name.

Example:
    >>> from symbackprop.rendering.tex import to_tex
    >>> to_tex(read_tex(r"\frac{\partial J}{\partial z^{(l)}_{ni}}"))
    '\\frac{\\partial J}{\\partial z^{(l)}_{ni}}'
"""

from __future__ import annotations

import re
from typing import Literal, cast

from symbackprop.rendering.layout import (
    GREEK,
    TIMES,
    Accent,
    Big,
    Cases,
    Fence,
    Fraction,
    Glyph,
    Grid,
    Layout,
    Marked,
    Root,
    Row,
    Script,
    row,
)

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
_RELATIONS = {"=": "=", "<": "<", ">": ">", r"\le": "≤", r"\leq": "≤", r"\ge": "≥", r"\geq": "≥", r"\ne": "≠"} | {
    r"\neq": "≠",
    r"\in": "∈",
    r"\to": "→",
} | {
    r"\approx": "≈", r"\propto": "∝", r"\equiv": "≡", r"\sim": "∼", r"\ll": "≪", r"\gg": "≫", r"\notin": "∉",
    r"\leftarrow": "←", r"\gets": "←", r"\rightarrow": "→", r"\mapsto": "↦", r"\triangleq": "≜", r"\Rightarrow": "⇒",
    r"\implies": "⇒", r"\iff": "⇔", r"\Leftrightarrow": "⇔",
}  # fmt: skip
_OPERATORS = {
    "+": "+",
    "-": "−",
    ",": ",",
    r"\cdot": "·",
    r"\times": "×",
    r"\odot": "⊙",
    r"\ldots": "…",
    r"\dots": "…",
} | {r"\cdots": "⋯", r"\mid": "|", ";": ";", r"\circ": "∘", r"\ast": "∗", r"\star": "⋆", r"\otimes": "⊗", r"\pm": "±",
     r"\div": "÷", r"\bullet": "•", r"\vdots": "⋮", r"\ddots": "⋱", r"\forall": "∀"}  # fmt: skip
_LETTERS = {rf"\{name}": char for name, char in GREEK.items()} | {
    r"\varepsilon": "ε",
    r"\varphi": "φ",
    r"\partial": "∂",
    r"\nabla": "∇",
    r"\infty": "∞",
    r"\top": "⊤",
    r"\intercal": "⊤",
    r"\ell": "ℓ",
    r"\Vert": "‖",
}
_BIG = {r"\sum": "∑", r"\prod": "∏", r"\max": "max", r"\min": "min", r"\int": "∫"}
_STYLES = {r"\mathrm": "function", r"\operatorname": "function", r"\mathbf": "bold", r"\mathit": "variable"} | {
    r"\mathbb": "bold",
    r"\boldsymbol": "bold",
    r"\bm": "bold",
    r"\mathcal": "variable",
    r"\mathscr": "variable",
    r"\text": "text",
    r"\textrm": "text",
    r"\operatorname*": "function",
}
_FONTS = (r"\boldsymbol", r"\bm", r"\mathbf", r"\mathcal", r"\mathscr", r"\mathbb")
_FENCES = {
    r"\{": "{",
    r"\}": "}",
    r"\|": "‖",
    r"\lfloor": "⌊",
    r"\rfloor": "⌋",
    ".": "",
    r"\lVert": "‖",
    r"\rVert": "‖",
    r"\vert": "|",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\langle": "⟨",
    r"\rangle": "⟩",
}
_SKIPPED = frozenset(
    rf"\{name}"
    for name in (
        *(",", ";", "!", ":", "displaystyle", "textstyle", "mathopen", "mathclose", "limits", "nolimits", "cal"),
        *("big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr"),
    )
)


def read_tex(code: str) -> Layout:
    """The layout of a formula."""
    return _Reader([t for t in _TOKEN.findall(code) if not t.isspace() or t == " "]).row(())


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place = tokens, 0

    def peek(self) -> str:
        while self.place < len(self.tokens) and self.tokens[self.place] == " ":
            self.place += 1
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def row(self, ends: tuple[str, ...]) -> Layout:
        """Everything up to one of the closing tokens, which is left in place."""
        parts: list[Layout] = []
        while (token := self.peek()) and token not in ends:
            if token in ("^", "_"):
                base = parts.pop() if parts else Row(())
                parts.append(self.scripts(base))
            elif token == "'":
                self.place += 1
                parts.append(Script(parts.pop() if parts else Row(()), None, Glyph("′", "operator")))
            else:
                part = self.atom()
                parts += [] if part is None else [part]
        return row(*parts)

    def scripts(self, base: Layout) -> Layout:
        below: Layout | None = None
        above: Layout | None = None
        while self.peek() in ("^", "_"):
            mark, inner = self.take(), self.argument()
            below, above = (inner, above) if mark == "_" else (below, inner)
        if isinstance(base, Big):
            return Big(base.symbol, below or base.under, above)
        if isinstance(base, Script) and base.below is None and above is None:
            return Script(base.base, below, base.above)
        return Script(base, below, above)

    def argument(self) -> Layout:
        if (token := self.peek()) != "{":
            if token.isdigit() and len(token) > 1:  # \\frac14
                self.tokens[self.place : self.place + 1] = [token[0], token[1:]]
            return self.atom() or Row(())
        self.take()
        inner = self.row(("}",))
        self.take()
        return inner

    def closing(self) -> int:
        """Where the next brace closes."""
        places = (p for p in range(self.place, len(self.tokens)) if self.tokens[p] == "}")
        return next(places, len(self.tokens))

    def words(self) -> str:
        """The raw text of an argument in braces."""
        self.take()
        start = self.place
        while self.place < len(self.tokens) and self.tokens[self.place] != "}":
            self.place += 1
        text = "".join(self.tokens[start : self.place]).replace("\\", "")
        self.place += 1
        return text

    def atom(self) -> Layout | None:
        token = self.take()
        if token in _SKIPPED:
            return TIMES if token == r"\," else None
        if token in (r"\quad", r"\qquad", "\\ "):
            return Glyph("\u2003", "text")
        if token in _RELATIONS:
            return Glyph(_RELATIONS[token], "relation")
        if token in _OPERATORS:
            return Glyph(_OPERATORS[token], "operator")
        if token in _LETTERS:
            return Glyph(_LETTERS[token])
        if token in _BIG:
            if self.peek() == "_":
                return Big(_BIG[token], Row(()))
            return Glyph("∫", "operator") if token == r"\int" else Glyph(token[1:], "function")
        if token in _STYLES:
            if token in _FONTS and self.peek() == "{" and {"^", "_"} & {*self.tokens[self.place : self.closing()]}:
                return self.argument()  # a whole formula, not a name with an underscore
            words = self.words() if self.peek() == "{" else self.take().removeprefix("\\")
            kind = cast(Literal["function", "bold", "variable", "text"], _STYLES[token])
            return Glyph(words if kind == "text" else GREEK.get(words, words), kind)
        if token[:1].isdigit():
            return Glyph(token, "number")
        return self.structure(token)

    def structure(self, token: str) -> Layout | None:
        """Fractions, roots, accents, brackets and environments."""
        match token:
            case "{":
                inner = self.row(("}",))
                self.take()
                return inner
            case r"\frac" | r"\tfrac" | r"\dfrac":
                return Fraction(self.argument(), self.argument())
            case r"\sqrt":
                return Root(self.argument())
            case r"\bar" | r"\hat" | r"\tilde":
                return Accent(cast(Literal["bar", "hat", "tilde"], token[1:]), self.argument())
            case r"\left" | "(" | "[":
                return self.fence(token)
            case r"\underbrace" | r"\overbrace" | r"\boxed":
                return self.argument()
            case r"\changed":
                return Marked(self.argument())
            case r"\tag" | r"\label":
                self.words()
                return None
            case r"\begin":
                return self.environment(self.words())
        if token.startswith("\\") and len(token) > 2:
            return Glyph(token[1:], "function")
        return Glyph(_FENCES.get(token, token), "variable" if token.isalpha() else "operator")

    def fence(self, token: str) -> Layout:
        left = self.take() if token == r"\left" else token
        ends = (r"\right",) if token == r"\left" else (")", "]", r"\right", "}", "&")
        body = self.row(ends)
        if token != r"\left" and self.peek() not in (")", "]"):  # an interval or a lone bracket
            return row(Glyph(left, "operator"), body)
        self.place += token == r"\left"
        right = self.take()
        return Fence(_FENCES.get(left, left), body, _FENCES.get(right, right))

    def environment(self, name: str) -> Layout:
        if name == "array":
            self.words()
        lines: list[tuple[Layout, ...]] = [()]
        while self.peek():
            lines[-1] += (self.row(("&", r"\\", r"\end")),)
            mark = self.take()
            if mark == r"\\":
                lines.append(())
            elif mark != "&":
                self.words()
                break
        if name == "cases":
            return Cases(tuple((line[0], line[1] if len(line) > 1 else Row(())) for line in lines))
        return Grid(tuple(lines))
