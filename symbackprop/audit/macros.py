r"""Macros of a document: \newcommand, \def, \DeclareMathOperator and their like, put into formulas with places kept.

Main names: `definitions`, `expand`, `Passage`. A macro that calls itself, or grows beyond all bounds, is told and left
as it stands. Text is only ever replaced by text; nothing runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from symbackprop.audit.tree import Note


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text, and where in the file each of its characters comes from."""

    text: str
    places: Sequence[int]

    def part(self, start: int, end: int) -> Passage:
        """The characters from `start` up to `end`."""
        return Passage(self.text[start:end], self.places[start:end])


@dataclass(frozen=True, slots=True)
class Macro:
    """What a command stands for: `body` with #1, #2 ... for `arity` arguments, of which the first may be `optional`."""

    name: str
    arity: int
    body: str
    optional: str | None = None


# Commands of widespread packages that many use without their definition at hand.
_PACKAGES = (
    Macro(r"\norm", 1, r"\left\|#1\right\|"),
    Macro(r"\abs", 1, r"\left|#1\right|"),
    Macro(r"\set", 1, r"\left\{#1\right\}"),
    Macro(r"\dv", 2, r"\frac{d #1}{d #2}"),
    Macro(r"\pdv", 2, r"\frac{\partial #1}{\partial #2}"),
    Macro(r"\pd", 2, r"\frac{\partial #1}{\partial #2}"),
    Macro(r"\diffp", 2, r"\frac{\partial #1}{\partial #2}"),
    Macro(r"\dd", 1, r"\mathrm{d}#1"),
    Macro(r"\vb", 1, r"\mathbf{#1}"),
    Macro(r"\vect", 1, r"\mathbf{#1}"),
    Macro(r"\grad", 0, r"\nabla "),
    Macro(r"\R", 0, r"\mathbb{R}"),
    Macro(r"\E", 0, r"\mathbb{E}"),
    Macro(r"\ind", 0, r"\mathbb{1}"),
    Macro(r"\indicator", 0, r"\mathbb{1}"),
    Macro(r"\T", 0, r"\top "),
    Macro(r"\qty", 0, ""),
)
PACKAGES: Mapping[str, Macro] = {macro.name: macro for macro in _PACKAGES}

_DEFINING = re.compile(
    r"\\(?:(newcommand|renewcommand|providecommand|DeclareRobustCommand|def|gdef|let|DeclareMathOperator"
    r"|DeclarePairedDelimiter|newenvironment|renewenvironment|NewDocumentCommand|RenewDocumentCommand)(?![A-Za-z]))\*?"
)
_NAME = re.compile(r"\s*\{?\s*(\\(?:[A-Za-z@]+|.))\s*\}?")
_COUNT = re.compile(r"\s*\[\s*(\d)\s*\]")
_PARAMETERS = re.compile(r"\s*((?:#\d\s*)*)(?=\{)")
_PIECE = re.compile(r"\\(?:[A-Za-z@]+|.)|[^\\]+", re.DOTALL)
# How deep macros stand inside one another, and how much longer than its formula an expansion may be.
MOST_DEEP = 30
MOST_GROWN = 50_000


def definitions(text: str) -> tuple[dict[str, Macro], list[tuple[int, int]]]:
    r"""The macros that a text defines, the last definition of a name counting, and where the definitions stand.

    Example:
        >>> definitions(r"\newcommand{\pd}[2]{\frac{\partial #1}{\partial #2}}")[0][r"\pd"].arity
        2
    """
    macros: dict[str, Macro] = {}
    spans: list[tuple[int, int]] = []
    place = 0
    while match := _DEFINING.search(text, place):
        place = match.end()
        found = _definition(match[1], text, match.end())
        if found is not None:
            new, place = found
            macros.update((macro.name, macro) for macro in new)
            spans.append((match.start(), place))
    return macros, spans


def _definition(how: str, text: str, place: int) -> tuple[list[Macro], int] | None:
    """The macros of one definition whose name stands at `place`, and where it ends."""
    if how.endswith("environment"):
        return _environment(text, place)
    name = _NAME.match(text, place)
    if name is None:
        return None
    place = name.end()
    if how == "let":
        target = re.compile(r"\s*=?\s*(\\(?:[A-Za-z@]+|.)|.)").match(text, place)
        return None if target is None else ([Macro(name[1], 0, target[1])], target.end())
    if how == "DeclareMathOperator":
        body = braced(text, place)
        return None if body is None else ([Macro(name[1], 0, rf"\operatorname{{{body[0]}}}")], body[1])
    if how == "DeclarePairedDelimiter":
        left = braced(text, place)
        right = braced(text, left[1]) if left else None
        if left is None or right is None:
            return None
        return [Macro(name[1], 1, rf"\left{left[0]}#1\right{right[0]}")], right[1]
    optional: str | None = None
    if how in ("def", "gdef"):
        parameters = _PARAMETERS.match(text, place)
        if parameters is None:
            return None
        arity, place = parameters[1].count("#"), parameters.end()
    elif how.endswith("DocumentCommand"):
        specification = braced(text, place)
        if specification is None:
            return None
        arity, place = specification[0].count("m"), specification[1]
    else:
        count = _COUNT.match(text, place)
        arity, place = (int(count[1]), count.end()) if count else (0, place)
        if arity and text[place : place + 1] == "[":
            end = text.find("]", place)
            if end < 0:
                return None
            optional, place = text[place + 1 : end], end + 1
    body = braced(text, place)
    return None if body is None else ([Macro(name[1], arity, body[0], optional)], body[1])


def _environment(text: str, place: int) -> tuple[list[Macro], int] | None:
    r"""\newenvironment{eq}{\begin{align}}{\end{align}}: what \begin{eq} and \end{eq} stand for."""
    name = braced(text, place)
    if name is None:
        return None
    count = _COUNT.match(text, name[1])
    begin = braced(text, count.end() if count else name[1])
    end = braced(text, begin[1]) if begin else None
    if begin is None or end is None:
        return None
    return [Macro(rf"\begin{{{name[0]}}}", 0, begin[0]), Macro(rf"\end{{{name[0]}}}", 0, end[0])], end[1]


def braced(text: str, place: int) -> tuple[str, int] | None:
    """What stands in the braces after `place`, and the place after them; None if there are none, or they do not end."""
    while place < len(text) and text[place].isspace():
        place += 1
    if place >= len(text) or text[place] != "{":
        return None
    depth = 0
    start = place
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, place):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start + 1 : match.start()], match.end()
    return None


def expand(passage: Passage, macros: Mapping[str, Macro]) -> tuple[Passage, list[Note]]:
    r"""The passage with its macros replaced; what stands in their bodies is placed where the macro stands."""
    if "\\" not in passage.text or not any(name in passage.text for name in macros):
        return passage, []
    expander = _Expander(macros, len(passage.text) * 20 + MOST_GROWN)
    expander.run(passage, ())
    return Passage("".join(expander.texts), expander.places), expander.notes


class _Expander:
    """Walks through a passage and writes it out, macros replaced."""

    def __init__(self, macros: Mapping[str, Macro], limit: int) -> None:
        self.macros, self.limit = macros, limit
        self.texts: list[str] = []
        self.places: list[int] = []
        self.notes: list[Note] = []
        self.told: set[str] = set()

    def run(self, passage: Passage, within: tuple[str, ...]) -> None:
        place, text = 0, passage.text
        while place < len(text):
            match = _PIECE.match(text, place)
            end = match.end() if match else place + 1
            name = text[place:end]
            if name in (r"\begin", r"\end") and (environment := braced(text, end)) is not None:
                named = f"{name}{{{environment[0]}}}"
                if named in self.macros:
                    name, end = named, environment[1]
            macro = self.macros.get(name) if name.startswith("\\") else None
            if macro is None or self.refuses(macro, within, passage.places[place]):
                self.write(name if macro is None else text[place:end], passage.places[place:end])
                place = end
                continue
            place = self.replace(macro, passage, place, end, within)

    def refuses(self, macro: Macro, within: tuple[str, ...], place: int) -> bool:
        """Whether a macro is left as it stands; says why, once each."""
        if macro.name in within:
            why = f"the macro {macro.name} calls itself"
        elif len(within) >= MOST_DEEP or len(self.places) > self.limit:
            why = f"macros grow beyond bounds at {macro.name}"
        else:
            return False
        if why not in self.told:
            self.told.add(why)
            self.notes.append(Note("macro", why, span=(place, place + len(macro.name))))
        return True

    def expanded(self, argument: Passage, within: tuple[str, ...]) -> Passage:
        """An argument with its own macros replaced, before it is put into a body: \\norm{\\norm{x}} is no call of
        itself.
        """
        if "\\" not in argument.text or len(within) >= MOST_DEEP:
            return argument
        inner = _Expander(self.macros, self.limit - len(self.places))
        inner.told = self.told
        inner.run(argument, (*within, "an argument"))
        self.notes += inner.notes
        return Passage("".join(inner.texts), inner.places)

    def write(self, text: str, places: Iterable[int]) -> None:
        self.texts.append(text)
        self.places += places

    def replace(self, macro: Macro, passage: Passage, start: int, end: int, within: tuple[str, ...]) -> int:
        """Puts the macro's body for it; answers where reading goes on."""
        arguments, after = _arguments(macro, passage, end)
        arguments = [self.expanded(argument, within) for argument in arguments]
        origin = passage.places[start]
        texts: list[str] = []
        places: list[int] = []
        # \w x: a command at the end of the body must not run into the letter after it
        tail = " " if macro.body[-1:].isalpha() and passage.text[after : after + 1].isalpha() else ""
        for piece in re.split(r"(#\d)", macro.body + tail):
            if len(piece) == 2 and piece[0] == "#" and piece[1].isdigit():
                number = int(piece[1]) - 1
                if number < len(arguments):
                    texts.append(arguments[number].text)
                    places += arguments[number].places
            else:
                texts.append(piece)
                places += [origin] * len(piece)
        self.run(Passage("".join(texts), places), (*within, macro.name))
        return after


def _arguments(macro: Macro, passage: Passage, place: int) -> tuple[list[Passage], int]:
    """The arguments that stand after a macro, and the place after them; missing ones are left out."""
    found: list[Passage] = []
    text = passage.text
    if macro.optional is not None:
        if text[place : place + 1] == "[" and (end := text.find("]", place)) >= 0:
            found.append(passage.part(place + 1, end))
            place = end + 1
        else:
            origin = passage.places[place - 1] if place else 0
            found.append(Passage(macro.optional, [origin] * len(macro.optional)))
    while len(found) < macro.arity:
        start = place
        while start < len(text) and text[start].isspace():
            start += 1
        if start >= len(text) or text[start] in "&}":
            break
        inner = braced(text, start)
        if inner is not None:
            found.append(passage.part(start + 1, inner[1] - 1))
            place = inner[1]
        elif text[start] == "{":
            break
        else:
            match = _PIECE.match(text, start)
            end = match.end() if match and text[start] == "\\" else start + 1
            found.append(passage.part(start, end))
            place = end
    return found, place
