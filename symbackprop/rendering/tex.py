"""Layout -> LaTeX for math mode with amsmath. Main names: `to_tex`, `tex_text`."""

from __future__ import annotations

import re

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
    tall,
)

_TEX = {letter: rf"\{name}" for name, letter in GREEK.items()} | {
    "ε": r"\varepsilon",
    "φ": r"\varphi",
    "\u2062": r"\,",
    "−": "-",
    "·": r"\cdot",
    "×": r"\times",
    "⊙": r"\odot",
    "∂": r"\partial",
    "∇": r"\nabla",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "≈": r"\approx",
    "∈": r"\in",
    "→": r"\to",
    "←": r"\leftarrow",
    "∝": r"\propto",
    "≡": r"\equiv",
    "∼": r"\sim",
    "≪": r"\ll",
    "≫": r"\gg",
    "∉": r"\notin",
    "↦": r"\mapsto",
    "≜": r"\triangleq",
    "⇒": r"\Rightarrow",
    "⇔": r"\Leftrightarrow",
    "∘": r"\circ",
    "∗": r"\ast",
    "⋆": r"\star",
    "⊗": r"\otimes",
    "±": r"\pm",
    "÷": r"\div",
    "•": r"\bullet",
    "⋮": r"\vdots",
    "⋱": r"\ddots",
    "∀": r"\forall",
    "ℓ": r"\ell",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "∞": r"\infty",
    "ℝ": r"\mathbb{R}",
    "⊤": r"\top",
    "…": r"\dots",
    "⋯": r"\cdots",
    "′": "'",
    "∑": r"\sum",
    "∫": r"\int",
    "∏": r"\prod",
    "‖": r"\Vert",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "#": r"\#",
    "&": r"\&",
    "_": r"\_",
    "\u2003": r"\quad",
}
_NAMED_OPERATORS = frozenset(["exp", "log", "sin", "cos", "tanh", "max", "min", "det", "dim"])


def tex_symbols(text: str) -> str:
    """Unicode mathematics as LaTeX, one command for each special character."""
    out = ""
    for place, char in enumerate(text):
        code = _TEX.get(char, char)
        ends_in_letter = len(code) > 1 and code[-1].isalpha()
        next_is_letter = text[place + 1 : place + 2].isalnum()
        out += code + (" " if ends_in_letter and next_is_letter else "")
    return out


_TEXT = {c: "\\" + c for c in "#$%&_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\u2003": r"\quad ",
    "½": r"$\tfrac12$",
    "²": "$^2$",
    "ᵀ": r"$^\top$",
}


def tex_text(text: str) -> str:
    """Running text as LaTeX: special characters are escaped, mathematical ones set in math mode.

    Example:
        >>> tex_text("50 % of δ")
        '50 \\\\% of $\\\\delta$'
    """
    out = []
    for char in text:
        if char in _TEXT:
            out.append(_TEXT[char])
        elif char in _TEX and not char.isascii():
            out.append(f"${_TEX[char]}$")
        else:
            out.append(char)
    return "".join(out)


def _tex_atom(atom: Glyph) -> str:
    text, kind = atom.text, atom.kind
    if text == "\u2003":
        return r"\quad"
    if kind == "text":
        return rf"\text{{{tex_text(text)}}}"
    if kind in ("opening", "closing"):
        return (r"\biggl" if kind == "opening" else r"\biggr") + _tex_bracket(text)
    if kind == "bold":
        return rf"\mathbf{{{text}}}" if text.isascii() else rf"\boldsymbol{{{tex_symbols(text)}}}"
    if kind == "function" and text in _NAMED_OPERATORS:
        return rf"\{text}"
    if kind == "function" and len(text) > 1:
        return rf"\operatorname{{{tex_symbols(text)}}}"
    if kind == "variable" and len(text) > 1:
        return rf"\mathit{{{tex_symbols(text)}}}"
    return tex_symbols(text)


def to_tex(layout: Layout) -> str:
    """The LaTeX of a layout, for math mode with amsmath."""
    match layout:
        case Glyph():
            return _tex_atom(layout)
        case Row(parts):
            return _tex_row(parts)
        case Fraction(top, bottom):
            return rf"\frac{{{to_tex(top)}}}{{{to_tex(bottom)}}}"
        case Root(body):
            return rf"\sqrt{{{to_tex(body)}}}"
        case Script(base, below, above):
            return _tex_script(base, below, above)
        case Accent(mark, base):
            wide = mark == "bar" and isinstance(base, Glyph) and len(base.text) > 1
            return rf"\{'overline' if wide else mark}{{{to_tex(base)}}}"
        case Big(symbol, under, over):
            limits = f"_{{{_tight(under)}}}" + (f"^{{{_tight(over)}}}" if over else "")
            head = tex_symbols(symbol) if len(symbol) == 1 else _tex_big_name(symbol)
            return head + limits
        case Marked(body):
            return rf"\underline{{{to_tex(body)}}}"
        case Fence(left, body, right):
            return _tex_fence(left, body, right)
        case Cases(lines):
            inner = r" \\ ".join(f"{to_tex(value)} & {to_tex(condition)}" for value, condition in lines)
            return rf"\begin{{cases}} {inner} \end{{cases}}"
        case Grid(lines):
            inner = r" \\ ".join(" & ".join(to_tex(cell) for cell in line) for line in lines)
            return rf"\begin{{matrix}} {inner} \end{{matrix}}"
    raise AssertionError(f"no LaTeX for {type(layout).__name__}")


def _tex_big_name(symbol: str) -> str:
    return rf"\{symbol}" if symbol in _NAMED_OPERATORS else rf"\operatorname*{{{symbol}}}"


def _tex_row(parts: tuple[Layout, ...]) -> str:
    out = ""
    for place, part in enumerate(parts):
        if part is TIMES and _spaces_itself(parts[place + 1 : place + 2], parts[:place][-1:]):
            continue
        code = to_tex(part)
        if isinstance(part, Glyph) and part.kind in ("operator", "relation") and part is not TIMES and part.text != ",":
            code = f" {code} " if out else f"{code} " if code[-1].isalpha() else code
        elif _ends_in_command(out) and code[:1].isalnum():
            out += " "
        out += code
    return out.rstrip(" ") if out.strip() else out


def _spaces_itself(after: tuple[Layout, ...], before: tuple[Layout, ...]) -> bool:
    """True where LaTeX sets the space between two factors by itself: at a sum, at a tall bracket."""
    return any(isinstance(p, Big) or (isinstance(p, Fence) and tall(p.body)) for p in (*after, *before))


def _tight(layout: Layout) -> str:
    """LaTeX for a script, where spaces around a relation would only be noise."""
    return re.sub(r" ?([=+<>-]) ?", r"\1", to_tex(layout))


def _ends_in_command(text: str) -> bool:
    start = text.rfind("\\")
    return start >= 0 and text[start + 1 :].isalpha()


def _tex_script(base: Layout, below: Layout | None, above: Layout | None) -> str:
    last = base.parts[-1] if isinstance(base, Row) and base.parts else base
    plain = isinstance(base, Glyph | Accent) or isinstance(last, Fence)
    out = to_tex(base) if plain else f"{{{to_tex(base)}}}"
    if isinstance(above, Glyph) and not above.text.strip("′") and below is None:
        return out + "'" * len(above.text)
    out += f"^{{{_tight(above)}}}" if above else ""
    return out + (f"_{{{_tight(below)}}}" if below else "")


def _tex_fence(left: str, body: Layout, right: str) -> str:
    inner = to_tex(body)
    if not tall(body):
        return f"{_tex_bracket(left)}{inner}{_tex_bracket(right)}".replace(r"\{ ", r"\{")
    return rf"\left{_tex_bracket(left) or '.'}{inner}\right{_tex_bracket(right) or '.'}"


def _tex_bracket(mark: str) -> str:
    code = tex_symbols(mark)
    return code + " " if code[-1:].isalpha() else code
