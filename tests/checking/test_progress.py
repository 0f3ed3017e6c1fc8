"""How far a check has come: what is told to an observer, and where time ends it."""

import _thread

import numpy as np
import pytest
from rich.console import Console

import symbackprop as sb
from symbackprop.checking import decide
from symbackprop.checking.budget import SHARES, Budget, Share
from symbackprop.checking.check import Case, judged
from symbackprop.checking.progress import Progress, report, watched
from symbackprop.cli import main
from symbackprop.cli.bar import CheckBar
from symbackprop.expression.shown import enumerated


def deep(depth):
    """Residual tanh layers that share their weights."""

    def forward(x, W):
        for _ in range(depth):
            x = x + np.tanh(x @ W)
        return x

    def backward(dout, x, W):
        values, slopes = [x], []
        for _ in range(depth):
            h = np.tanh(values[-1] @ W)
            slopes.append(1 - h * h)
            values.append(values[-1] + h)
        dW, d = np.zeros_like(W), dout
        for k in reversed(range(depth)):
            dz = d * slopes[k]
            dW = dW + values[k].T @ dz
            d = d + dz @ W.T
        return {"x": d, "W": dW}

    return forward, backward


SHAPES = {"x": ("N", "D"), "W": ("D", "D")}


def test_an_observer_sees_the_stages_and_how_far_they_are():
    seen = []
    assert sb.check(*deep(8), shapes=SHAPES, observer=lambda *told: seen.append(told))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages[:3] == ["equations traced", "NumPy's results compared", "lines compared"]
    lines = [(done, total) for stage, done, total in seen if stage == "lines compared"]
    assert [done for done, _ in lines] == list(range(lines[0][1])) and len({total for _, total in lines}) == 1


def test_where_time_ends_it_what_was_done_is_told():
    verdict = sb.check(*deep(300), shapes=SHAPES, seconds=0.5)
    assert verdict.status == "UNDECIDED"
    assert "by then: equations traced" in verdict.reason or "ran for more than" in verdict.reason


def test_a_search_for_the_cause_that_does_not_end_leaves_the_refutation(monkeypatch):
    def endless(*_):
        while True:
            pass

    monkeypatch.setattr(decide, "diagnoses", endless)
    monkeypatch.setattr(decide, "BEYOND", 0.0)
    monkeypatch.setitem(SHARES, "cause", Share(0.1))
    verdict = sb.check(lambda x: np.tanh(x).sum(), lambda x: np.tanh(x), shapes={"x": ("N",)})
    assert verdict.status == "REFUTED" and verdict.wrong == ("x",) and not verdict.diagnosis


def test_ctrl_c_ends_it_and_tells_what_was_shown():
    def interrupt(stage, done, total):
        if stage == "lines compared" and done == total - 1:
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt) as stop:
        sb.check(*deep(40), shapes=SHAPES, observer=interrupt)
    assert str(stop.value).startswith("gradients of forward: interrupted; by then: equations traced, NumPy's results")
    assert "lines compared" in str(stop.value)


def test_what_the_walk_has_met_is_told_on_request():
    seen = []
    with watched(Progress(lambda stage, done, total: seen.append(progress.so_far))) as progress:
        judged(Case(*deep(12), SHAPES, {}, None), Budget.of(60))
    told = [text for text in seen if "shown to be right" in text]
    assert "not replayed" not in seen[0] and told[-1].endswith("shown to be right: x, W")


def test_command_says_so_and_leaves_with_130(tmp_path, monkeypatch, capsys):
    def check(*_, **__):
        raise KeyboardInterrupt("gradients of forward: interrupted; by then: equations traced")

    (tmp_path / "layer.py").write_text("SHAPES = {'x': ('N',)}\ndef forward(x): return x\nbackward = forward\n")
    monkeypatch.setattr(sb.api, "check", check)
    with pytest.raises(SystemExit) as end:
        main(["check", str(tmp_path / "layer.py")])
    told = "gradients of forward: interrupted; by then: equations traced\nerror: interrupted\n"
    assert (end.value.code, capsys.readouterr().err) == (130, told)


def test_reports_without_anybody_who_watches_are_lost():
    report("a stage", 1, 2)
    with watched(Progress()) as progress:
        report("a stage", 1, 2)
        report("another")
    report("a third")
    assert progress.so_far == "a stage (1 of 2), another"


def test_a_bar_is_drawn_on_a_terminal_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("symbackprop.cli.bar.PATIENCE", 0)
    for terminal in (True, False):
        path = tmp_path / str(terminal)
        with path.open("w") as file, CheckBar(Console(file=file, force_terminal=terminal)) as bar:
            bar("lines compared", 3, 7)
        shown = path.read_text()
        assert ("lines compared" in shown and "3/7" in shown) if terminal else not shown


def test_names_that_differ_by_a_number_are_enumerated():
    assert enumerated(["W0", "b0", "x"]) == "W0, b0, x"
    names = [f"{n}{k}" for k in range(20) for n in ("W", "b")]
    assert enumerated([*names, "x"]) == "W0 to W19, b0 to b19, x"
    assert enumerated([n for n in names if n != "W7"]) == "W0 to W6, W8 to W19, b0 to b19"
    assert enumerated([f"{chr(97 + k)}_{k}" for k in range(14)]).endswith("l_11, and 2 more")
