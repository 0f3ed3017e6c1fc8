"""Layout -> presentation MathML (the MathML Core subset that browsers draw). Main name: `to_mathml`."""

from __future__ import annotations

from html import escape

from symbackprop.rendering.layout import (
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


def to_mathml(layout: Layout) -> str:
    """The MathML of a layout, without the `math` element around it."""
    match layout:
        case Glyph():
            return _ml_atom(layout)
        case Row(parts):
            return f"<mrow>{''.join(to_mathml(p) for p in parts)}</mrow>"
        case Fraction(top, bottom):
            return f"<mfrac>{to_mathml(top)}{to_mathml(bottom)}</mfrac>"
        case Root(body):
            return f"<msqrt>{to_mathml(body)}</msqrt>"
        case Script(base, below, above):
            return _ml_script(base, below, above)
        case Accent(mark, base):
            sign = {"bar": "¯", "hat": "^", "tilde": "~"}[mark]
            if mark == "bar":  # as an accent it would touch the letter
                wide = ' class="wide"' if isinstance(base, Glyph) and len(base.text) > 1 else ""  # drawn by the style
                return f"<mover{wide}>{to_mathml(base)}<mo>{sign}</mo></mover>"
            return f'<mover accent="true">{to_mathml(base)}<mo stretchy="false">{sign}</mo></mover>'
        case Big(symbol, under, over):
            head = f"<mo>{symbol}</mo>" if len(symbol) == 1 else f'<mo movablelimits="false">{symbol}</mo>'
            limit = to_mathml(under).replace("<mo>", '<mo lspace="0" rspace="0">')
            if over is None:
                return f"<munder>{head}{limit}</munder>"
            return f"<munderover>{head}{limit}{to_mathml(over)}</munderover>"
        case Marked(body):
            return f'<mrow class="changed">{to_mathml(body)}</mrow>'
        case Fence(left, body, right):
            grow = "" if tall(body) else ' stretchy="false"'
            marks = [f"<mo{grow}>{escape(m)}</mo>" if m else "" for m in (left, right)]
            return f"<mrow>{marks[0]}{to_mathml(body)}{marks[1]}</mrow>"
        case Cases(lines):
            cells = "".join(f"<mtr><mtd>{to_mathml(a)}</mtd><mtd>{to_mathml(b)}</mtd></mtr>" for a, b in lines)
            return f'<mrow><mo>{{</mo><mtable class="cases">{cells}</mtable></mrow>'
        case Grid(lines):
            cells = "".join(f"<mtr>{''.join(f'<mtd>{to_mathml(c)}</mtd>' for c in line)}</mtr>" for line in lines)
            return f"<mtable>{cells}</mtable>"
    raise AssertionError(f"no MathML for {type(layout).__name__}")


def _ml_script(base: Layout, below: Layout | None, above: Layout | None) -> str:
    if below is None and isinstance(above, Glyph) and set(above.text) == {"′"} and isinstance(base, Glyph):
        kind = "primed upright" if base.kind == "function" else "primed"
        return f'<mi class="{kind}">{escape(base.text + above.text)}</mi>'  # as a script inside a script it is a speck
    inner = to_mathml(base) + "".join(to_mathml(p) for p in (below, above) if p)
    tag = "msubsup" if below and above else "msub" if below else "msup"
    return f"<{tag}>{inner}</{tag}>"


def _ml_atom(atom: Glyph) -> str:
    text = escape(atom.text)
    match atom.kind:
        case "number":
            return f"<mn>{text}</mn>"
        case "operator" | "relation":
            space = ' lspace="0" rspace="0.17em"' if atom is TIMES else ""
            return f"<mo{space}>{text}</mo>"
        case "opening" | "closing":
            return f'<mo form="{"prefix" if atom.kind == "opening" else "postfix"}">{text}</mo>'
        case "text":
            kept = text.replace(" ", "\u00a0")  # a space at the end of an element is not shown
            return f"<mtext>{kept}</mtext>"
        case "bold":
            return f'<mi class="bold">{text}</mi>'
        case "function":
            return (
                f'<mi mathvariant="normal">{text}</mi>'
                if len(text) == 1 and text.isascii() is False
                else f"<mi>{text}</mi>"
            )
    return f"<mi>{text}</mi>" if len(text) == 1 else f'<mi class="name">{text}</mi>'
