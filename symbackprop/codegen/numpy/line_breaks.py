"""Long lines of printed Python, broken inside brackets as one would break them by hand.

Main name: `wrapped`. The text means the same: `test_line_breaks.py` compares the syntax trees.
"""

from __future__ import annotations

import re

LINE = 110
_OPEN, _CLOSE = "([{", ")]}"


def wrapped(source: str) -> str:
    """`source` with no line of code longer than `LINE`, where there is a place to break it.

    Example:
        >>> print(wrapped("total = " + "a_term_of_a_long_sum + " * 6 + "x")[:9])
        total = (
    """
    lines: list[str] = []
    inside = False  # a docstring, which is broken already
    for line in source.split("\n"):
        quotes = line.count('"""')
        plain = not inside and not quotes and not line.lstrip().startswith("#")
        lines += _broken(line) if plain and len(line) > LINE else [line]
        inside ^= quotes % 2 == 1
    return "\n".join(lines)


def _broken(line: str) -> list[str]:
    """The lines of one; the line itself if there is no place to break it."""
    if len(line) <= LINE:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    text = line.lstrip()
    group, opens = _longest_group(text), text[-1] in _OPEN  # what has brackets that others close gets no more around it
    if group is not None:
        start, end = group
        while text[start + 1] in _OPEN and _longest_group(text[start + 1 : end]) == (0, end - start - 2):
            start, end = start + 1, end - 1  # f([...]) is broken inside the inner brackets
        items = _split(text[start + 1 : end], r", ?")
        if len(items) > 1 and (opens or len(indent) + start < LINE):
            return _around(text, (start, end), items, ",", indent)
    for mark in ("return ", " = ", " += "):
        place = text.find(mark)
        if place < 0 or (mark == "return " and place > 0) or opens:
            continue
        head, body = text[: place + len(mark)], text[place + len(mark) :]
        left = _split(head.removesuffix(mark), ", ")
        if len(left) > 1 and len(head) > len(body):
            return [f"{indent}(", *_filled(left, ",", indent), *_broken(f"{indent}){mark}{body}")]
        for pattern, end_of_line in ((", ", ","), (r" (?=[+-] )", ""), (" (?=if |else )", "")):
            items = _split(body, pattern)
            if len(items) > 1:
                return [f"{indent}{head}(", *_filled(items, end_of_line, indent), f"{indent})"]
    terms = _split(text[group[0] + 1 : group[1]], r" (?=[+-] )") if group is not None else []
    return _around(text, group, terms, "", indent) if group is not None and len(terms) > 1 else [line]


def _around(text: str, group: tuple[int, int], items: list[str], mark: str, indent: str) -> list[str]:
    """A line whose brackets hold these items, each part on lines of its own."""
    start, end = group
    return [*_broken(indent + text[: start + 1]), *_filled(items, mark, indent), *_broken(indent + text[end:])]


def _filled(items: list[str], mark: str, indent: str) -> list[str]:
    """As many items on each line as fit; what is too long by itself is broken in turn."""
    deeper = indent + "    "
    lines = [deeper]
    for number, item in enumerate(items):
        if not item:
            continue  # after a trailing comma
        last = number == len(items) - 1
        text = item + ("" if last else mark)
        gap = " " if lines[-1] != deeper else ""
        if lines[-1] != deeper and len(lines[-1]) + len(gap + text) > LINE:
            lines.append(deeper)
            gap = ""
        lines[-1] += gap + text
    return [part for line in lines for part in _broken(line)]


def _depths(text: str) -> list[int]:
    """How many brackets are open before each character; inside a string one more."""
    depths, depth, quote = list[int](), int(text[:1] in tuple(_CLOSE)), ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
            depths.append(depth + 1)
            continue
        depth -= letter in _CLOSE
        depths.append(depth)
        depth += letter in _OPEN
        quote = letter if letter in "\"'" else ""
    return depths


def _longest_group(text: str) -> tuple[int, int] | None:
    """The places of the outermost brackets that hold most."""
    depths, start, best = _depths(text), 0, None
    for place, letter in enumerate(text):
        if depths[place] == 0 and letter in _OPEN:
            start = place
        elif depths[place] == 0 and letter in _CLOSE and (best is None or place - start > best[1] - best[0]):
            best = (start, place)
    return best if best is not None and best[1] - best[0] > len(text) // 3 else None


def _split(text: str, pattern: str) -> list[str]:
    """The parts of `text` between the matches that stand outside all brackets."""
    depths, parts, start = _depths(text), list[str](), 0
    for match in re.finditer(pattern, text):
        if depths[match.start()] == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]
