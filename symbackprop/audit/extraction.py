r"""Formulas of a document: Markdown, LaTeX or a notebook -> LaTeX with exact places.

Main names: `extract`, `Document`, `Formula`, `position`. Macros are expanded and the escapes of Markdown removed; each
character of a formula still knows where in the file it came from. A file that cannot be read, an \input that leads out
of the document's folder or back to itself, a macro without end: all are notes of the document, never exceptions.
"""

from __future__ import annotations

import bisect
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from symbackprop.audit.macros import PACKAGES, Macro, Passage, braced, definitions, expand
from symbackprop.audit.tree import Note

# What stands around a formula is kept up to this many characters on each side.
PROSE_KEPT = 1000
# How many files a document may put together, and how long it may be.
MOST_FILES = 100
MOST_CHARACTERS = 50_000_000

_ENVIRONMENTS = (
    "align|aligned|equation|gather|gathered|eqnarray|multline|flalign|alignat|split|displaymath|math|dmath|dgroup"
    "|IEEEeqnarray|darray"
)
_BLANK_LINE = re.compile(r"\n[ \t]*(?=\n)")
# What some forums put around comments, between dollars of its own.
_GROUPING = re.compile(r"\s*\\(?:begin|end)group\s*")
_PARAGRAPHS = re.compile(r"(?P<blank>\n[ \t>]*(?=\n))|(?:(?!\n[ \t>]*\n).)+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Formula:
    r"""A formula of a document.

    `latex` is what stands between the delimiters, macros expanded, escapes removed: what `grammar.parse` reads, and
    what spans count in. `delimiter`: "$", "$$", "\\(", "\\[", "```math", the name of an environment ("align*"), or
    "plain" for a line of unicode mathematics without any. `line` and `col` (from 1) are where the opening delimiter
    stands; in a notebook `line` counts through all cells joined by line breaks, `cell` (from 0) and `cell_line` say the
    place in its cell. `file` is the file it stands in (an \input's may be another). `before` and `after` are the prose
    around it, inline formulas as $...$: the paragraph before a display and the one after it, unless another display
    stands between; the rest of the paragraph around an inline formula. `headings` are those it stands under, outermost
    first. `places[k]` is the offset of `latex[k]` in the text of `file`.
    """

    latex: str
    display: bool
    delimiter: str
    line: int
    col: int
    before: str = ""
    after: str = ""
    headings: tuple[str, ...] = ()
    file: str = ""
    cell: int | None = None
    cell_line: int | None = None
    places: Sequence[int] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    r"""A document's formulas in their order, and what was odd in it.

    `text` is what was read (a notebook: its cells joined by line breaks), `included` the (name, text) of files that
    \input put in. `prose` is the text between displays: (line, paragraph), inline formulas as $...$, headings left out.
    `front_matter` is what stands between the first two lines of ---. `notes` say what could not be read, each with its
    offset in `text`: "file" (an \input that was not followed, a file that is no text), "macro", "delimiter" (a formula
    that does not end), "picture" (formulas may be there, unread).
    """

    name: str
    kind: str
    text: str = field(repr=False)
    formulas: tuple[Formula, ...]
    prose: tuple[tuple[int, str], ...] = ()
    front_matter: str = ""
    notes: tuple[Note, ...] = ()
    included: tuple[tuple[str, str], ...] = ()

    def words_before(self, formula: Formula) -> str:
        """The prose before a formula; that before its predecessors where it follows directly upon them."""
        return formula.before or next((text for line, text in reversed(self.prose) if line < formula.line), "")


def extract(source: Path | str, kind: str | None = None) -> Document:
    """The formulas of a document.

    Args:
        source: a path, or the text itself where it is a `str`.
        kind: "md", "tex" or "ipynb"; by default the path's ending, and "md" for a text.

    Returns:
        The document; one that cannot be read has no formulas and a note.

    Example:
        >>> document = extract("The cost is $J$.")
        >>> [(formula.latex, formula.line, formula.col) for formula in document.formulas]
        [('J', 1, 13)]
    """
    if isinstance(source, Path):
        name, (text, notes) = source.name, _read(source)
        folder: Path | None = source.parent
        kind = kind or source.suffix.lower().lstrip(".")
    else:
        name, text, notes, folder = "", source.removeprefix("\ufeff"), [], None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kind = kind if kind in ("tex", "ipynb") else "tex" if kind in ("latex", "ltx") else "md"
    if len(text) > MOST_CHARACTERS:
        return Document(name, kind, text, (), notes=(Note("file", "the document is too long to be read"),))
    if kind == "ipynb":
        return _notebook(name, text, notes)
    if kind == "tex":
        return _latex(name, text, folder, notes)
    return _markdown(name, text, notes)


def sentences(text: str) -> list[str]:
    """The sentences of a passage, as far as full stops tell."""
    return re.split(r"(?<=[.!?])\s+", text.strip())


def position(document: Document, formula: Formula, offset: int) -> tuple[int, int]:
    """Line and column (from 1) in the formula's file of an offset in its `latex`, such as a span's start."""
    text = next((text for name, text in document.included if name == formula.file), document.text)
    if not formula.places:
        return formula.line, formula.col
    place = formula.places[min(max(offset, 0), len(formula.places) - 1)] + (offset >= len(formula.places))
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)


def _read(path: Path) -> tuple[str, list[Note]]:
    """The text of a file in whatever encoding it is."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return "", [Note("file", f"{path.name} cannot be read: {error.strerror}")]
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), []
    if b"\x00" in data[:4096]:
        return "", [Note("file", f"{path.name} is no text")]
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), [Note("file", f"{path.name} is not UTF-8; read as Latin-1")]


# --- what a scanner finds


@dataclass(frozen=True, slots=True)
class _Found:
    """A formula between its delimiters, before macros are expanded."""

    passage: Passage
    display: bool
    delimiter: str
    start: int  # of the opening delimiter
    end: int  # after the closing one
    headings: tuple[str, ...]


class _Page:
    """Formulas and prose of one text, in order."""

    def __init__(self, text: str, file: str, start: int = 0, end: int | None = None) -> None:
        self.text, self.file = text, file
        self.start, self.end = start, len(text) if end is None else end
        self.breaks = [match.end() for match in re.finditer("\n", text)]
        self.found: list[_Found] = []
        self.notes: list[Note] = []
        self.hidden: list[tuple[int, int]] = []  # code, comments, headings: no prose
        self.headings: list[tuple[int, str]] = []
        self.titles: set[int] = set()  # lines of headings

    def line_of(self, place: int) -> tuple[int, int]:
        line = bisect.bisect_right(self.breaks, place)
        return line + 1, place - (self.breaks[line - 1] if line else 0) + 1

    def heading(self, level: int, words: str) -> None:
        self.headings = [(depth, text) for depth, text in self.headings if depth < level]
        self.headings.append((level, words))

    def add(self, passage: Passage, display: bool, delimiter: str, start: int, end: int) -> None:
        if passage.text.strip() and not _GROUPING.fullmatch(passage.text):
            under = tuple(words for _, words in self.headings)
            self.found.append(_Found(passage, display, delimiter, start, end, under))


def _formulas(page: _Page, macros: dict[str, Macro], notes: list[Note]) -> tuple[list[Formula], list[tuple[int, str]]]:
    """The page's formulas with macros expanded, and its prose."""
    made: list[Formula] = []
    for found in page.found:
        passage, odd = expand(found.passage, macros)
        notes += [note for note in odd if (note.kind, note.words) not in {(n.kind, n.words) for n in notes}]
        line, col = page.line_of(found.start)
        latex, places = passage.text, passage.places
        made.append(
            Formula(latex, found.display, found.delimiter, line, col, "", "", found.headings, page.file, places=places)
        )
    blocks = _blocks(page, made)
    return _with_prose(page, blocks, made), [
        (line, text.strip()) for line, text, _ in blocks if text and line not in page.titles
    ]


def _blocks(page: _Page, made: list[Formula]) -> list[tuple[int, str, list[tuple[int, int, int]]]]:
    """Paragraphs as (line, text, its inline formulas as (number, from, to)); a display is ("" , [(number, 0, 0)])."""
    blocks: list[tuple[int, str, list[tuple[int, int, int]]]] = []
    words: list[str] = []
    inline: list[tuple[int, int, int]] = []
    length, first = 0, 0

    def close() -> None:
        nonlocal words, inline, length
        text = "".join(words)
        if text.strip():
            blocks.append((page.line_of(first)[0], text, inline))
        words, inline, length = [], [], 0

    hidden = sorted(page.hidden)
    place = page.start
    events: list[tuple[int, int, int | None]] = [(f.start, f.end, k) for k, f in enumerate(page.found)]
    events += [(start, end, None) for start, end in hidden]
    for start, end, number in [*sorted(events, key=lambda e: (e[0], -e[1])), (page.end, page.end, None)]:
        if start < place:
            continue
        for piece in _PARAGRAPHS.finditer(page.text, place, start):
            if piece["blank"]:
                close()
                continue
            if not words:
                first = piece.end() - len(piece[0].lstrip())
            words.append(_plain_words(piece[0]))
            length += len(words[-1])
        place = end
        if number is None:
            close()
        elif made[number].display:
            close()
            blocks.append((made[number].line, "", [(number, 0, 0)]))
        else:
            shown = f"${made[number].latex}$"
            inline.append((number, length, length + len(shown)))
            words.append(shown)
            length += len(shown)
    close()
    return blocks


def _with_prose(
    page: _Page, blocks: list[tuple[int, str, list[tuple[int, int, int]]]], made: list[Formula]
) -> list[Formula]:
    """Every formula with the words before and after it."""
    whole = list(made)
    for k, (_, text, inside) in enumerate(blocks):
        for number, start, end in inside:
            if text:
                before, after = text[max(0, start - PROSE_KEPT) : start], text[end : end + PROSE_KEPT]
            else:
                titled = k > 0 and blocks[k - 1][0] in page.titles
                before = blocks[k - 1][1][-PROSE_KEPT:] if k and not titled else ""
                after = blocks[k + 1][1][:PROSE_KEPT] if k + 1 < len(blocks) else ""
            whole[number] = replace(made[number], before=before.strip(), after=after.strip())
    return whole


_MARKUP = re.compile(
    r"!?\[([^\]\[]*)\]\([^()\s]*\)|</?[A-Za-z][^<>]*>|(?:^|(?<=\n))[ \t]*(?:[>#]+[ \t]?)+"
    r"|[*_]{2,}|\\(?:begin|end)\{[^{}]*\}|`|\\(?=[_*#$%&])"
)


def _plain_words(text: str) -> str:
    """Prose without the marks of Markdown."""
    return re.sub(r"[ \t]*\n[ \t]*", " ", html.unescape(_MARKUP.sub(lambda match: match[1] or "", text)))


# --- Markdown

_MARKDOWN = re.compile(
    r"""
      (?P<fence>^(?P<indent>[ \t>]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[^\n`]*)$)
    | (?P<heading>^[ ]{0,3}(?P<level>\#{1,6})[ \t]+(?P<title>[^\n]*?)[ \t]*\#*[ \t]*$)
    | (?P<comment><!--.*?(?:-->|\Z))
    | (?P<preformatted><(?P<tag>pre|code|script|style)\b[^>]*>.*?(?:</(?P=tag)>|\Z))
    | (?P<picture>!\[[^\]\n]*\]\([^)\n]*\)|<img\b[^>]*>)
    | (?P<ticked>\$`(?P<inner>[^`\n]+)`\$)
    | (?P<code>(?<![`\\])(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`))
    | (?P<display>(?<!\\)\$\$)
    | (?P<inline>(?<![\\$])\$)
    | (?P<double>\\\\[(\[])
    | (?P<single>\\[(\[])
    | (?P<environment>\\begin\{(?P<name>(?:ENVIRONMENTS)\*?)\})
    | (?P<escape>\\.)
    """.replace("ENVIRONMENTS", _ENVIRONMENTS),
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_MATH_FENCES = {"math", "latex", "tex", "katex", "mathjax"}
_CLOSING = {"(": ")", "[": "]"}
_MONEY = re.compile(r"\d[\d.,]*(?:\s*(?:k|m|bn|USD|million|billion))?\s+[A-Za-z]{2,}")


def _markdown(name: str, text: str, notes: list[Note]) -> Document:
    start = 0
    front = ""
    if match := re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", text, re.DOTALL):
        front, start = match[1], match.end()
    page = _Page(text, name, start)
    _scan_markdown(page)
    _add_plain_lines(page)
    macros = {**PACKAGES, **definitions(text)[0]}
    notes = [*notes, *page.notes]
    formulas, prose = _formulas(page, macros, notes)
    return Document(name, "md", text, tuple(formulas), tuple(prose), front, tuple(notes))


def _scan_markdown(page: _Page) -> None:
    text, place = page.text, page.start
    while (match := _MARKDOWN.search(text, place, page.end)) is not None:
        place = match.end()
        kind = match.lastgroup if match.lastgroup in _READERS else _kind_of(match)
        reader = _READERS.get(kind)
        if reader is not None:
            place = max(reader(page, match), match.start() + 1)


def _kind_of(match: re.Match[str]) -> str:
    return next((name for name in _READERS if match[name] is not None), "")


def _fence(page: _Page, match: re.Match[str]) -> int:
    """A fenced block: mathematics if its language says so, code otherwise."""
    closing = re.compile(rf"^[ \t>]*{re.escape(match['mark'][0])}{{{len(match['mark'])},}}[ \t]*$", re.MULTILINE)
    end = closing.search(page.text, match.end(), page.end)
    stop, after = (end.start(), end.end()) if end else (page.end, page.end)
    language = match["language"].strip().strip("{}").lower().split(" ")[0]
    if language in _MATH_FENCES:
        inner = page.text[match.end() : stop]
        nested = re.search(r"\$\$|\\\[|\\\(|(?<!\\)\$", inner)
        if language == "math" or nested is None:
            page.add(_unescaped(page, match.end(), stop, False), True, "```" + language, match.start("mark"), after)
        else:
            return match.end()
    page.hidden.append((match.start(), after))
    return after


def _markdown_heading(page: _Page, match: re.Match[str]) -> int:
    page.heading(len(match["level"]), _plain_words(match["title"]))
    page.hidden += [(match.start(), match.start("title")), (match.end(), match.end())]
    page.titles.add(page.line_of(match.start())[0])
    return match.start("title")


def _hide(page: _Page, match: re.Match[str]) -> int:
    page.hidden.append(match.span())
    return match.end()


def _picture(page: _Page, match: re.Match[str]) -> int:
    page.notes.append(Note("picture", "a picture; formulas in it are not read", span=match.span()))
    return _hide(page, match)


def _ticked(page: _Page, match: re.Match[str]) -> int:
    page.add(_unescaped(page, match.start("inner"), match.end("inner"), False), False, "$", match.start(), match.end())
    return match.end()


def _code(page: _Page, match: re.Match[str]) -> int:
    return match.end()


def _display(page: _Page, match: re.Match[str]) -> int:
    end = re.compile(r"(?<!\\)\$\$").search(page.text, match.end(), page.end)
    blank = _BLANK_LINE.search(page.text, match.end(), end.start() if end else page.end)
    if end is None or (blank is not None and _is_prose(page.text[blank.end() : end.start()])):
        stop = blank.start() if blank else page.end
        page.notes.append(Note("delimiter", "$$ is not closed", span=match.span()))
        page.add(_unescaped(page, match.end(), stop, False), True, "$$", match.start(), stop)
        return stop
    page.add(_unescaped(page, match.end(), end.start(), False), True, "$$", match.start(), end.end())
    return end.end()


def _is_prose(text: str) -> bool:
    """Whether what stands after a blank line inside $$ is running text: then the $$ before it was never closed."""
    words = re.findall(r"(?<![\\{A-Za-z])[A-Za-z]{3,}", text)
    return len(words) >= 6 and len(words) > text.count("\\")


def _inline(page: _Page, match: re.Match[str]) -> int:
    """$...$ in one paragraph; prices are none."""
    end = re.compile(r"\\.|\$", re.DOTALL)
    blank = _BLANK_LINE.search(page.text, match.end(), page.end)
    limit = blank.start() if blank else page.end
    k = match.end()
    while (closing := end.search(page.text, k, limit)) is not None and closing[0] != "$":
        k = closing.end()
    if closing is None:
        return match.end()
    inner = page.text[match.end() : closing.start()]
    mathematical = re.search(r"\\[A-Za-z{]|[\^_=<>]|^[^\W\d]$", inner.strip()) is not None
    tight = bool(inner) and not inner[0].isspace() and not inner[-1].isspace()
    priced = _MONEY.match(inner) is not None or (tight and page.text[closing.end() : closing.end() + 1].isdigit())
    if not inner.strip() or (not mathematical and (not tight or priced)):
        return match.end()
    page.add(_unescaped(page, match.end(), closing.start(), False), False, "$", match.start(), closing.end())
    return closing.end()


def _bracketed(page: _Page, match: re.Match[str]) -> int:
    r"""\( \), \[ \], and both with doubled backslashes."""
    marks, opening = match[0][:-1], match[0][-1]
    closing = page.text.find(marks + _CLOSING[opening], match.end(), page.end)
    if len(marks) == 1:
        while closing > 0 and page.text[closing - 1] == "\\" and page.text[closing - 2] != "\\":
            closing = page.text.find(marks + _CLOSING[opening], closing + 1, page.end)
    if closing < 0:
        if opening == "[" and len(marks) == 1:
            return match.end()
        page.notes.append(Note("delimiter", f"{match[0]} is not closed", span=match.span()))
        return match.end()
    passage = _unescaped(page, match.end(), closing, len(marks) == 2)
    page.add(passage, opening == "[", "\\" + opening, match.start(), closing + len(marks) + 1)
    return closing + len(marks) + 1


def _environment(page: _Page, match: re.Match[str]) -> int:
    return _environment_named(page, match.start(), match.end(), match["name"])


def _environment_named(page: _Page, start: int, inner: int, name: str) -> int:
    """A display in an environment, with another of the same name inside it or not."""
    depth = 1
    for mark in re.compile(rf"\\(begin|end)\{{{re.escape(name)}\}}").finditer(page.text, inner, page.end):
        depth += 1 if mark[1] == "begin" else -1
        if depth == 0:
            passage = _unescaped(page, start, mark.end(), False)
            page.add(passage, name != "math", name, start, mark.end())
            return mark.end()
    blank = _BLANK_LINE.search(page.text, inner, page.end)
    stop = blank.start() if blank else page.end
    page.notes.append(Note("delimiter", f"\\begin{{{name}}} is not closed", span=(start, inner)))
    page.add(_unescaped(page, start, stop, False), True, name, start, stop)
    return stop


def _skip(page: _Page, match: re.Match[str]) -> int:
    return match.end()


_READERS = {
    "fence": _fence,
    "heading": _markdown_heading,
    "comment": _hide,
    "preformatted": _hide,
    "picture": _picture,
    "ticked": _ticked,
    "code": _code,
    "display": _display,
    "inline": _inline,
    "double": _bracketed,
    "single": _bracketed,
    "environment": _environment,
    "escape": _skip,
}

_QUOTED = re.compile(r"(?<=\n)[ \t]*(?:>[ \t]?)+")
_ESCAPES = re.compile(r"\\\\|\\text\{[^{}]*\}|\\([_*\[\]])|&(?:[a-z]+|#\d+|#x[0-9a-fA-F]+);")
_DOUBLED = re.compile(r"\\\\(?=[\\{}_,;!|*A-Za-z])|\\\\")


def _unescaped(page: _Page, start: int, end: int, doubled: bool) -> Passage:
    r"""The formula from `start` to `end`: quotation marks at the beginning of lines, \_ and HTML's entities undone.

    Between doubled delimiters, \\[ and \\], Markdown makes \ of every \\; so it is undone, if the formula has any.
    """
    passage = Passage(page.text[start:end], range(start, end))
    line = page.text.rfind("\n", 0, start) + 1
    if "\n" in passage.text and page.text[line:start].lstrip().startswith(">"):
        passage = _edited(passage, _QUOTED, lambda match: "")
    if doubled and re.search(r"\\\\(?:\\\\|[{}_,;|A-Za-z])", passage.text):
        passage = _edited(passage, _DOUBLED, lambda match: "\\")
    if re.search(r"\\[_*\[\]]|&", passage.text):
        passage = _edited(passage, _ESCAPES, _escape_undone)
    return passage


def _escape_undone(match: re.Match[str]) -> str:
    if match[0] == "\\\\" or match[0].startswith("\\text"):
        return match[0]
    return match[1] or html.unescape(match[0])


def _edited(passage: Passage, pattern: re.Pattern[str], change: object) -> Passage:
    """Every match replaced; what is put in stands where the match began."""
    assert callable(change)
    texts: list[str] = []
    places: list[int] = []
    place = 0
    for match in pattern.finditer(passage.text):
        new: str = change(match)
        if new == match[0]:
            continue
        texts += [passage.text[place : match.start()], new]
        places += passage.places[place : match.start()]
        places += [passage.places[match.start()]] * len(new)
        place = match.end()
    texts.append(passage.text[place:])
    places += passage.places[place:]
    return Passage("".join(texts), places)


# --- lines of plain unicode mathematics

_SIGNS = re.compile("[∂∇Σ∑∏√⊙∘·×²³ᵀ⁻δθσλμηαβγεφΔΘΦ]|[A-Za-z]_[A-Za-z0-9{(]|[A-Za-z]\\^[A-Za-z0-9({]")
_EQUALS = re.compile(r"[=≈≤≥∝←≔≡]")
_KNOWN = frozenset(
    [
        *("softmax", "sigmoid", "tanh", "relu", "logistic", "loss", "cost", "diag", "trace", "mean", "sign", "prime"),
        *("where", "with", "total", "output", "input", "hidden", "target", "error", "argmax", "argmin", "exp", "log"),
    ]
)


def _add_plain_lines(page: _Page) -> None:
    """Lines that are formulas without delimiters, as people write them where no LaTeX is set: ∂J/∂W_ij = δ_i a_j."""
    taken = sorted([*page.hidden, *((found.start, found.end) for found in page.found)])
    added: list[_Found] = []
    place = page.start
    for line in page.text[page.start : page.end].splitlines(keepends=True):
        start, place = place, place + len(line)
        body = line.strip().lstrip(">-*•").strip()
        if not _is_plain_formula(body):
            continue
        first = start + line.index(body)
        last = first + len(body)
        k = bisect.bisect_left(taken, (first, first))
        if (k < len(taken) and taken[k][0] < last) or (k and taken[k - 1][1] > first) or "`" in line:
            continue
        indices = re.compile(r"(?<=_)[A-Za-z0-9]{2,}")
        passage = _edited(Passage(body, range(first, last)), indices, lambda match: f"{{{match[0]}}}")
        added.append(_Found(passage, True, "plain", first, last, _headings_at(page, first)))
    page.found = sorted([*page.found, *added], key=lambda found: found.start)


def _is_plain_formula(line: str) -> bool:
    if not 3 <= len(line) <= 400 or not _EQUALS.search(line) or not _SIGNS.search(line) or "$" in line or "\\" in line:
        return False
    if "http" in line or "|" in line[:1]:
        return False
    words = [word for word in re.findall(r"(?<![_^{(A-Za-z])[A-Za-z]{3,}", line) if word.lower() not in _KNOWN]
    return len(words) <= 1 and not any(len(word) > 8 for word in words)


def _headings_at(page: _Page, place: int) -> tuple[str, ...]:
    """The headings of the last formula before a place; plain documents have few."""
    return next((found.headings for found in reversed(page.found) if found.start < place), ())


# --- LaTeX

_LATEX = re.compile(
    r"""
      (?P<code>\\begin\{(?P<listing>verbatim\*?|lstlisting|minted|comment|Verbatim|alltt|filecontents\*?|tikzpicture)\}.*?
        (?:\\end\{(?P=listing)\}|\Z))
    | (?P<short>\\(?:verb|lstinline)\*?(?P<stroke>[^A-Za-z\s{]).*?(?P=stroke))
    | (?P<heading>\\(?P<level>part|chapter|section|subsection|subsubsection|paragraph)\*?\s*(?:\[[^\]]*\])?(?=\{))
    | (?P<input>\\(?:input|include|subfile)\s*(?:\{(?P<braced>[^{}]*)\}|(?P<bare>[^\s{}\\]+)))
    | (?P<picture>\\includegraphics\s*(?:\[[^\]]*\])?\{[^{}]*\})
    | (?P<environment>\\begin\{(?P<name>(?:ENVIRONMENTS)\*?)\})
    | (?P<display>\$\$)
    | (?P<inline>\$)
    | (?P<single>\\[(\[])
    | (?P<dropped>\\(?:label|ref|eqref|cite[pt]?|footnotetext|index|vspace\*?|hspace\*?)\{[^{}]*\})
    | (?P<escape>\\.)
    """.replace("ENVIRONMENTS", _ENVIRONMENTS),
    re.VERBOSE | re.DOTALL,
)
_LEVELS = {"part": 0, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5}
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*")


class _Book:
    """A LaTeX document with the files that it puts in."""

    def __init__(self, folder: Path | None, notes: list[Note]) -> None:
        self.folder, self.notes = folder, notes
        self.texts: dict[str, str] = {}
        self.macros: dict[str, Macro] = dict(PACKAGES)
        self.formulas: list[Formula] = []
        self.prose: list[tuple[int, str]] = []
        self.open: list[str] = []
        self.headings: list[tuple[int, str]] = []

    def gather(self, name: str, text: str) -> None:
        """Reads the macros of a text and of all that it puts in."""
        self.texts[name] = text
        blank = _without_comments(text)
        self.macros.update(definitions(blank)[0])
        for match in _LATEX.finditer(blank):
            if match["input"] is not None:
                found = self.file(match, name)
                if found is not None and found[0] not in self.texts:
                    self.gather(*found)

    def file(self, match: re.Match[str], within: str) -> tuple[str, str] | None:
        """Name and text of a file that is put in; None, with a note, if it must not be followed."""
        wanted = (match["braced"] or match["bare"] or "").strip()
        span = match.span() if not self.open[1:] else (0, 0)
        why = ""
        if self.folder is None:
            why = "a text has no folder to look for it"
        else:
            path = self.folder / (wanted if Path(wanted).suffix else wanted + ".tex")
            try:
                inside = path.resolve().is_relative_to(self.folder.resolve())
            except (OSError, ValueError):
                inside = False
            name = str(Path(wanted if Path(wanted).suffix else wanted + ".tex"))
            if not inside:
                why = "it is not in the document's folder"
            elif name in self.open:
                why = "it puts itself in"
            elif name in self.texts:
                return name, self.texts[name]
            elif len(self.texts) >= MOST_FILES:
                why = f"more than {MOST_FILES} files"
            elif not path.is_file() or path.suffix.lower() not in (".tex", ".ltx", ".sty", ".def", ""):
                why = "there is no such file"
            else:
                text, odd = _read(path)
                self.notes += odd
                return name, text.replace("\r\n", "\n").replace("\r", "\n")
        self.note(Note("file", f"\\input{{{wanted}}} is not followed: {why}", span=span))
        return None

    def note(self, note: Note) -> None:
        if all((n.kind, n.words) != (note.kind, note.words) for n in self.notes):
            self.notes.append(note)

    def read(self, name: str, text: str) -> None:
        """Reads formulas and prose of a text; those of files that it puts in come where they are put in."""
        if name in self.open:
            return
        self.open.append(name)
        blank = _without_comments(text)
        begin = re.search(r"\\begin\{document\}", blank)
        end = re.search(r"\\end\{document\}", blank)
        start, stop = begin.end() if begin else 0, end.start() if end else len(blank)
        blank = _with_environments(blank, self.macros)
        for first, last in definitions(blank)[1]:
            blank = blank[:first] + _blanks(blank[first:last]) + blank[last:]
        while start < stop:
            page = _Page(blank, name, start, stop)
            page.headings = self.headings
            follow = _scan_latex(page)
            self.headings = page.headings
            for note in page.notes:
                self.note(note)
            formulas, prose = _formulas(page, self.macros, self.notes)
            self.formulas += formulas
            self.prose += prose
            if follow is None:
                break
            found = self.file(follow, name)
            if found is not None and found[0] not in self.open:
                self.read(*found)
            start = follow.end()
        self.open.pop()


def _latex(name: str, text: str, folder: Path | None, notes: list[Note]) -> Document:
    book = _Book(folder, list(notes))
    book.open.append(name)
    book.gather(name, text)
    book.open.clear()
    book.read(name, text)
    included = tuple((other, inner) for other, inner in book.texts.items() if other != name)
    return Document(name, "tex", text, tuple(book.formulas), tuple(book.prose), "", tuple(book.notes), included)


def _blanks(text: str) -> str:
    """As many blanks, line breaks kept: what is left out of a text must not move what follows."""
    return re.sub(r"[^\n]", " ", text)


def _without_comments(text: str) -> str:
    text = _COMMENT.sub(lambda match: match[1] + " " * (len(match[0]) - len(match[1])), text)
    return re.sub(r"\\iffalse\b.*?(?:\\fi\b|\Z)", lambda match: _blanks(match[0]), text, flags=re.DOTALL)


def _with_environments(text: str, macros: dict[str, Macro]) -> str:
    r"""The text with \be and \ee spelled out where they stand for \begin{equation} and \end{equation}.

    Only where the longer text finds room does it change no places, so such macros become a delimiter of the same
    length: an opening \[ or \] and blanks.
    """
    for name, macro in macros.items():
        begins = re.match(rf"\s*\\begin\{{(?:{_ENVIRONMENTS})\*?\}}\s*$", macro.body) is not None
        ends = re.match(rf"\s*\\end\{{(?:{_ENVIRONMENTS})\*?\}}\s*$", macro.body) is not None
        if macro.arity == 0 and (begins or ends or macro.body.strip() in (r"\[", r"\]")):
            mark = r"\[" if begins or macro.body.strip() == r"\[" else r"\]"
            if len(name) >= 2:
                pattern = re.escape(name) + ("" if name.endswith("}") else "(?![A-Za-z])")
                text = re.sub(pattern, lambda match, m=mark: m + " " * (len(match[0]) - 2), text)  # type: ignore[misc]
    return text


def _scan_latex(page: _Page) -> re.Match[str] | None:
    r"""Reads on to the end, or to an \input, which is answered."""
    place = page.start
    while (match := _LATEX.search(page.text, place, page.end)) is not None:
        place = match.end()
        if match["environment"] is not None:
            place = _environment_named(page, match.start(), match.end(), match["name"])
        elif match["display"] is not None:
            place = _display(page, match)
        elif match["inline"] is not None:
            place = _latex_inline(page, match)
        elif match["single"] is not None:
            place = _bracketed(page, match)
        elif match["heading"] is not None:
            title = braced(page.text, match.end())
            if title is not None:
                page.heading(_LEVELS[match["level"]], _plain_words(title[0]))
                page.hidden.append((match.start(), title[1]))
                place = match.end() + 1
        elif match["input"] is not None:
            page.end = match.start()
            return match
        elif match["picture"] is not None:
            _picture(page, match)
        elif match["code"] is not None or match["short"] is not None or match["dropped"] is not None:
            page.hidden.append(match.span()) if match["code"] is not None else None
        place = max(place, match.start() + 1)
    return None


def _latex_inline(page: _Page, match: re.Match[str]) -> int:
    """$...$ in one paragraph."""
    blank = _BLANK_LINE.search(page.text, match.end(), page.end)
    limit = blank.start() if blank else page.end
    k = match.end()
    pattern = re.compile(r"\\.|\$", re.DOTALL)
    while (closing := pattern.search(page.text, k, limit)) is not None and closing[0] != "$":
        k = closing.end()
    if closing is None:
        page.notes.append(Note("delimiter", "$ is not closed", span=match.span()))
        return match.end()
    passage = Passage(page.text[match.end() : closing.start()], range(match.end(), closing.start()))
    page.add(passage, False, "$", match.start(), closing.end())
    return closing.end()


# --- notebooks


def _notebook(name: str, text: str, notes: list[Note]) -> Document:
    try:
        sources = list(_cells(json.loads(text)))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        words = f"{name or 'the notebook'} is no notebook: {type(error).__name__}"
        return Document(name, "ipynb", text, (), notes=(*notes, Note("file", words)))
    joined = "\n".join(source for _, source in sources)
    macros = {**PACKAGES, **definitions("\n".join(source for kind, source in sources if kind == "markdown"))[0]}
    formulas: list[Formula] = []
    prose: list[tuple[int, str]] = []
    notes = list(notes)
    place, headings = 0, list[tuple[int, str]]()
    for cell, (kind, source) in enumerate(sources):
        if kind == "markdown":
            page = _Page(joined, name, place, place + len(source))
            page.headings = headings
            _scan_markdown(page)
            _add_plain_lines(page)
            headings = page.headings
            notes += page.notes
            found, paragraphs = _formulas(page, macros, notes)
            first = page.line_of(place)[0]
            formulas += [replace(formula, cell=cell, cell_line=formula.line - first + 1) for formula in found]
            prose += paragraphs
        place += len(source) + 1
    return Document(name, "ipynb", joined, tuple(formulas), tuple(prose), "", tuple(notes))


def _cells(notebook: object) -> Iterator[tuple[str, str]]:
    """Kind and source of every cell."""
    if not isinstance(notebook, dict):
        raise TypeError("not an object")
    cells = notebook.get("cells")
    if cells is None:
        cells = [cell for sheet in notebook.get("worksheets", []) for cell in sheet.get("cells", [])]
    for cell in cells:
        source = cell.get("source", cell.get("input", ""))
        source = "".join(map(str, source)) if isinstance(source, list) else str(source)
        yield str(cell.get("cell_type", "")), source.replace("\r\n", "\n").replace("\r", "\n")
