"""The gallery's documents as a reader meets them: typeset by LaTeX, shown by a browser, printed.

Tools that are not installed are skipped; continuous integration installs them.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from exhibits import NAMES, SOURCE
from thinning import thinned

WIDTHS = (375, 1280)
BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")

# Pages stand in frames of the widths in question; this looks into each of them.
MEASURE = """
addEventListener("load", () => {
  const numbers = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const result = [...document.querySelectorAll("iframe")].map((frame) => {
    const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
    const style = (e) => view.getComputedStyle(e);
    const held = (e) => { for (; e; e = e.parentElement) if (style(e).overflowX !== "visible") return true; return false; };
    const ground = (e) => {
      for (; e; e = e.parentElement) {
        const c = numbers(style(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c;
      }
      return [255, 255, 255];
    };
    const contrast = (e) => {
      const [a, b] = [light(numbers(style(e).color)), light(ground(e))];
      return Math.max(a, b) / Math.min(a, b);
    };
    const all = [...page.body.querySelectorAll("*")];
    return {
      name: frame.dataset.name,
      width: root.clientWidth,
      scroll: root.scrollWidth - root.clientWidth,
      outside: all.filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1 && !held(e)).map((e) => e.tagName),
      contrast: Math.min(...[...page.querySelectorAll("p, h1, h2, h3, h4, li, td, th, code, .why, .formula, em")].map(contrast)),
      flat: [...page.querySelectorAll("math")].filter((m) => m.getBoundingClientRect().height < 5).length,
      formulas: page.querySelectorAll("math").length,
      loaded: view.performance.getEntriesByType("resource").length,
      paper: light(numbers(style(page.body).backgroundColor)),
    };
  });
  const text = document.createElement("pre");
  text.id = "result";
  text.textContent = JSON.stringify(result);
  document.body.replaceChildren(text);
});
"""


def page_of(name):
    return (SOURCE / name / "proof.html").read_text(encoding="utf-8")


def browse(*arguments):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    return subprocess.run([BROWSER, *options, *arguments], capture_output=True, text=True, timeout=120, check=False)


def measured(folder, pages, widths, *options):
    """What the browser finds in each page at each width."""
    frames = "".join(
        f'<iframe data-name="{name}" style="width:{width}px;height:600px;border:0" srcdoc="{html.escape(page)}"></iframe>\n'
        for name, page in pages.items()
        for width in widths
    )
    place = folder / "frames.html"
    place.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{frames}<script>{MEASURE}</script>", encoding="utf-8")
    run = browse("--hide-scrollbars", "--virtual-time-budget=30000", *options, "--dump-dom", place.as_uri())
    found = re.search(r'<pre id="result">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found, run.stderr[-1000:]
    return json.loads(html.unescape(found[1]))


def faults(seen):
    """What a reader would complain about in a measured page."""
    said = []
    said += [f"scrolls sideways by {seen['scroll']} px"] if seen["scroll"] > 0 else []
    said += [f"outside the page: {seen['outside'][:3]}"] if seen["outside"] else []
    said += [f"contrast {seen['contrast']:.1f}"] if seen["contrast"] < 4.5 else []
    said += ["formulas that are not shown"] if seen["flat"] or not seen["formulas"] else []
    said += ["something was loaded"] if seen["loaded"] else []
    return said


@needs_browser
def test_pages_fit_a_phone_and_a_desk_and_load_nothing(tmp_path):
    found = measured(tmp_path, {name: page_of(name) for name in NAMES}, WIDTHS)
    assert [(seen["name"], seen["width"]) for seen in found] == [(n, w) for n in NAMES for w in WIDTHS]
    assert {(seen["name"], seen["width"]): said for seen in found if (said := faults(seen))} == {}
    assert all(seen["paper"] > 0.9 for seen in found)


@needs_browser
def test_pages_are_readable_in_the_dark(tmp_path):
    names = NAMES[::4]
    found = measured(tmp_path, {n: page_of(n) for n in names}, WIDTHS[1:], "--blink-settings=preferredColorScheme=0")
    assert {seen["name"]: said for seen in found if (said := faults(seen))} == {}
    assert all(seen["paper"] < 0.1 for seen in found)


@needs_browser
def test_the_measurement_sees_each_fault(tmp_path):
    bad = (
        '<!DOCTYPE html><body style="background:#fff"><p style="color:#ccc;width:2000px">pale and wide</p>'
        '<math></math><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt=""></body>'
    )
    (seen,) = measured(tmp_path, {"bad": bad}, (375,))
    said = " ".join(faults(seen))
    for fault in ("scrolls sideways", "outside the page", "contrast 1.6", "not shown"):
        assert fault in said


@needs_browser
@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="pdftoppm is not installed")
def test_a_page_prints_black_on_white_even_from_a_dark_screen(tmp_path):
    pdf = tmp_path / "page.pdf"
    dark = "--blink-settings=preferredColorScheme=0"
    browse(dark, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", (SOURCE / "15_layernorm" / "proof.html").as_uri())
    subprocess.run(["pdftoppm", "-gray", "-r", "40", "-singlefile", pdf, tmp_path / "page"], check=True)
    pixels = (tmp_path / "page.pgm").read_bytes()[-300 * 400 :]
    assert max(pixels) == 255 and min(pixels) < 60
    assert sum(p > 240 for p in pixels) > 0.8 * len(pixels)


class Outline(HTMLParser):
    """Headings, pictures and formulas as a screen reader meets them."""

    def __init__(self):
        super().__init__()
        self.levels, self.unnamed, self.languages, self.foreign = [], [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "svg" and not (given.get("role") == "img" and given.get("aria-label")):
            self.unnamed.append(tag)
        if tag == "html":
            self.languages.append(given.get("lang"))
        if tag in ("script", "link", "iframe", "img", "object", "embed") or {"src", "href", "onload"} & set(given):
            self.foreign.append(tag)


@pytest.mark.parametrize("name", NAMES)
def test_page_is_valid_small_and_has_an_outline(name):
    html5lib = pytest.importorskip("html5lib")
    page = page_of(name)
    html5lib.HTMLParser(strict=True).parse(page)
    assert len(page.encode()) < 300_000
    outline = Outline()
    outline.feed(page)
    assert (outline.unnamed, outline.foreign, outline.languages) == ([], [], ["en"])
    assert outline.levels[0] == 1 and outline.levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(outline.levels, outline.levels[1:], strict=False))
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    assert not re.search(
        r"\\[a-z]+|\$", re.sub(r"<(code|pre|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    )  # no LaTeX is left


def typeset(source, engine, folder):
    """The log of two runs of a LaTeX engine."""
    (folder / "document.tex").write_text(source, encoding="utf-8")
    for option in ("-draftmode", "-halt-on-error"):
        command = [engine, option, "-interaction=nonstopmode", "document.tex"]
        run = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    return (folder / "document.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize(
    ("name", "engine"), thinned([*((n, "pdflatex") for n in NAMES), *((n, "lualatex") for n in NAMES[9:10])], 2)
)
def test_document_is_typeset_without_a_warning_that_a_reader_would_see(name, engine, tmp_path):
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    log = typeset((SOURCE / name / "proof.tex").read_text(encoding="utf-8"), engine, tmp_path)
    assert [w for w in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log) if float(w) > 2.0] == []
    assert "undefined" not in log
    assert "Missing character" not in log
