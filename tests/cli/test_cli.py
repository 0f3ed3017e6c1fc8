"""The command line: what each sub-command prints and writes, its exit status, and one message for each mistake."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from symbackprop.cli import main
from symbackprop.training.storage import load_model, save_model

RIGHT = "delta2[n,i] = sum(j, W2[j,i]*delta3[n,j]) * f_prime(z2[n,i])"
WRONG = "delta3[n,k] = a3[n,k] - y[n,k]"
LAYER = """
import numpy as np

SHAPES = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}
print("a user's print")

def forward(x, w, b):
    return x @ w + b

def backward(dout, x, w, b):
    return {"x": dout @ w.T, "w": x.T @ dout, "b": BIAS}
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty folder: status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return run


def spawn(*arguments, folder):
    """The command line as a process of its own."""
    command = [sys.executable, "-m", "symbackprop", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# prove, verify, check


def test_prove_prints_the_theorems(run):
    status, out, _ = run("prove", "--layers", "3,5,5,4", "--activation", "sigmoid", "--cost", "cross-entropy")
    assert status == 0
    assert out.startswith("PROVED  Gradients of")
    assert "  delta3[n,i] = sum(j, W3[j,i]*delta4[n,j])*sigmoid_prime(z3[n,i])\n" in out


@pytest.mark.parametrize("ending", ["tex", "html", "md"])
def test_prove_writes_the_document(run, tmp_path, ending):
    status, out, _ = run(
        "prove", "--layers", "s_1,s_2,K", "--l2", "lambda/(2*m)", "-o", f"proof.{ending}", "--detail", "brief"
    )
    assert status == 0
    assert out.endswith(f"wrote proof.{ending}\n")
    assert (tmp_path / f"proof.{ending}").stat().st_size > 1000


def test_prove_takes_any_depth_as_json(run):
    status, out, _ = run("prove", "--depth", "L", "--reduction", "sum", "--activation", "tanh,sigmoid", "--json")
    proof = json.loads(out)
    assert (status, proof["status"], proof["files"]) == (0, "PROVED", [])
    assert {theorem["status"] for theorem in proof["theorems"]} == {"PROVED"}


def test_verify_exits_with_0_when_all_are_proved(run):
    status, out, _ = run("verify", "--layers", "3,5,4", RIGHT, "delta3[n,k] = (a3[n,k] - y[n,k])/m")
    assert status == 0
    assert out.splitlines()[-1] == "2 proved, 0 refuted, 0 undecided, 0 malformed"


def test_verify_counts_verdicts_of_each_kind(run):
    status, out, _ = run("verify", "--layers", "3,5,4", RIGHT, WRONG, "delta3[n,k] = (")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == [
        "PROVED",
        "REFUTED",
        "MALFORMED",
        "1",
    ]
    assert out.splitlines()[-1] == "1 proved, 1 refuted, 0 undecided, 1 malformed"


def test_verify_as_json_holds_counterexample_and_cure(run):
    status, out, _ = run("verify", "--layers", "3,5,4", WRONG, "--json")
    answer = json.loads(out)
    verdict = answer["verdicts"][0]
    assert (status, answer["status"], answer["counts"]["REFUTED"]) == (1, "REFUTED", 1)
    assert verdict["cure"] == "delta3[n,k] = (a3[n,k] - y[n,k])/m"
    assert verdict["counterexample"]["entry"]["claimed"] != verdict["counterexample"]["entry"]["correct"]


@pytest.mark.parametrize(("bias", "expected"), [("dout.sum(axis=0)", "PROVED"), ("dout[0]", "REFUTED")])
def test_check_runs_the_users_file(run, tmp_path, bias, expected):
    (tmp_path / "layer.py").write_text(LAYER.replace("BIAS", bias))
    status, out, err = run("check", "layer.py", "--json")
    answer = json.loads(out)
    assert (status, answer["status"]) == (0 if expected == "PROVED" else 1, expected)
    assert err == "a user's print\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "error: the file does not define forward, backward, SHAPES\n"),
        ("import numpy\n1/0\n", "  line 2:  ZeroDivisionError: division by zero\n"),
        ("def f(:\n", "  line 1:  invalid syntax\n"),
        ("raise SystemExit(0)\n", "  line 1:  SystemExit: 0\n"),
        (LAYER + "WHERE = 3\n", "error: WHERE must be a text, not int\n"),
    ],
)
def test_check_names_what_is_wrong_with_the_file(run, tmp_path, text, message):
    (tmp_path / "layer.py").write_text(text)
    status, _, err = run("check", "layer.py")
    assert status == 2
    assert message in err


# train, export, demo


def test_train_saves_model_and_curve(run, tmp_path):
    pytest.importorskip("matplotlib")
    status, out, _ = run("train", "--layers", "64,10", "--epochs", 3, "--save", "m.npz", "--plot", "c.png")
    assert status == 0
    assert "64-10, cross_entropy, adam: 3 epochs" in out
    params, description = load_model(tmp_path / "m.npz", layers=[64, 10])
    assert params["W1"].shape == (10, 64)
    assert (description["activation"], description["data"]) == ("sigmoid", "digits")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


def test_train_reaches_95_percent_by_default(run):
    status, out, _ = run("train", "--data", "digits", "--layers", "64,30,10", "--cost", "cross-entropy", "--json")
    story = json.loads(out)
    assert status == 0
    assert story["best"]["held_out"] >= 0.95
    assert story["held_out_rows"] == 359


def test_train_with_the_same_seed_gives_the_same_numbers(run, tmp_path):
    options = (
        "--layers",
        "64,8,10",
        "--epochs",
        2,
        "--seed",
        5,
        "--optimizer",
        "momentum",
        "--l2",
        "lambda/2",
        "--lam",
        "1e-3",
    )
    for name in ("a.npz", "b.npz"):
        assert run("train", *options, "--save", name)[0] == 0
    first, second = (load_model(tmp_path / name)[0] for name in ("a.npz", "b.npz"))
    assert all((first[name] == second[name]).all() for name in first)


def test_train_goes_on_from_a_checkpoint_to_the_same_numbers(run, tmp_path):
    options = ("--layers", "64,8,10", "--schedule", "constant")
    run("train", *options, "--epochs", 4, "--save", "whole.npz")
    run("train", *options, "--epochs", 2, "--checkpoint", "c.npz")
    assert run("train", *options, "--epochs", 4, "--checkpoint", "c.npz", "--resume", "--save", "parts.npz")[0] == 0
    whole, parts = (load_model(tmp_path / name)[0] for name in ("whole.npz", "parts.npz"))
    assert all((whole[name] == parts[name]).all() for name in whole)


@pytest.mark.parametrize(
    "change", [("--activation", "tanh,sigmoid"), ("--l2", "0.1"), ("--dtype", "float32"), ("--cost", "squared-error")]
)
def test_train_does_not_resume_another_network(run, change):
    options = ("--layers", "64,8,10", "--schedule", "constant", "--checkpoint", "c.npz")
    assert run("train", *options, "--epochs", 1)[0] == 0
    status, out, err = run("train", *options, "--epochs", 2, "--resume", *change)
    assert (status, out) == (2, "")
    assert err.startswith("error: the checkpoint is of a run with other settings, so it cannot go on to the same")
    assert "generated code: " in err
    assert run("train", *options, "--epochs", 2, "--resume")[0] == 0


def test_train_does_not_start_from_a_model_of_other_activations(run):
    assert run("train", "--layers", "64,8,10", "--epochs", 1, "--save", "m.npz")[0] == 0
    status, _, err = run("train", "--layers", "64,8,10", "--activation", "tanh,sigmoid", "--initial", "m.npz")
    assert status == 2
    assert err.startswith("error: the model was trained with other activations")
    assert run("train", "--layers", "64,8,10", "--epochs", 1, "--cost", "squared-error", "--initial", "m.npz")[0] == 0


@pytest.mark.parametrize(
    "files", [("--save", "d.npz"), ("--checkpoint", "./d.npz"), ("--save", "m.npz", "--checkpoint", "m.npz")]
)
def test_train_replaces_no_file_that_it_reads_or_writes_already(run, tmp_path, files):
    np.savez(tmp_path / "d.npz", X=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    before = (tmp_path / "d.npz").read_bytes()
    status, _, err = run("train", "--data", "d.npz", "--layers", "3,4,2", "--epochs", 1, *files)
    assert status == 2
    assert err.startswith("error: one file for two ends: what is there would be lost")
    assert (tmp_path / "d.npz").read_bytes() == before


def test_train_may_save_under_the_name_of_the_bundled_data(run, tmp_path):
    assert run("train", "--layers", "64,10", "--epochs", 1, "--save", "digits")[0] == 0
    assert list(tmp_path.iterdir())


def test_train_refuses_a_hyper_parameter_that_is_an_argument_of_the_code(run):
    status, _, err = run("train", "--layers", "64,10", "--l2", "rate/2", "--hyper", "rate=0.1", "--epochs", 1)
    assert status == 2
    assert err.startswith("error: a hyper-parameter cannot be called rate")


def test_train_takes_pi_for_the_number(run):
    assert run("train", "--layers", "64,10", "--l2", "pi/1000", "--epochs", 1)[0] == 0


def test_train_says_what_m_is_in_a_minibatch(run):
    _, out, _ = run("train", "--layers", "64,10", "--epochs", 1, "--l2", "lambda/(2*m)", "--lam", "0.1")
    assert out.endswith(
        "note: m is the 32 rows of a minibatch, so lambda/m is 44.9 times what it is over all 1438 rows\n"
    )


def test_train_fits_numbers_from_a_table(run, tmp_path):
    x = np.linspace(-1, 1, 60)
    np.savetxt(tmp_path / "line.csv", np.column_stack([x, 2 * x + 1]), delimiter=",")
    options = ("--layers", "1,1", "--activation", "identity", "--cost", "squared-error", "--optimizer", "lbfgs")
    status, out, _ = run("train", "--data", "line.csv", "--regression", *options)
    assert status == 0
    assert "held-out R2 1.0000" in out


def test_export_writes_a_module_that_runs_alone(run, tmp_path):
    status, out, _ = run(
        "export", "--layers", "4,3,2", "--cost", "cross-entropy", "--backend", "numpy", "-o", "gradient.py"
    )
    assert status == 0
    assert out.startswith("wrote gradient.py: ")
    module = runpy.run_path(str(tmp_path / "gradient.py"))
    random = np.random.default_rng(0)
    W1, b1, W2, b2 = random.normal(size=(3, 4)), np.zeros(3), random.normal(size=(2, 3)), np.zeros(2)
    x, y = random.normal(size=(5, 4)), np.eye(2)[[0, 1, 1, 0, 1]]
    step = np.zeros_like(W1)
    step[1, 2] = 1e-6
    above, below = (module["cost"](x, y, W, b1, W2, b2) for W in (W1 + step, W1 - step))
    gradient = module["gradient"](x, y, W1, b1, W2, b2)[0]
    assert np.isclose(gradient[1, 2], (above - below) / 2e-6, rtol=1e-6)


def test_demo_does_the_main_job(run, tmp_path):
    pytest.importorskip("matplotlib")
    status, out, _ = run("demo", "-o", "demo")
    assert status == 0
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        "any_depth.html",
        "any_depth.tex",
        "curve.png",
        "gradient.py",
        "model.npz",
        "proof.html",
        "proof.tex",
    }
    assert out.count("\nREFUTED") == 2
    assert out.count("\nPROVED") == 4


def test_version_is_printed(run):
    assert run("--version")[1] == "symbackprop 0.1.0\n"


# Mistakes: one message, status 2, no traceback, no file.

NETWORK = [
    (["--layers", "3,0,4"], "error: layer 2 has 0 units\n"),
    (["--layers", "3,-1,2"], "error: layer 2 has -1 units\n"),
    (["--layers", "3"], "error: a network has at least two layers, input and output\n"),
    (["--layers", "a b"], "error: the width of layer 1, 'a b', is neither a whole number nor a name\n"),
    (["--layers", "3,,4"], "error: the width of layer 2 is missing\n"),
    (["--layers", "3,1000000000,4"], "error: layer 2 has 1000000000 units, more than 100000000\n"),
    (["--layers", "3,4", "--activation", "sigmod"], "help: did you mean 'sigmoid'\n"),
    (["--layers", "3,4", "--cost", "cross-entrpy"], "help: did you mean 'cross_entropy'\n"),
    (["--layers", "3,5,4", "--activation", "softmax,sigmoid"], "error: softmax in hidden layer 2 is not supported\n"),
    (["--layers", "3,5,4", "--activation", "tanh,tanh,tanh"], "error: 3 activations for 2 layers after the input\n"),
    (["--layers", "3,4", "--l2", "__import__('os').system('touch pwned')"], "error: only numbers, names"),
    (["--layers", "3,4", "--activation", "__import__('os').system('touch pwned')"], "error: an activation is"),
    (["--layers", "3,4", "--l2", "lambda/(2*"], "error: "),
]


@pytest.mark.parametrize(("options", "message"), NETWORK)
@pytest.mark.parametrize("command", ["prove", "train", "export"])
def test_network_mistake_is_one_message(run, tmp_path, command, options, message):
    output = {"prove": ["-o", "p.tex"], "train": ["--save", "m.npz"], "export": ["-o", "g.py"]}[command]
    status, out, err = run(command, *options, *output)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("error:") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def write_data(folder):
    """Files with one mistake each."""
    X, y = np.arange(24.0).reshape(8, 3) / 24, np.arange(8) % 2
    for name, arrays in {
        "rows": {"X": X, "y": y[:7]},
        "range": {"X": X, "y": y + 1},
        "nan": {"X": np.where(X[2, 1] == X, np.nan, X), "y": y},
        "inf": {"X": np.where(X[2, 1] == X, np.inf, X), "y": y},
        "one": {"X": X, "y": 0 * y},
    }.items():
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "empty.csv").write_text("")
    (folder / "words.csv").write_text("1,2,3,0\n4,five,6,1\n")
    save_model(folder / "other.npz", {"W1": np.zeros((2, 4)), "b1": np.zeros(2)}, {})
    (folder / "noise.npz").write_bytes(b"no archive")


TRAINING = [
    (["--data", "rows.npz"], "error: X and Y have different numbers of rows\n"),
    (["--data", "range.npz"], "error: label out of range in row 2\n"),
    (["--data", "nan.npz"], "error: X holds NaN (no number) in row 3, column 2\n"),
    (["--data", "inf.npz"], "error: X holds infinity in row 3, column 2\n"),
    (["--data", "one.npz"], "error: the labels hold one class only, so there is nothing to learn\n"),
    (["--data", "empty.csv"], "error: the file is empty\n"),
    (["--data", "words.csv"], "words.csv"),
    (["--data", "missing.csv"], "error: cannot read the file: no such file or directory\n"),
    (["--data", "noise.npz"], "error: a data set is an .npz file, and this is none, or one that was cut off\n"),
    (["--data", "."], "error: a data set in a folder needs X.npy and one of y.npy (labels) and Y.npy (one-hot)\n"),
    (["--layers", "64,10", "--initial", "other.npz"], "error: the file is of another network\n"),
    (["--layers", "63,10"], "error: the data set does not fit the network's input layer\n"),
    (["--layers", "s_1,10"], "error: the width of layer 1 is the symbol s_1\n"),
    (["--layers", "64,90000000,10"], "too many to train here\n"),
    (["--layers", "64,10", "--save", "words.csv/model.npz"], "error: cannot write the file: there is no such folder\n"),
    (["--layers", "64,10", "--plot", "nowhere/curve.png"], "error: cannot write the file: there is no such folder\n"),
    (["--layers", "64,10", "--epochs", "0"], "  epochs = 0, but it must be at least 1\n"),
    (["--layers", "64,10", "--learning-rate", "-1"], "  learning_rate = -1.0, but it must be a positive number\n"),
    (["--layers", "64,10", "--batch-size", "0"], "  batch_size = 0, but it must be at least 1\n"),
    (["--layers", "64,10", "--holdout", "1"], "error: the share to hold out is not between 0 and 1\n"),
    (["--layers", "64,10", "--optimizer", "adm"], "help: did you mean adam?\n"),
    (["--layers", "64,10", "--backend", "nump"], "help: did you mean 'numpy'?\n"),
    (["--layers", "64,10", "--resume"], "error: resume needs a checkpoint to go on from\n"),
    (["--layers", "64,10", "--l2", "lambda/2"], "error: the cost needs a number for lam\n"),
    (["--layers", "64,10", "--lam", "1"], "error: the cost has no lam\n"),
    (
        ["--layers", "64,10", "--l2", "mu/2", "--hyper", "mu"],
        "error: a number of the cost is written NAME=NUMBER, once for each\n",
    ),
    (["--layers", "64,10", "--seed", "-1"], "error: the seed must be at least 0, not -1\n"),
    (
        ["--layers", "64,9,10", "--activation", "relu"],
        "error: cross-entropy needs outputs between 0 and 1, but those of",
    ),
    (["--layers", "64,9,10", "--activation", "tanh"], "help: let the last layer be sigmoid: --activation tanh,sigmoid"),
    (["--layers", "64,10", "--regression"], "error: cross-entropy is a cost of classes, not of numbers\n"),
]


@pytest.mark.parametrize(("options", "message"), TRAINING)
def test_training_mistake_is_one_message(run, tmp_path, options, message):
    write_data(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    options = options if "--layers" in options else [*options, "--layers", "3,2"]
    status, out, err = run("train", "--save", "model.npz", *options)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("error:") == 1
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["prove"], "error: give either --layers or --depth\n"),
        (["prove", "--layers", "3,4", "--depth", "L"], "error: give either --layers or --depth\n"),
        (["prove", "--depth", "3 4"], "error: the depth must be the name of a symbol"),
        (["prove", "--layers", "3,4", "-o", "proof.doc"], "error: no document format for the ending '.doc'\n"),
        (["prove", "--layers", "3,4", "-o", "."], "error: the file to write is a folder\n"),
        (["prove", "--layers", "3,4", "-o", "p.tex", "--notation", "greek"], "error: unknown notation 'greek'\n"),
        (
            ["export", "--layers", "3,4", "-o", "nowhere/g.py"],
            "error: cannot write the file: there is no such folder\n",
        ),
        (["export", "--layers", "3,4", "--activation", "f"], "error: "),
        (["check", "nothing.py"], "error: there is no such file\n"),
        (["demo", "-o", "file/demo"], "error: cannot make the folder: not a directory\n"),
    ],
)
def test_other_mistake_is_one_message(run, tmp_path, command, message):
    (tmp_path / "file").write_text("")
    status, out, err = run(*command)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("error:") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "command", [["prove", "--layer", "3,4"], ["prov"], ["train", "--layers", "3,4", "--epochs", "many"], ["verify"]]
)
def test_unknown_option_exits_with_2(run, command):
    status, out, err = run(*command)
    assert (status, out) == (2, "")
    assert "Error" in err
    assert "Traceback" not in err


def test_verify_writes_a_document_for_each_claim(run, tmp_path):
    command = ["verify", "--layers", "3,5,4", RIGHT, WRONG]
    status, out, _ = run(*command, "-o", "right.html", "-o", "wrong.md")
    assert status == 1
    assert "wrote right.html\nwrote wrong.md\n1 proved, 1 refuted" in out
    assert "REFUTED" in (tmp_path / "wrong.md").read_text() and "PROVED" in (tmp_path / "right.html").read_text()
    status, out, err = run(*command, "-o", "one.html")
    assert (status, out) == (2, "")
    assert err == "error: 2 claims, but 1 files for their documents\nhelp: give one --output for each claim\n"


def test_verify_keeps_to_its_seconds(run):
    status, out, _ = run("verify", "--layers", "3,5,4", RIGHT, "--seconds", "30")
    assert status == 0 and out.startswith("PROVED")
    assert run("verify", "--layers", "3,5,4", RIGHT, "--seconds", "0")[0] == 2


def test_check_writes_a_document(run, tmp_path):
    (tmp_path / "layer.py").write_text(LAYER.replace("BIAS", "dout.sum(axis=0)"))
    assert run("check", "layer.py", "-o", "verdict.html", "-o", "verdict.tex", "--seconds", "60")[0] == 0
    assert (tmp_path / "verdict.html").exists() and (tmp_path / "verdict.tex").exists()


# Ctrl-C


def wait_for(path, process, seconds=120.0):
    """Wait until the process has written a file."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, f"no {path.name} after {seconds} seconds"
        time.sleep(0.02)


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send")
def test_interrupted_training_keeps_the_best_model(tmp_path):
    options = ("--layers", "64,20,10", "--epochs", 100000, "--schedule", "constant")
    process = spawn("train", *options, "--save", "m.npz", "--checkpoint", "c.npz", folder=tmp_path)
    wait_for(tmp_path / "c.npz", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith("error: interrupted in epoch ")
    assert err.endswith("; the best model so far is in m.npz\n")
    assert "wrote m.npz\n" in out
    assert load_model(tmp_path / "m.npz", layers=[64, 20, 10])[0]
    assert {path.name for path in tmp_path.iterdir()} == {"m.npz", "c.npz"}


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send")
def test_interrupted_check_exits_with_130_and_no_traceback(tmp_path):
    sleep = "import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(60)\n"
    (tmp_path / "slow.py").write_text(sleep)
    process = spawn("check", "slow.py", folder=tmp_path)
    wait_for(tmp_path / "started", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "error: interrupted\n")


def test_prove_loads_neither_training_nor_pictures(tmp_path):
    program = (
        "import sys\nfrom symbackprop.cli import main\n"
        "try: main(['prove', '--layers', '3,4', '-o', 'p.tex'])\nexcept SystemExit: pass\n"
        "heavy = {'symbackprop.training.loop', 'matplotlib', 'scipy'}\nprint('heavy:', sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.endswith("heavy: []\n")
