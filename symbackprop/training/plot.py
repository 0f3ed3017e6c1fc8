"""Plot: the learning curve of a run as a picture.

`save_learning_curve` draws the cost and the held-out score over the epochs, side by side, and marks the best epoch.
Imported only when a picture is wanted; needs the extra `[plot]`.
"""

from __future__ import annotations

import io
from pathlib import Path

from symbackprop.errors import DataError, UnsupportedError, nearest
from symbackprop.files import write_file
from symbackprop.training.loop import TrainingResult

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator, PercentFormatter
except ImportError:
    raise UnsupportedError("pictures need matplotlib", help="pip install 'symbackprop[plot]'") from None

INK, MUTED, GRID, COST, SCORE, HELD = "#1f2933", "#6b7785", "#e4e8ec", "#2463a8", "#c2571a", "#7a5195"
"""Colours: text, secondary text, grid lines, the curves (told apart by the colour-blind as well)."""

FORMATS = ("png", "svg", "pdf", "jpg")


def save_learning_curve(path: str | Path, result: TrainingResult, *, title: str = "Training") -> None:
    """Draw the learning curve of `result` into `path`, whose ending names the format.

    Args:
        path: a .png, .svg, .pdf or .jpg file; one that exists is replaced.
        result: a run with at least one epoch.
        title: the heading, such as "digits, 64-30-10".

    Raises:
        DataError: unknown format, nothing to draw, or the file cannot be written.
    """
    ending = picture_format(path)
    if not result.history:
        raise DataError("there is no epoch to draw")
    figure = _figure(result, title)
    picture = io.BytesIO()
    # no date in the file: the same run gives the same bytes
    figure.savefig(picture, format=ending, dpi=150, metadata={"Date": None} if ending == "svg" else None)
    write_file(path, lambda stream: stream.write(picture.getbuffer()))


def picture_format(path: str | Path) -> str:
    """The format that the ending of `path` names.

    Raises:
        DataError: an ending that names none.
    """
    ending = Path(path).suffix.lower().lstrip(".")
    if ending not in FORMATS:
        meant = nearest(ending, FORMATS) or "png"
        raise DataError(
            "unknown picture format",
            where=str(path),
            evidence=["known: " + ", ".join(FORMATS)],
            help=f"name the file {Path(path).stem}.{meant}",
        )
    return ending


def _figure(result: TrainingResult, title: str) -> Figure:
    """The picture: cost, and beside it the score if rows were held out."""
    scored = result.history[0].held_out is not None
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.05)
    figure = Figure(figsize=(9.6, 4.0) if scored else (5.6, 4.0), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    figure.suptitle(title, x=0.016, ha="left", fontsize=13, fontweight="bold", color=INK)
    epochs = [record.epoch for record in result.history]
    costs = [record.cost for record in result.history]
    held = [(r.epoch, r.held_out_cost) for r in result.history if r.held_out_cost is not None]
    _curve(axes[0], epochs, costs, COST, "Cost" if held else "Training cost")
    if held:
        axes[0].plot(*zip(*held, strict=True), color=HELD, linewidth=1.8, linestyle=(0, (4, 2)), zorder=2)
        _name_curves(axes[0], epochs, costs, [cost for _, cost in held])
        costs = [*costs, *(cost for _, cost in held)]
    if min(costs) > 0 and max(costs) > 20 * min(costs):
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_formatter("{x:g}")
    if scored:
        scores = [record.held_out or 0.0 for record in result.history]
        name = "accuracy" if result.metric == "accuracy" else "R²"
        _curve(axes[1], epochs, scores, SCORE, f"Held-out {name} ({result.held_out_rows} examples)")
        _score_axis(axes[1], scores, result.metric)
    if result.best is not None:
        _mark_best(axes, result)
    return figure


def _curve(axes: Axes, epochs: list[int], values: list[float], colour: str, heading: str) -> None:
    """One curve in quiet surroundings: the numbers stand out, the frame does not."""
    marker = "o" if len(epochs) <= 40 else ""
    axes.plot(epochs, values, color=colour, linewidth=1.8, marker=marker, markersize=3.2, zorder=3)
    axes.set_title(heading, loc="left", fontsize=10.5, color=INK, pad=10)
    axes.set_xlabel("epoch", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.margins(x=0.03, y=0.1)
    axes.grid(axis="y", color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=MUTED, length=0, labelsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def _name_curves(axes: Axes, epochs: list[int], costs: list[float], held: list[float]) -> None:
    """The names of the two costs at their ends, the higher one's above its curve."""
    above = held[-1] >= costs[-1]
    for name, value, colour, up in (("training", costs[-1], COST, not above), ("held-out", held[-1], HELD, above)):
        axes.annotate(
            name,
            (epochs[-1], value),
            xytext=(0, 8 if up else -13),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=colour,
        )


def _score_axis(axes: Axes, scores: list[float], metric: str) -> None:
    """The score's scale: the first epochs may be poor, but the end must be readable."""
    if metric == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    # a start far below the rest is cut off, as the half of the epochs that matter would be one flat line
    middle, top = sorted(scores)[len(scores) // 2], max(scores)
    floor = max(min(scores), top - max(6 * (top - middle), 0.1))
    room = 0.12 * (top - floor) or 0.01
    axes.set_ylim(floor - room, top + 2 * room)


def _mark_best(axes: list[Axes], result: TrainingResult) -> None:
    """A thin line at the kept epoch, and its figures."""
    assert result.best is not None, "only called for a run with a best epoch"
    best = result.best
    for each in axes:
        each.axvline(best.epoch, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
    value = f"cost {best.cost:.4g}"
    last, height = axes[-1], best.cost
    if best.held_out is not None:
        value, height = (
            (f"{best.held_out:.1%}" if result.metric == "accuracy" else f"{best.held_out:.3f}"),
            best.held_out,
        )
    # a cost falls towards its best, so the words are free below it; a score rises, so they are free above
    below = best.held_out is None
    left = best.epoch > 0.5 * len(result.history)
    last.annotate(
        f"best: {value} (epoch {best.epoch})",
        (best.epoch, height),
        xytext=(-8 if left else 8, -14 if below else 9),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=9,
        color=INK,
    )
    last.plot([best.epoch], [height], "o", color=COST if below else SCORE, markersize=7, zorder=4)
