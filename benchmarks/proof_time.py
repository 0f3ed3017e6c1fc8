"""How long deriving and proving takes: `python benchmarks/proof_time.py` writes benchmarks/results/proof_time.md.

Each figure is the CPU time of a fresh process, imports not counted, the least of three. Beside it stands the size of
the result, in the units of that package, since an answer that doubles with each layer is of little use.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
DEPTHS, WIDTHS = (2, 3, 4, 6, 8, 16, 32), (2, 3, 4, 6, 8)
COLUMNS = {
    "derived": "derived here (nodes)",
    "proved": "and proved (theorems)",
    "sympy_sums": "SymPy Sum/Indexed (operations)",
    "tensorgrad": "tensorgrad (letters)",
    "sympy_written_out": "SymPy written out (operations)",
}
DEEP = ",".join(["64"] * 63 + ["10"])
DOCUMENTS = (
    "prove --layers 784,512,512,10 -o proof.html",
    "prove --layers 784,512,512,10 -o proof.tex",
    "prove --depth L --activation f --cost squared-error --detail brief -o proof.html",
    f"prove --layers {DEEP} --detail brief -o proof.tex",
)
SECONDS = 60
Figure = tuple[float, int] | None


def one(name: str, depth: int, width: int) -> None:
    from derivations import DERIVATIONS

    start = time.process_time()
    size = DERIVATIONS[name](depth, width)
    print(time.process_time() - start, size)


def figure(name: str, depth: int, width: int = 0) -> Figure:
    """Seconds and size, or None if the package is missing or takes more than `SECONDS`."""
    found: list[tuple[float, int]] = []
    for _ in range(3):
        command = [sys.executable, __file__, "--one", name, str(depth), str(width)]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            return None
        seconds, size = result.stdout.split()
        found.append((float(seconds), int(size)))
        if found[0][0] > SECONDS / 6:
            break
    return min(found)


def row(title: str, figures: list[Figure]) -> str:
    cells = [f"{f[0]:.2f} ({f[1]})" if f else "–" for f in figures]
    print(title, *cells, file=sys.stderr)
    return f"| {title} | {' | '.join(cells)} |"


def table(head: str, names: list[str], rows: list[tuple[str, int, int]]) -> list[str]:
    lines = [f"| {head} | {' | '.join(COLUMNS[n] for n in names)} |", "|---|" + "---|" * len(names)]
    given_up: set[str] = set()
    for title, depth, width in rows:
        figures = [None if n in given_up else figure(n, depth, width) for n in names]
        given_up |= {n for n, f in zip(names, figures, strict=True) if f is None}
        lines.append(row(title, figures))
    return lines


def documents() -> list[str]:
    """What a user waits for: the command line from its start to the written file."""
    lines = ["| command | seconds |", "|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for words in DOCUMENTS:
            taken = []
            for _ in range(3):
                start = time.perf_counter()
                command = [sys.executable, "-m", "symbackprop", *words.split()]
                subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
                taken.append(time.perf_counter() - start)
            shown = words.replace(DEEP, "64,64,…,64,10")
            lines.append(f"| `symbackprop {shown}` | {min(taken):.2f} |")
            print(lines[-1], file=sys.stderr)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3)
    options = parser.parse_args()
    if options.one:
        one(options.one[0], int(options.one[1]), int(options.one[2]))
        return
    any_width = [n for n in COLUMNS if n != "sympy_written_out"]
    text = ["# Deriving and proving: seconds (size of the result)", "",
            f"Sigmoid units, squared error, all gradients. A dash: more than {SECONDS} s, or not installed.", "",
            "## All widths at once, by depth", ""]  # fmt: skip
    text += table("layers", any_width, [(str(d), d, 0) for d in DEPTHS])
    text += ["", "## Three layers of given width, two examples", ""]
    text += table("width", ["sympy_written_out"], [(str(w), 3, w) for w in WIDTHS])
    text += ["", "## Documents, from the start of the command to the file", ""]
    text += documents()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "proof_time.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
