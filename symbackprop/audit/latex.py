r"""Presentation trees -> LaTeX.

Main name: `to_tex`. What it writes reads back as the same tree; `mark` puts a command around one node, so that a change
can be shown where it is.
"""

from __future__ import annotations

from collections.abc import Callable

from symbackprop.audit.tree import (
    Annotated,
    Anything,
    Application,
    Big,
    Cases,
    Chain,
    Condition,
    Derivative,
    Differential,
    Display,
    Dots,
    Evaluated,
    Fraction,
    Group,
    Listing,
    Matrix,
    Node,
    NotUnderstood,
    Number,
    Product,
    Relation,
    Root,
    Row,
    Script,
    Scripts,
    Symbol,
    Terms,
    Text,
    walk,
)
from symbackprop.audit.words import BIG, FUNCTIONS, LETTERS

_ACCENTS = {"ring": "mathring"}
_FONTS = {
    "bold": "mathbf",
    "cal": "mathcal",
    "roman": "mathrm",
    "blackboard": "mathbb",
    "fraktur": "mathfrak",
    "sans": "mathsf",
    "typewriter": "mathtt",
}
_OPERATORS = {"": " ", "/": " / ", "@": " @ ", "mod": r" \bmod "}
_RELATIONS = {
    ":=": r"\coloneqq",
    "≜": r"\triangleq",
    "≐": r"\doteq",
    "←": r"\leftarrow",
    "→": r"\to",
    "↦": r"\mapsto",
    "≈": r"\approx",
    "≅": r"\cong",
    "≡": r"\equiv",
    "∝": r"\propto",
    "∼": r"\sim",
    "≤": r"\le",
    "≥": r"\ge",
    "≪": r"\ll",
    "≫": r"\gg",
    "≠": r"\ne",
    "∈": r"\in",
    "∉": r"\notin",
    "∋": r"\ni",
    "⊂": r"\subset",
    "⊆": r"\subseteq",
    "⊃": r"\supset",
    "⊥": r"\perp",
    "≻": r"\succ",
    "⪰": r"\succeq",
    "≺": r"\prec",
    "⪯": r"\preceq",
    "|": r"\mid",
}
_BRACKETS = {
    "(": "(",
    ")": ")",
    "[": "[",
    "]": "]",
    "{": r"\{",
    "}": r"\}",
    "|": "|",
    "‖": r"\|",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "⌈": r"\lceil",
    "⌉": r"\rceil",
    "": ".",
}
_SIGNS = {"±": r"\pm", "∓": r"\mp"}
_SEPARATORS = {",": ", ", ";": "; ", "|": r" \mid ", ":": " : ", "": " ", "‖": r" \| "}
_DIFFERENTIALS = {
    "partial": r"\partial ",
    "d": r"\mathrm{d} ",
    "delta": r"\delta ",
    "Delta": r"\Delta ",
    "nabla": r"\nabla ",
}
_ALONE = {"plus": "+", "minus": "-", "ast": "*", "prime": r"\prime", ":": ":", "cdot": r"\cdot"}
_BIG = {sign: command for command, sign in reversed(list(BIG.items()))}


def to_tex(node: Anything, mark: Callable[[Anything, str], str] | None = None) -> str:
    r"""LaTeX for a tree.

    Args:
        node: a node, a row or a display.
        mark: called with each node and its LaTeX; what it answers stands for it.

    Example:
        >>> to_tex(Fraction(Symbol("lambda"), Product((Number("2"), Symbol("m")), ("",))))
        '\\frac{\\lambda}{2 m}'
    """
    code = _written(node, mark)
    return mark(node, code) if mark else code


_Mark = Callable[[Anything, str], str] | None


def _written(node: Anything, mark: _Mark) -> str:
    """The LaTeX of a node without its own mark."""

    def tex(inner: Anything) -> str:
        return to_tex(inner, mark)

    match node:
        case Number(text):
            return text
        case Symbol():
            return _symbol(node)
        case Text(words):
            return rf"\text{{{words}}}"
        case Dots(kind):
            return rf"\{kind}"
        case NotUnderstood(_, text):
            return text
        case Script():
            return "".join(_pieces(node.items, node.separators, tex))
        case Scripts():
            return _scripts(node, tex)
        case Group():
            return _group(node, tex)
        case Fraction(numerator, denominator):
            return rf"\frac{{{tex(numerator)}}}{{{tex(denominator)}}}"
        case Root(body, degree):
            return rf"\sqrt{'' if degree is None else f'[{tex(degree)}]'}{{{tex(body)}}}"
        case Terms():
            return _terms(node, tex)
        case Product():
            return _product(node, tex)
        case Application():
            return _application(node, tex)
        case Listing(items):
            return ", ".join(map(tex, items))
        case _:
            return _structure(node, tex)


def _structure(node: Anything, tex: Callable[[Anything], str]) -> str:
    match node:
        case Big():
            return _big(node, tex)
        case Differential(kind, of, order):
            raised = "" if order is None else f"^{{{tex(order)}}}"
            return f"{_DIFFERENTIALS[kind].strip()}{raised} {_operand_of(of, tex)}"
        case Derivative():
            return _derivative(node, tex)
        case Evaluated(body, below, above):
            scripts = ("" if below is None else f"_{{{tex(below)}}}") + ("" if above is None else f"^{{{tex(above)}}}")
            return rf"\left. {tex(body)} \right|{scripts}"
        case Annotated(kind, body, label):
            if kind in ("overset", "underset", "stackrel"):
                return rf"\{kind}{{{'' if label is None else tex(label)}}}{{{tex(body)}}}"
            mark = "_" if kind.startswith("under") else "^"
            return rf"\{kind}{{{tex(body)}}}" + ("" if label is None else f"{mark}{{{tex(label)}}}")
        case Matrix(kind, rows):
            content = r" \\ ".join(" & ".join(map(tex, cells)) for cells in rows)
            if kind == "substack":
                return rf"\substack{{{content}}}"
            columns = f"{{{'c' * max((len(cells) for cells in rows), default=1)}}}" if kind == "array" else ""
            return rf"\begin{{{kind}}}{columns} {content} \end{{{kind}}}"
        case Cases(values, conditions):
            lines = [
                tex(value) + ("" if condition is None else " & " + tex(condition))
                for value, condition in zip(values, conditions, strict=True)
            ]
            content = r" \\ ".join(lines)
            return rf"\begin{{cases}} {content} \end{{cases}}"
        case _:
            return _line(node, tex)


def _line(node: Anything, tex: Callable[[Anything], str]) -> str:
    """Chains, their conditions, rows and displays."""
    match node:
        case Condition(words, parts):
            if not words and len(parts) > 1:
                return f"({', '.join(map(tex, parts))})"
            said = {"forall": r"\forall ", "exists": r"\exists ", "": ""}.get(words, rf"\text{{{words}}} ")
            return said + ", ".join(map(tex, parts))
        case Relation(sign, _, above):
            command = _RELATIONS.get(sign, sign)
            return command if above is None else rf"\overset{{{tex(above)}}}{{{command}}}"
        case Chain():
            members = list(node.members)
            written = [rf"\text{{{node.label}:}}"] if node.label else []
            written += [tex(members.pop(0))] if not node.continues and members else []
            for relation, member in zip(node.relations, members, strict=False):
                written += [tex(relation), tex(member)]
            return " ".join(written) + "".join(r" \quad " + tex(condition) for condition in node.conditions)
        case Row():
            joins = {",": ", ", "⇒": r" \Rightarrow ", "⇔": r" \Leftrightarrow ", "and": r" \text{and} "}
            joins |= {"where": r" \text{where} ", "⇐": r" \because "}
            found = ""
            for number, chain in enumerate(node.chains):
                leads = number > 0 or chain.connective in ("⇒", "⇔", "⇐")
                found += (joins.get(chain.connective, r" \quad ") if leads else "") + tex(chain)
            return found
        case Display(rows):
            return r" \\ ".join(map(tex, rows))
        case _:
            raise AssertionError(f"no LaTeX for {type(node).__name__}")


def _symbol(node: Symbol) -> str:
    name = node.name
    if name in _ALONE and not node.font:
        written = _ALONE[name]
    elif node.font == "command" or (name in LETTERS and node.font != "roman"):
        written = f"\\{name}"
    elif node.font == "roman" and name in FUNCTIONS:
        written = f"\\{name}" if name in _COMMANDS else rf"\operatorname{{{name}}}"
        return _dressed(written, node)
    else:
        written = name
    if node.font in _FONTS:
        written = rf"\{_FONTS[node.font]}{{{written}}}"
    elif len(name) > 1 and not node.font and name not in LETTERS and name not in _ALONE:
        written = rf"\mathit{{{name}}}"
    return _dressed(written, node)


_COMMANDS = frozenset(
    [
        *("log", "ln", "lg", "exp", "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "arcsin"),
        *(
            "arccos",
            "arctan",
            "det",
            "dim",
            "ker",
            "deg",
            "gcd",
            "max",
            "min",
            "sup",
            "inf",
            "lim",
            "limsup",
            "liminf",
            "Pr",
        ),
    ]
)


def _dressed(written: str, node: Symbol) -> str:
    for accent in node.accents:
        written = rf"\Delta {written}" if accent == "Delta" else rf"\{_ACCENTS.get(accent, accent)}{{{written}}}"
    return written


def _pieces(items: tuple[Node, ...], separators: tuple[str, ...], tex: Callable[[Anything], str]) -> list[str]:
    """Items with what parts them."""
    found: list[str] = []
    for number, item in enumerate(items):
        found += [_SEPARATORS[separators[number - 1]]] if number else []
        found.append(_grouped(item, tex) if len(items) > 1 and isinstance(item, (Product, Terms, Chain)) else tex(item))
    return found


def _scripts(node: Scripts, tex: Callable[[Anything], str]) -> str:
    base = tex(node.base)
    if not isinstance(node.base, (Symbol, Number, Group, Application)) or (
        isinstance(node.base, Application) and not node.base.bracketed
    ):
        base = f"{{{base}}}"
    if isinstance(node.base, Group) and not node.base.opening and not node.base.closing:
        base = "{}" if not node.base.items else base
    base += "'" * node.primes
    base += "" if node.below is None else f"_{{{tex(node.below)}}}"
    return base + ("" if node.above is None else f"^{{{tex(node.above)}}}")


def _group(node: Group, tex: Callable[[Anything], str]) -> str:
    if not node.opening and not node.closing and not node.items:
        return "{}"
    inner = "".join(_pieces_in_bracket(node, tex))
    plain = node.opening in _PLAIN and _PLAIN[node.opening] == node.closing
    if plain and not any(isinstance(part, (Fraction, Derivative, Big, Matrix, Cases)) for part in walk(node)):
        return f"{_BRACKETS[node.opening]}{inner}{_BRACKETS[node.closing]}"
    return rf"\left{_BRACKETS[node.opening]} {inner} \right{_BRACKETS[node.closing]}"


_PLAIN = {"(": ")", "[": "]", "{": "}"}


def _pieces_in_bracket(node: Group, tex: Callable[[Anything], str]) -> list[str]:
    found: list[str] = []
    for number, item in enumerate(node.items):
        separator = _SEPARATORS[node.separators[number - 1]] if number else ""
        found += [separator, tex(item)]
    return found


def _grouped(node: Node, tex: Callable[[Anything], str]) -> str:
    return f"{{{tex(node)}}}"


def _operand(node: Node, tex: Callable[[Anything], str]) -> str:
    """A factor as it stands beside others: sums of terms and products in braces, which leave no trace in the tree."""
    if isinstance(node, (Terms, Product, Big, Chain, Listing)) or (
        isinstance(node, Derivative) and node.form != "fraction"
    ):
        return _grouped(node, tex)
    if isinstance(node, (Differential,)) or (isinstance(node, Application) and not node.bracketed):
        return _grouped(node, tex)
    return tex(node)


def _terms(node: Terms, tex: Callable[[Anything], str]) -> str:
    found = ""
    for number, (sign, term) in enumerate(zip(node.signs, node.terms, strict=True)):
        written = _SIGNS.get(sign, sign)
        last = number == len(node.terms) - 1
        inner = _grouped(term, tex) if isinstance(term, Terms) or (not last and _open_ended(term)) else tex(term)
        shown = number > 0 or sign != "+" or len(node.terms) == 1
        found += (f" {written} " if number else f"{written}") + inner if shown else inner
    return found


def _open_ended(node: Node) -> bool:
    """Whether a sign after it would be read as its own: nothing is, the body of a sum stops there."""
    return isinstance(node, (Chain, Listing))


def _product(node: Product, tex: Callable[[Anything], str]) -> str:
    wide = any(operator not in ("", "cdot", "times", "/", "div") for operator in node.operators)
    found = ""
    for number, factor in enumerate(node.factors):
        if number:
            operator = node.operators[number - 1]
            called = not operator and isinstance(factor, Group) and _is_name(node.factors[number - 1])
            found += "" if called else _OPERATORS.get(operator, rf" \{operator} ")
        last = number == len(node.factors) - 1
        plain = isinstance(factor, Product) and wide and not _is_wide(factor)
        swallows = isinstance(factor, (Big, Derivative)) and last
        bare = isinstance(factor, Application) and last
        found += tex(factor) if plain or swallows or bare else _operand(factor, tex)
    return found


def _is_name(node: Node) -> bool:
    """Whether a bracket after it is set close, as an argument is."""
    while isinstance(node, Scripts):
        node = node.base
    return isinstance(node, Symbol)


def _is_wide(node: Product) -> bool:
    return any(operator not in ("", "cdot", "times", "/", "div") for operator in node.operators)


def _application(node: Application, tex: Callable[[Anything], str]) -> str:
    function = tex(node.function)
    if isinstance(node.function, Symbol) and node.function.name == "factorial":
        return f"{_operand(node.argument, tex)}!" if node.argument is not None else "!"
    if node.argument is None:
        return function
    if isinstance(node.argument, Group) and node.bracketed:
        return f"{function}{tex(node.argument)}"
    if node.bracketed:
        return f"{function}{{{tex(node.argument)}}}"
    return f"{function} {tex(node.argument)}"


def _big(node: Big, tex: Callable[[Anything], str]) -> str:
    named = _BIG.get(
        node.operator, rf"\operatorname{{{node.operator}}}" if node.operator not in _COMMANDS else f"\\{node.operator}"
    )
    lower = "" if not node.lower else f"_{{{', '.join(map(tex, node.lower))}}}"
    upper = "" if node.upper is None else f"^{{{tex(node.upper)}}}"
    body = ""
    if node.body is not None:
        single = isinstance(node.body, Terms) and len(node.body.terms) > 1
        body = " " + (_grouped(node.body, tex) if single or isinstance(node.body, (Chain, Listing)) else tex(node.body))
    return named + lower + upper + body


def _derivative(node: Derivative, tex: Callable[[Anything], str]) -> str:
    sign = _DIFFERENTIALS.get(node.kind, node.kind + " ")
    order = "" if node.order is None else f"^{{{tex(node.order)}}}"
    operand = "" if node.of is None else tex(node.of)
    if node.form == "subscript":
        tight = node.of is not None and not isinstance(node.of, (Symbol, Scripts, Group, Number, Fraction))
        tight = tight and not (isinstance(node.of, Product) and not any(node.of.operators))
        below = "" if not node.by else f"_{{{''.join(_by(variable, tex) for variable in node.by)}}}"
        return f"{sign.strip()}{below}{order} " + (f"{{{operand}}}" if tight else operand)
    powers = node.powers or (None,) * len(node.by)
    below = " ".join(
        sign
        + (_grouped(variable, tex) if isinstance(variable, Scripts) and power is not None else tex(variable))
        + ("" if power is None else f"^{{{tex(power)}}}")
        for variable, power in zip(node.by, powers, strict=True)
    )
    if node.form == "operator":
        return rf"\frac{{{sign.strip()}{order}}}{{{below}}} {operand}"
    if node.form == "slash":
        return f"{sign.strip()}{order} {'' if node.of is None else _operand_of(node.of, tex)} / {below}"
    return rf"\frac{{{sign.strip()}{order} {operand}}}{{{below}}}"


def _operand_of(node: Node, tex: Callable[[Anything], str]) -> str:
    """What \\partial takes without a fraction bar: a factor, or a name with its brackets."""
    named = isinstance(node, Product) and not any(node.operators)
    return tex(node) if named else _operand(node, tex)


def _by(variable: Node, tex: Callable[[Anything], str]) -> str:
    return tex(variable) + " "
