r"""Tokens of a display -> the tokens of its rows, brackets made to match.

Main names: `rows_of`, `cells_of`, `balanced`. Rows are parted by \\ outside nested environments; a row that goes on
with the one above (+ c, a sign of relation at the end, an open bracket) is put to it and keeps no number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symbackprop.audit.tokens import Token
from symbackprop.audit.tree import Note, Span
from symbackprop.audit.words import (
    CLOSE,
    CLOSINGS,
    DROPPED,
    IMPLICATIONS,
    JOINED,
    OPENINGS,
    PARTNER,
    RELATIONS,
    ROWS,
    SILENT,
    SPACES,
    TEXTS,
    WIDE,
    WIDE_SPACES,
)


@dataclass(frozen=True, slots=True)
class Slice:
    """The tokens of one row, its number and its tag."""

    number: int
    tokens: tuple[Token, ...]
    tag: str
    span: Span


def means_nothing(token: Token) -> bool:
    """Spaces and commands that leave nothing in the tree."""
    return token.text in SPACES or token.text in WIDE_SPACES or token.text in SILENT


def environment_name(tokens: Sequence[Token], place: int) -> tuple[str, int]:
    r"""The name after \begin or \end at `place` (without a star), and the place after its closing brace."""
    if place + 1 >= len(tokens) or tokens[place + 1].text != "{":
        return "", place + 1
    end = place + 2
    while end < len(tokens) and end < place + 40 and tokens[end].text != "}":
        end += 1
    return "".join(token.text for token in tokens[place + 2 : end]).rstrip("*"), min(end + 1, len(tokens))


def environment_end(tokens: Sequence[Token], place: int) -> tuple[int, int]:
    r"""Where the environment that begins at `place` ends: the place of its \end, and the place after its name."""
    depth = 0
    for k in range(place, len(tokens)):
        if tokens[k].text == r"\begin":
            depth += 1
        elif tokens[k].text == r"\end":
            depth -= 1
            if depth == 0:
                return k, environment_name(tokens, k)[1]
    return len(tokens), len(tokens)


def without_silent(tokens: Sequence[Token]) -> list[Token]:
    r"""The tokens, brackets among them matching, without \displaystyle, \tag{..}, \label{..} and their like."""
    kept: list[Token] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if token.text in DROPPED:
            braced = place < len(tokens) and tokens[place].text == "{"
            place = _brace_end(tokens, place) if braced else place + 1
        elif token.text not in SILENT:
            kept.append(token)
    return kept


def rows_of(tokens: Sequence[Token]) -> tuple[Slice, ...]:
    """The rows of a display, those that go on from above put to them."""
    splitter = _Splitter(tokens)
    splitter.run()
    rows: list[tuple[int, list[Token]]] = []
    for number, row, joined in splitter.rows:
        if not any(not means_nothing(token) for token in row):
            continue
        if rows and (joined or _goes_on(rows[-1][1], row)):
            _join(rows[-1][1], row)
        else:
            rows.append((number, row))
    return tuple(
        Slice(number, tuple(_without_idle_spaces(row)), _tag(row), (row[0].start, row[-1].end)) for number, row in rows
    )


def _without_idle_spaces(row: Sequence[Token]) -> list[Token]:
    """The row without wide spaces at its start and beside an operator or a sign of relation: they part no formulas."""
    kept: list[Token] = []
    for token in row:
        if token.text in WIDE_SPACES:
            before = next((t for t in reversed(kept) if t.text not in SPACES), None)
            if before is None or before.text in WIDE_SPACES or before.text in _BINARY or before.text in RELATIONS:
                continue
        elif token.text in _BINARY or token.text in RELATIONS:
            while kept and (kept[-1].text in WIDE_SPACES or kept[-1].text in SPACES):
                kept.pop()
        kept.append(token)
    return kept


class _Splitter:
    r"""Walks once over the tokens; environments of rows that begin a row are walked through, others are kept whole."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.rows: list[tuple[int, list[Token], bool]] = []
        self.row: list[Token] = []
        self.number = 0
        self.around: list[str] = []  # the environments walked through
        self.brackets: list[bool] = []  # for each of them: a \left\{ before it was left out
        self.marks = 0  # the & of this row

    def run(self) -> None:
        tokens, place, braces = self.tokens, 0, 0
        while place < len(tokens):
            token = tokens[place]
            if token.text == r"\begin":
                place = self.begin(place)
                continue
            if token.text == r"\end" and braces == 0:
                place = self.end(place)
                continue
            braces = max(0, braces + {"{": 1, "}": -1}.get(token.text, 0))
            if token.kind == "break" and braces == 0:
                self.close()
                self.number += 1
            elif token.text == "&" and braces == 0:
                self.mark(token, place)
            else:
                self.row.append(token)
            place += 1
        self.close()

    def begin(self, place: int) -> int:
        name, after = environment_name(self.tokens, place)
        bracket = self.bare()
        if name in ROWS and bracket is not None:
            if self.row and self.rows and not self.around:
                self.number += 1
            self.row.clear()
            self.around.append(name)
            self.brackets.append(bracket)
            return self.options(after, name)
        _, end = environment_end(self.tokens, place)
        self.row += self.tokens[place:end]
        return end

    def bare(self) -> bool | None:
        r"""False if the row so far has nothing but spaces, True if a bracket before a system, \left\{; else None."""
        kept = [token.text for token in self.row if not means_nothing(token)]
        if not kept:
            return False
        return True if kept in ([r"\left", r"\{"], [r"\{"], [r"\left", "."]) else None

    def options(self, place: int, name: str) -> int:
        """Passes over [t], and over the braces of alignat."""
        if place < len(self.tokens) and self.tokens[place].text == "[":
            end = place
            while end < min(place + 8, len(self.tokens)) and self.tokens[end].text != "]":
                end += 1
            if end < len(self.tokens) and self.tokens[end].text == "]" and end - place <= 3:
                place = end + 1
        if name in ("alignat", "alignedat", "eqnarray") and place < len(self.tokens) and self.tokens[place].text == "{":
            while place < len(self.tokens) and self.tokens[place].text != "}":
                place += 1
            place += 1
        return place

    def end(self, place: int) -> int:
        name, after = environment_name(self.tokens, place)
        if self.around and (name == self.around[-1] or name in ROWS):
            self.around.pop()
            if self.brackets.pop() and after < len(self.tokens) and self.tokens[after].text == r"\right":
                after += 2
            follows = [t.text for t in self.tokens[after : after + 12] if not means_nothing(t)]
            if r"\begin" in follows[:1]:
                self.close()
                self.number += 1
        return after

    def mark(self, token: Token, place: int) -> None:
        """Every second & parts two equations of a row, unless a sign of relation stands after it: also && i = j."""
        self.marks += 1
        behind = (t.text for t in self.tokens[place + 1 : place + 12] if not means_nothing(t))
        follows = next((text for text in behind if text != "&"), "")
        parts = self.marks % 2 == 0 and "eqnarray" not in self.around and "darray" not in self.around
        if parts and follows not in RELATIONS and self.row:
            self.row.append(token._replace(kind="command", text=r"\quad"))

    def close(self) -> None:
        joined = bool(self.rows) and any(name in JOINED for name in self.around)
        self.rows.append((self.number, self.row, joined))
        self.row, self.marks = [], 0


def _meaning(row: Sequence[Token], *, last: bool = False) -> Token | None:
    """The first (or last) token that is no space, no empty pair of braces, no comma at the end."""
    order = list(reversed(row)) if last else row
    for token in order:
        if not means_nothing(token) and token.text not in ("{", "}"):
            return token
    return None


_BINARY = frozenset([*CLOSE, *WIDE, "+", r"\pm"])


def _goes_on(above: Sequence[Token], row: Sequence[Token]) -> bool:
    first, last = _meaning(row), _meaning(above, last=True)
    if first is None or last is None:
        return False
    if first.text in _BINARY or last.text in _BINARY or last.text == "-":
        return True
    if last.text in RELATIONS and first.text not in RELATIONS:
        return True
    if _open_brackets(above) > 0 and (_open_brackets(row) < 0 or not _has_relation(row)):
        return True
    if first.text == "-" or _begins_with(row, r"\left", "."):
        return not _has_relation(row) and first.text not in IMPLICATIONS
    return False


def _begins_with(row: Sequence[Token], *texts: str) -> bool:
    kept = [token.text for token in row if not means_nothing(token)][: len(texts)]
    return kept == list(texts)


def _open_brackets(row: Sequence[Token]) -> int:
    r"""How many more brackets open than close; \left. and \right. count as what they are."""
    count = 0
    for before, token in zip([None, *row], row, strict=False):
        sized = before is not None and before.text in (r"\left", r"\right")
        if sized:
            count += 1 if before is not None and before.text == r"\left" else -1
        elif token.text in OPENINGS:
            count += 1
        elif token.text in CLOSINGS:
            count -= 1
    return count


def _has_relation(row: Sequence[Token]) -> bool:
    """A sign of relation outside brackets, braces and nested environments."""
    depth = 0
    for token in row:
        if token.text in OPENINGS or token.text in ("{", r"\begin"):
            depth += 1
        elif token.text in CLOSINGS or token.text in ("}", r"\end"):
            depth -= 1
        elif depth <= 0 and token.text in RELATIONS:
            return True
    return False


def _join(above: list[Token], row: list[Token]) -> None:
    r"""Puts a row to the one above: one operator where both have it, and neither \right. nor \left. between them."""
    first, last = _meaning(row), _meaning(above, last=True)
    if first is not None and last is not None and first.text == last.text and first.text in (*_BINARY, *RELATIONS):
        row.remove(first)
    kept = [k for k, token in enumerate(above) if not means_nothing(token)]
    ends = [above[k].text for k in kept[-2:]]
    if ends == [r"\right", "."] and _begins_with(row, r"\left", "."):
        del above[kept[-2] :]
        while row and row[0].text != ".":
            row.pop(0)
        row.pop(0)
    above += row


def _tag(row: Sequence[Token]) -> str:
    r"""What a \tag or \label of the row says."""
    for k, token in enumerate(row):
        if token.text in (r"\tag", r"\tag*", r"\label") and token.text in DROPPED and k + 1 < len(row):
            inner: list[str] = []
            for follower in row[k + 2 : k + 100]:
                if follower.text == "}":
                    return "".join(inner)
                inner.append((" " if follower.space and inner else "") + follower.text)
            return ""
    return ""


def cells_of(tokens: Sequence[Token]) -> list[list[list[Token]]]:
    r"""The cells of an environment's content: rows by \\, cells by &, both outside what is nested."""
    rows: list[list[list[Token]]] = [[[]]]
    depth = 0
    for token in tokens:
        depth += {"{": 1, r"\begin": 1, "}": -1, r"\end": -1}.get(token.text, 0)
        if depth == 0 and token.kind == "break":
            rows.append([[]])
        elif depth == 0 and token.text == "&":
            rows[-1].append([])
        else:
            rows[-1][-1].append(token)
    return [row for row in rows if any(not means_nothing(token) for cell in row for token in cell)]


def balanced(tokens: Sequence[Token]) -> tuple[list[Token], list[Note]]:
    r"""The tokens with every bracket closed where its surroundings end, stray ones left out; and notes on both.

    ( a [ b ) becomes ( a [ b ] ): a bracket that closes an outer one closes those within. [0, 1) stays as it is.
    """
    kept: list[Token] = []
    notes: list[Note] = []
    stack: list[tuple[str, Token]] = []  # what closes it, and the token that opened
    place = 0
    while place < len(tokens):
        token = tokens[place]
        text = token.text
        place += 1
        if len(stack) > MOST_OPEN:
            return list(tokens), notes
        if text in TEXTS and place < len(tokens) and tokens[place].text == "{":
            end = _brace_end(tokens, place)
            kept += [token, *tokens[place:end]]
            place = end
        elif text == r"\left":
            stack.append((r"\right", tokens[place] if place < len(tokens) else token))
            kept += [token, *tokens[place : place + 1]]
            place += 1
        elif text == r"\right":
            if _unwind(r"\right", stack, kept, notes, token):
                kept += [token, *tokens[place : place + 1]]
            place += 1
        elif text == "{" or text == r"\begin":
            stack.append(("}" if text == "{" else r"\end", token))
            kept.append(token)
            if text == r"\begin":
                _, after = environment_name(tokens, place - 1)
                kept += tokens[place:after]
                place = after
        elif text in ("}", r"\end"):
            if _unwind(text, stack, kept, notes, token):
                kept.append(token)
            if text == r"\end":
                _, after = environment_name(tokens, place - 1)
                kept += tokens[place:after] if kept and kept[-1] is token else []
                place = after
        elif text in OPENINGS:
            stack.append((PARTNER[OPENINGS[text]], token))
            kept.append(token)
        elif text in CLOSINGS:
            if _unwind(CLOSINGS[text], stack, kept, notes, token):
                kept.append(token)
        elif text == "&" or token.kind == "break":
            while stack and stack[-1][0] not in ("}", r"\right", r"\end"):
                _close(stack, kept, notes, token)
            kept.append(token)
        else:
            kept.append(token)
    while stack:
        _close(stack, kept, notes, tokens[-1])
    return kept, notes


def _brace_end(tokens: Sequence[Token], place: int) -> int:
    """The place after the brace that closes the one at `place`."""
    depth = 0
    while place < len(tokens):
        depth += {"{": 1, "}": -1}.get(tokens[place].text, 0)
        place += 1
        if depth == 0:
            break
    return place


MOST_OPEN = 200  # more brackets inside one another than can be read; then nothing is matched
_SOLID = ("}", r"\right", r"\end")  # a round bracket does not close across these


def _unwind(closing: str, stack: list[tuple[str, Token]], kept: list[Token], notes: list[Note], at: Token) -> bool:
    """Closes what stands open inside the bracket that `closing` closes; False if there is none, and it is left out."""
    if stack and stack[-1][0] == closing:
        stack.pop()
        return True
    solid = closing in _SOLID
    for k in range(len(stack) - 1, -1, -1):
        if stack[k][0] == closing:
            while len(stack) > k + 1:
                _close(stack, kept, notes, at)
            stack.pop()
            return True
        if stack[k][0] in _SOLID and (not solid or closing == r"\right"):
            break
    if not solid and stack and stack[-1][0] in (")", "]") and closing in (")", "]"):
        stack.pop()  # an interval: [0, 1)
        return True
    notes.append(Note("bracket", f"{at.text} closes nothing", span=(at.start, at.end)))
    return False


def _close(stack: list[tuple[str, Token]], kept: list[Token], notes: list[Note], at: Token) -> None:
    """Closes the innermost bracket before `at`, by a token without extent."""
    closing, opened = stack.pop()
    notes.append(Note("bracket", f"{opened.text} is not closed", span=(opened.start, opened.end)))
    if closing == r"\end":
        return
    written = [closing] if closing == "}" else [_closing(closing)]
    if closing == r"\right":
        written = [closing, _closing(PARTNER.get(OPENINGS.get(opened.text, ""), "")) or "."]
    first = _relation_after(kept, opened)
    place = len(kept) if first is None else first
    end = kept[place].start if first is not None else kept[-1].end if kept else at.start
    kept[place:place] = [Token("command" if text.startswith("\\") else "other", text, end, end) for text in written]


def _closing(sign: str) -> str:
    """How a closing bracket is written."""
    return next((text for text, each in CLOSINGS.items() if each == sign), sign)


def _relation_after(kept: Sequence[Token], opened: Token) -> int | None:
    """Where the first sign of relation stands after a bracket that is not closed, outside what is nested in it."""
    place = len(kept) - 1
    while place >= 0 and kept[place] is not opened:
        place -= 1
    depth, before = 0, kept[place - 1].text if place > 0 else ""
    if before == "_":
        return None  # a bound, as of a sum over i = 1
    for k in range(place + 1, len(kept)):
        text = kept[k].text
        depth += (text in OPENINGS or text in ("{", r"\left", r"\begin")) - (
            text in CLOSINGS or text in ("}", r"\right", r"\end")
        )
        if depth == 0 and text in RELATIONS:
            return k
    return None
