r"""LaTeX mathematics -> tokens with places; unicode mathematics becomes the commands that it stands for.

Main names: `tokens_of`, `Token`. ∂ becomes \partial, ŷ becomes \hat{y}, x² becomes x^{2}; each token knows where in the
text it came from, so a message can point at what the author wrote.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho varsigma sigma tau upsilon"
    " phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega epsilon vartheta phi varpi varrho"
)
GREEK = dict(zip("αβγδεζηθικλμνξοπρςστυφχψωΓΔΘΛΞΠΣΥΦΨΩϵϑϕϖϱ", _GREEK_NAMES.split(), strict=True))

# What one character of unicode stands for.
_UNICODE = {
    "−": "-",
    "–": "-",
    "—": "-",
    "﹣": "-",
    "＋": "+",
    "＝": "=",
    "·": r"\cdot",
    "⋅": r"\cdot",
    "∙": r"\cdot",
    "•": r"\bullet",
    "×": r"\times",
    "✕": r"\times",
    "÷": r"\div",
    "∗": r"\ast",
    "⋆": r"\star",
    "∘": r"\circ",
    "○": r"\circ",
    "⊙": r"\odot",
    "ʘ": r"\odot",
    "⨀": r"\odot",
    "⊗": r"\otimes",
    "⊕": r"\oplus",
    "∧": r"\wedge",
    "∂": r"\partial",
    "𝜕": r"\partial",
    "∇": r"\nabla",
    "∆": r"\Delta",
    "∑": r"\sum",
    "∏": r"\prod",
    "∫": r"\int",
    "√": r"\sqrt",
    "∞": r"\infty",
    "≤": r"\le",
    "⩽": r"\le",
    "≥": r"\ge",
    "⩾": r"\ge",
    "≠": r"\ne",
    "≈": r"\approx",
    "≅": r"\cong",
    "≃": r"\simeq",
    "≡": r"\equiv",
    "∝": r"\propto",
    "∼": r"\sim",
    "≔": r"\coloneqq",
    "≜": r"\triangleq",
    "≐": r"\doteq",
    "≪": r"\ll",
    "≫": r"\gg",
    "→": r"\to",
    "⟶": r"\to",
    "↦": r"\mapsto",
    "←": r"\leftarrow",
    "⟵": r"\leftarrow",
    "⇒": r"\Rightarrow",
    "⟹": r"\Rightarrow",
    "⇐": r"\Leftarrow",
    "⇔": r"\Leftrightarrow",
    "⟺": r"\Leftrightarrow",
    "∈": r"\in",
    "∉": r"\notin",
    "⊂": r"\subset",
    "⊆": r"\subseteq",
    "∪": r"\cup",
    "∩": r"\cap",
    "∀": r"\forall",
    "∃": r"\exists",
    "∅": r"\emptyset",
    "⊤": r"\top",
    "⟂": r"\perp",
    "⊥": r"\perp",
    "†": r"\dagger",
    "±": r"\pm",
    "∓": r"\mp",
    "‖": r"\|",
    "∥": r"\|",
    "∣": "|",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "〈": r"\langle",
    "〉": r"\rangle",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "⌈": r"\lceil",
    "⌉": r"\rceil",
    "…": r"\ldots",
    "⋯": r"\cdots",
    "⋮": r"\vdots",
    "⋱": r"\ddots",
    "ℓ": r"\ell",
    "℮": "e",
    "′": "'",
    "’": "'",
    "‘": "'",
    "´": "'",
    "﹡": "*",
    "（": "(",
    "）": ")",
    "，": ",",
    "；": ";",
    "：": ":",
    "¬": r"\neg",
}
_ACCENTS = {"\u0302": "hat", "\u0304": "bar", "\u0305": "bar", "\u0303": "tilde", "\u0307": "dot", "\u0308": "ddot"} | {
    "\u20d7": "vec",
    "\u030c": "check",
}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁱⁿˡʲᵏᵗᵀᴸᵐʰʳˢᴴᴺ", "0123456789+-=()inljktTLmhrsHN", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ᵢⱼₖₗₘₙₚₛₜₓᵣₕₐₑₒᵤᵥ", "0123456789+-=()ijklmnpstxrhaeouv", strict=True))
_HALVES = {"½": "12", "⅓": "13", "¼": "14", "⅔": "23", "¾": "34", "⅛": "18"}

_PIECES = re.compile(
    r"""
      (?P<space>(?:\s|%[^\n]*(?:\n|$))+)
    | (?P<break>\\\\\*?(?:[ \t]*\[[ \t]*-?[\d.]+[ \t]*(?:pt|em|ex|mm|cm|in|mu|\\jot|\\baselineskip)[ \t]*\])?)
    | (?P<command>\\(?:[A-Za-z]+\*?|.|$))
    | (?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+(?![A-Za-z]))?|(?<![\w)\]}.])\.\d+)
    | (?P<dots>\.\.\.+|\.[ ]\.[ ]\.)
    | (?P<operator>:=|!=|<=|>=|=>|->|\+=|-=|==|\.\*|\|\||\*\*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SPELLED = {"!=": r"\ne", "<=": r"\le", ">=": r"\ge", "=>": r"\Rightarrow", "->": r"\to"} | {
    "==": "=",
    "||": r"\|",
    "**": "^",
}
_SYNONYMS = {
    r"\leq": r"\le",
    r"\leqslant": r"\le",
    r"\geq": r"\ge",
    r"\geqslant": r"\ge",
    r"\neq": r"\ne",
    r"\gets": r"\leftarrow",
    r"\longleftarrow": r"\leftarrow",
    r"\rightarrow": r"\to",
    r"\longrightarrow": r"\to",
    r"\implies": r"\Rightarrow",
    r"\Longrightarrow": r"\Rightarrow",
    r"\iff": r"\Leftrightarrow",
    r"\Longleftrightarrow": r"\Leftrightarrow",
    r"\impliedby": r"\Leftarrow",
    r"\dotsc": r"\ldots",
    r"\dots": r"\ldots",
    r"\dotso": r"\ldots",
    r"\dotsb": r"\cdots",
    r"\dotsm": r"\cdots",
    r"\Vert": r"\|",
    r"\parallel": r"\|",
    r"\vert": "|",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\lparen": "(",
    r"\rparen": ")",
    r"\hadamard": r"\odot",
    r"\bigodot": r"\odot",
    r"\owns": r"\ni",
    r"\coloneq": r"\coloneqq",
    r"\colon": ":",
    r"\prime": "'",
    r"\intercal": r"\top",
    r"\transpose": r"\top",
    r"\cr": r"\\",
    r"\newline": r"\\",
    r"\tfrac": r"\frac",
    r"\dfrac": r"\frac",
    r"\cfrac": r"\frac",
    r"\nicefrac": r"\frac",
    r"\sfrac": r"\frac",
    r"\tbinom": r"\binom",
    r"\dbinom": r"\binom",
    r"\lt": "<",
    r"\gt": ">",
    r"\lnot": r"\neg",
    r"\land": r"\wedge",
    r"\lor": r"\vee",
    r"\thickapprox": r"\approx",
    r"\varpropto": r"\propto",
    r"\thicksim": r"\sim",
}


class Token(NamedTuple):
    r"""A token: `text` is a command with its backslash, a number, a letter, or a character; `kind` says which.

    kind: "command", "number", "letter", "break" (a \\), or "other". `space` says that blanks stood before it.
    """

    kind: str
    text: str
    start: int
    end: int
    space: bool = False


def tokens_of(text: str) -> list[Token]:
    """All tokens of a formula, in linear time.

    Example:
        >>> [token.text for token in tokens_of("∂ŷ² \\\\leq 1")]
        ['\\\\partial', '\\\\hat', '{', 'y', '}', '^', '{', '2', '}', '\\\\le', '1']
    """
    found: list[Token] = []
    space = False
    for match in _PIECES.finditer(text):
        if match.lastgroup == "space":
            space = True
            continue
        if match.lastgroup == "other" and not match[0].isascii():
            found += _unicode(text, match, space, found)
        else:
            found.append(_plain(match.lastgroup or "", match[0], match.start(), match.end(), space))
        space = False
    return found


def _plain(group: str, written: str, start: int, end: int, space: bool) -> Token:
    if group == "break":
        return Token("break", r"\\", start, end, space)
    if group == "command":
        named = _SYNONYMS.get(written.removesuffix("*"), written)
        if named == r"\\":
            return Token("break", named, start, end, space)
        return Token("command" if named.startswith("\\") else "other", named, start, end, space)
    if group == "dots":
        return Token("command", r"\ldots", start, end, space)
    if group == "number":
        return Token("number", written, start, end, space)
    named = _SPELLED.get(written, written)
    if named.isascii() and named.isalpha():
        return Token("letter", named, start, end, space)
    return Token("command" if named.startswith("\\") else "other", named, start, end, space)


def _unicode(text: str, match: re.Match[str], space: bool, before: list[Token]) -> Iterator[Token]:
    """The tokens for a character outside ASCII."""
    char, start, end = match[0], match.start(), match.end()
    if char in _ACCENTS:  # it stands after its letter
        if before and before[-1].kind in ("letter", "command"):
            base = before.pop()
            yield Token("command", "\\" + _ACCENTS[char], base.start, end, base.space)
            yield from _braced([base], start, end)
        return
    for table, mark in ((_RAISED, "^"), (_LOWERED, "_")):
        if char in table:
            # a run of raised characters is one script: the first of them opens it, the next ones step in before its end
            follows = bool(before) and before[-1].text == "}" and before[-1].end == start and start > 0
            inner = _plain_character(table[char], start, end)
            if follows and text[start - 1] in table:
                before.pop()
                yield inner
                yield Token("other", "}", start, end)
            else:
                yield Token("other", mark, start, end, space)
                yield from _braced([inner], start, end)
            return
    if char in _HALVES:
        yield Token("command", r"\frac", start, end, space)
        yield from (Token("number", digit, start, end) for digit in _HALVES[char])
        return
    named = _UNICODE.get(char) or ("\\" + GREEK[char] if char in GREEK else "")
    if named:
        yield Token("command" if named.startswith("\\") else "other", named, start, end, space)
        return
    yield from _decomposed(char, start, end, space)


def _plain_character(char: str, start: int, end: int) -> Token:
    kind = "number" if char.isdigit() else "letter" if char.isalpha() else "other"
    return Token(kind, char, start, end)


def _braced(inner: list[Token], start: int, end: int) -> Iterator[Token]:
    yield Token("other", "{", start, end)
    yield from inner
    yield Token("other", "}", start, end)


def _decomposed(char: str, start: int, end: int, space: bool) -> Iterator[Token]:
    """ŷ as an accent over a letter, 𝐱 and ℝ as a letter in a font; any other letter as it is."""
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isalpha() and parts[1] in _ACCENTS:
        yield Token("command", "\\" + _ACCENTS[parts[1]], start, end, space)
        yield from _braced([_plain_character(parts[0], start, end)], start, end)
        return
    plain = unicodedata.normalize("NFKC", char)
    if len(plain) == 1 and plain != char and plain.isalnum():
        name = unicodedata.name(char, "")
        fonts = {"BOLD": r"\mathbf", "DOUBLE-STRUCK": r"\mathbb", "SCRIPT": r"\mathcal", "FRAKTUR": r"\mathfrak"}
        font = next((command for word, command in fonts.items() if word in name), "")
        letter = GREEK.get(plain)
        inner = Token("command", "\\" + letter, start, end) if letter else _plain_character(plain, start, end)
        if font:
            yield Token("command", font, start, end, space)
            yield from _braced([inner], start, end)
        else:
            yield inner._replace(space=space)
        return
    if not char.isprintable() or char.isspace():
        return
    yield Token("letter" if char.isalpha() else "other", char, start, end, space)
