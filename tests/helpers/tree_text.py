"""Presentation trees as short text, so that a test can say a whole tree in a line."""

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
    NotUnderstood,
    Number,
    Product,
    Root,
    Row,
    Script,
    Scripts,
    Symbol,
    Terms,
    Text,
)


def tree_text(node: Anything | None) -> str:
    """`<a·b>` is a product, `T<+ a - b>` terms, `f@[x]` an application (`f@~[x]` without brackets), `D/` a derivative."""
    t = tree_text
    match node:
        case None:
            return ""
        case Number(text):
            return text
        case Symbol(name, font, accents):
            return "".join(accent + ":" for accent in accents) + name + (f"~{font}" if font else "")
        case Script(items, separators):
            return "{" + parted(items, separators, " ") + "}"
        case Scripts(base, below, above, primes):
            return t(base) + "'" * primes + (f"_{t(below)}" if below else "") + (f"^{t(above)}" if above else "")
        case Group(opening, closing, items, separators):
            return opening + parted(items, separators, "  ") + closing
        case Fraction(numerator, denominator):
            return f"[{t(numerator)} over {t(denominator)}]"
        case Root(body, degree):
            return f"root[{t(body)}{'' if degree is None else ' degree ' + t(degree)}]"
        case Terms(terms, signs):
            return "T<" + " ".join(f"{sign} {t(term)}" for sign, term in zip(signs, terms, strict=True)) + ">"
        case Product(factors, operators):
            rest = zip(operators, factors[1:], strict=True)
            return "<" + t(factors[0]) + "".join((f" {o} " if o else "·") + t(f) for o, f in rest) + ">"
        case Application(function, argument, bracketed):
            return f"{t(function)}@{'' if bracketed else '~'}[{t(argument)}]"
        case Big(operator, lower, upper, body):
            return f"{operator}[{'; '.join(map(t, lower))} .. {t(upper)} : {t(body)}]"
        case Differential(kind, of, order):
            return f"{kind}({t(of)})" + (f"^{t(order)}" if order else "")
        case Derivative(kind, form, of, by, powers, order):
            below = ", ".join(t(v) + (f"**{t(p)}" if p else "") for v, p in zip(by, powers, strict=True))
            return f"D/{kind} {form}{' ' + t(order) if order else ''}[{t(of)} / {below}]"
        case Evaluated(body, below, above):
            return f"at[{t(body)} | {t(below)} {t(above)}]"
        case Annotated(kind, body, label):
            return f"{kind}[{t(body)} | {t(label)}]"
        case Matrix(kind, rows):
            return f"{kind}[" + " // ".join(" & ".join(map(t, row)) for row in rows) + "]"
        case Cases(values, conditions):
            return "cases[" + " // ".join(f"{t(v)} if {t(c)}" for v, c in zip(values, conditions, strict=True)) + "]"
        case Text(words):
            return repr(words)
        case Dots():
            return "..."
        case Listing(items):
            return "list(" + ", ".join(map(t, items)) + ")"
        case NotUnderstood(reason, text):
            return f"NOT UNDERSTOOD({reason}: {text})"
        case Condition(words, parts):
            return f"when({words}: {', '.join(map(t, parts))})"
        case Chain():
            return chain_text(node)
        case Row(number, chains, notes, tag):
            told = "".join(f" !{note.kind}" for note in notes if note.kind != "word")
            return f"{number}: " + "  ;  ".join(map(t, chains)) + (f" #{tag}" if tag else "") + told
        case Display(rows, failure):
            return "  //  ".join(map(t, rows)) + (f" FAILURE {failure.reason}" if failure else "")
    raise AssertionError(node)


def parted(items: tuple[Anything, ...], separators: tuple[str, ...], blank: str) -> str:
    """Items with what parts them."""
    found = ""
    for number, item in enumerate(items):
        found += ((separators[number - 1] or blank) if number else "") + tree_text(item)
    return found


def chain_text(chain: Chain) -> str:
    """Members and relations; the number of a relation behind its sign where it is not 0."""
    members = list(chain.members)
    found = f"({chain.connective}) " if chain.connective else ""
    found += f"{chain.label}: " if chain.label else ""
    found += tree_text(members.pop(0)) if not chain.continues and members else ""
    for relation, member in zip(chain.relations, members, strict=False):
        found += f" {relation.sign}{relation.link or ''} {tree_text(member)}"
    return found + "".join(" " + tree_text(condition) for condition in chain.conditions)
