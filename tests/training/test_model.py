"""Saved models: what they predict, and what can be wrong with the files they are given."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.cli import main
from symbackprop.errors import DataError, MalformedError
from symbackprop.training.csv_table import TableFormat, read_table
from symbackprop.training.data import classification, load_digits, regression, split, split_three
from symbackprop.training.model import load, scaling_of
from symbackprop.training.report import class_report
from symbackprop.training.storage import save_model

RANDOM = np.random.default_rng(5)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return run


def flowers(path, rows=90, delimiter=",", decimal="."):
    """Three kinds, told apart by two columns of very different scale."""
    kinds = np.arange(rows) % 3
    X = RANDOM.normal(size=(rows, 2)) * [0.2, 200] + np.array([[0, 0], [2, 1000], [-2, 3000]])[kinds]
    names = np.array(["iris", "rose", "tulip"])[kinds]
    lines = [
        delimiter.join([f"{a:.4f}".replace(".", decimal), f"{b:.2f}".replace(".", decimal), n])
        for (a, b), n in zip(X, names, strict=True)
    ]
    path.write_text(delimiter.join(["width", "height", "kind"]) + "\n" + "\n".join(lines) + "\n")
    return X, names


def test_words_are_learnt_and_predicted(run, tmp_path):
    X, names = flowers(tmp_path / "flowers.csv")
    options = ["--cost", "softmax-cross-entropy", "--standardize", "--test", "0.2", "--report"]
    status, out, err = run("train", "--data", "flowers.csv", "--layers", "2,8,3", *options, "--save", "m.npz")
    assert (status, err) == (0, "")
    assert "accuracy on the 18 test examples, which chose nothing: 100.0%" in out
    assert "tulip     100.0%  100.0%         6" in out
    model = sb.load("m.npz")
    assert model.classes == ("iris", "rose", "tulip")
    assert model.score(X, names) == 1.0 and (model.predict(X) == names).all()
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)
    assert repr(model) == "Model(2-8-3, 3 classes)"
    status, out, err = run("predict", "m.npz", "flowers.csv", "-o", "p.csv", "--report")
    assert (status, err) == (0, "") and "accuracy 100.0% on 90 rows with labels" in out
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == "prediction,p(iris),p(rose),p(tulip)" and [line.split(",")[0] for line in lines[1:]] == list(
        names
    )


def test_scaling_is_that_of_the_training_rows_alone(run, tmp_path):
    X, _ = flowers(tmp_path / "flowers.csv")
    run(
        "train",
        "--data",
        "flowers.csv",
        "--layers",
        "2,3",
        "--standardize",
        "--test",
        "0.3",
        "--epochs",
        1,
        "--save",
        "m.npz",
    )
    data = classification(np.round(X * [1e4, 1e2]) / [1e4, 1e2], np.arange(90) % 3)
    kept, _, _ = split_three(data, 0.2, 0.3, 0)
    assert np.allclose(load("m.npz").scaling.mean, data.X[kept].mean(axis=0), atol=1e-2)


def test_prediction_is_that_of_the_equations(run, tmp_path):
    """The oracle is the network written out in NumPy."""
    run(
        "train",
        "--layers",
        "64,7,10",
        "--activation",
        "tanh,sigmoid",
        "--epochs",
        3,
        "--standardize",
        "--save",
        "m.npz",
    )
    model, digits = load("m.npz"), load_digits()
    X = (digits.X - model.scaling.mean) / model.scaling.deviation
    p = model.params
    expected = 1 / (1 + np.exp(-(np.tanh(X @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"])))
    assert np.allclose(model.predict_proba(digits.X), expected)
    assert model.score(digits.X, digits.labels) == np.mean(np.argmax(expected, axis=1) == digits.labels)


def test_regression_and_one_unit_are_predicted(run, tmp_path):
    X = RANDOM.normal(size=(40, 2))
    np.savez(tmp_path / "r.npz", X=X, y=X @ [1.0, -2.0])
    run("train", "--data", "r.npz", "--layers", "2,1", "--activation", "identity", "--cost", "squared-error", "--regression", "--optimizer", "lbfgs", "--save", "r_model.npz")  # fmt: skip
    model = sb.load("r_model.npz")
    assert model.score(X, X @ [1.0, -2.0]) > 0.999 and np.allclose(model.predict(X), X @ [1.0, -2.0], atol=1e-2)
    with pytest.raises(MalformedError, match="numbers, not classes"):
        model.predict_proba(X)
    np.savez(tmp_path / "two.npz", X=X, y=np.where(X[:, 0] > 0, "yes", "no"))
    run("train", "--data", "two.npz", "--layers", "2,1", "--epochs", 200, "--save", "two_model.npz")
    assert set(sb.load("two_model.npz").predict(X)) == {"yes", "no"}
    assert run("predict", "two_model.npz", "two.npz")[1].startswith("prediction,p(no),p(yes)\n")


@pytest.mark.parametrize(
    "text, form, rows",
    [
        ("1;2,5;a\n3;4;b\n", TableFormat(decimal=","), [[1, 2.5], [3, 4]]),
        ("1\t2.5\ta\n\n3\t4\tb\n", TableFormat(), [[1, 2.5], [3, 4]]),
        ('x,y,"kind, if any"\n1,2.5,"a, or b"\n3,4,b\n', TableFormat(), [[1, 2.5], [3, 4]]),
        ("1,,a\n1,2,b\n3,NA,b\n3,4,b\n", TableFormat(missing="drop"), [[1, 2], [3, 4]]),
        ("1|2|a\n", TableFormat(delimiter="|"), [[1, 2]]),
        ("1_0,2,a\n", TableFormat(), [[10, 2]]),
        ("1,2,grün\n".encode("latin-1"), TableFormat(encoding="latin-1"), [[1, 2]]),
        ("1,2,grün\n".encode("utf-16"), TableFormat(encoding="utf-16"), [[1, 2]]),
    ],
)
def test_read_table_reads_what_it_is_told(text, form, rows, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    table = read_table(path, labels=True, form=form)
    assert table.numbers.tolist() == rows
    assert table.labels.dtype.kind == "U" and len(table.labels) == len(rows)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            b"1,2,0\n3,,1\n",
            "line 2, column 2 is empty\n    t.csv\nhelp: --missing drop leaves out lines with such a cell",
        ),
        (
            b"x,y,z\n1,2,0\n\n3,4,\n",
            "line 4, column 3 is empty\n    t.csv\nhelp: --missing drop leaves out lines with such a cell",
        ),
        (
            b"1;2,5;0\n3;4,5;1\n",
            "line 1, column 2 is not a finite number: 2,5\n    t.csv\nhelp: --decimal , reads a decimal comma",
        ),
        (
            b"1,2,0\n3,4,gr\xfcn\n",
            "the file is not a text table in this encoding\n    t.csv\n  encoding:  utf-8\n  line 2: byte 0xfc\nhelp: --encoding latin-1",
        ),
        (
            "1,2,0\n".encode("utf-16"),
            "the file is not a text table in this encoding\n    t.csv\n  encoding:  utf-8\n  line 1: byte 0xff\nhelp: --encoding utf-16",
        ),
        (b"1,2,0\n1,2\n", "line 2 has 2 cells, the lines before it have 3\n    t.csv\n  line 2: 1,2"),
        (b"a,b,c\n", "the file has no rows of numbers\n    t.csv"),
        (b"", "the file is empty\n    t.csv"),
    ],
)
def test_read_table_says_where_and_which_option(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(DataError) as error:
        read_table("t.csv", labels=True)
    assert str(error.value) == message


def test_predict_refuses_what_does_not_fit(run, tmp_path):
    flowers(tmp_path / "flowers.csv")
    run("train", "--data", "flowers.csv", "--layers", "2,3", "--epochs", 1, "--save", "m.npz")
    (tmp_path / "wide.csv").write_text("1,2,3,4,a\n")
    (tmp_path / "empty.csv").write_text("")
    np.savez(tmp_path / "other.npz", X=np.ones((3, 5)))
    np.savez(tmp_path / "no_x.npz", Z=np.ones((3, 5)))
    (tmp_path / "new.csv").write_text("1,2,lily\n")
    for data, message in (
        ("wide.csv", "the table has 5 columns, but the model has 2 inputs"),
        ("empty.csv", "the file is empty"),
        ("missing.csv", "no such file"),
        ("other.npz", "the inputs do not fit the model"),
        ("no_x.npz", "the file has no array X"),
        ("new.csv", "the label in row 1 is none of the model's classes"),
    ):
        status, _, err = run("predict", "m.npz", data, "-o", "p.csv")
        assert status == 2 and message in err and err.count("error:") == 1, (data, err)
    assert "the file is not a model of this version" in run("predict", "other.npz", "flowers.csv")[2]
    assert run("predict", "m.npz", "flowers.csv", "-o", "m.npz")[0] == 2  # would replace the model


def test_load_says_that_a_description_is_no_network(tmp_path):
    save_model(tmp_path / "m.npz", {"W1": np.ones((2, 2)), "b1": np.ones(2)}, {"by": "hand"})
    with pytest.raises(DataError, match="does not say which network"):
        load(tmp_path / "m.npz")


def test_split_three_shares_no_row_and_keeps_each_class():
    data = classification(np.zeros((100, 1)), np.arange(100) % 4)
    parts = split_three(data, 0.2, 0.3, seed=4)
    assert [len(rows) for rows in parts] == [50, 20, 30] or sum(map(len, parts)) == 100
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert all(np.ptp(np.bincount(data.labels[rows])) <= 1 for rows in parts)
    without = split_three(data, 0.2, 0.0, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(without, split(data, 0.2, 4), strict=False))
    with pytest.raises(DataError, match="leave no rows"):
        split_three(data, 0.5, 0.5, seed=0)


def test_class_report_counts():
    """The oracle counts one example at a time."""
    truth, predicted = RANDOM.integers(0, 3, 50), RANDOM.integers(0, 3, 50)
    report = class_report(truth, predicted, ("a", "b", "c"))
    for i in range(3):
        for k in range(3):
            assert report.confusion[i, k] == sum((t, p) == (i, k) for t, p in zip(truth, predicted, strict=True))
        assert report.recall[i] == np.mean(predicted[truth == i] == i)
        assert report.precision[i] == np.mean(truth[predicted == i] == i)
    assert report.accuracy == np.mean(truth == predicted)
    empty = class_report(np.array([0]), np.array([0]), ("a", "b"))
    assert "b              -       -         0" in str(empty) and empty.to_dict()["classes"][1]["recall"] is None


def test_constant_inputs_are_scaled_to_zero():
    assert scaling_of(np.full((3, 1), 7.0))(np.full((2, 1), 7.0)).tolist() == [[0.0], [0.0]]


def test_words_need_an_output_unit_each():
    with pytest.raises(DataError, match="the labels are 3 words, but the network has 4 classes"):
        classification(np.ones((3, 1)), np.array(["a", "b", "c"]), outputs=4)
    assert regression(np.ones((2, 1)), [1, 2]).classes == ()


def test_a_model_written_by_way_of_the_lowest_numpy_is_read(tmp_path):
    """NumPy 1.26 wrote an option of its own into the file, as one more array."""
    save_model(tmp_path / "m.npz", {"W1": np.ones((2, 2)), "b1": np.ones(2)}, {"layers": [2, 2]})
    with np.load(tmp_path / "m.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert "allow_pickle" not in arrays
    np.savez(tmp_path / "former.npz", **arrays, allow_pickle_=np.array(False))
    with zipfile.ZipFile(tmp_path / "former.npz") as old, zipfile.ZipFile(tmp_path / "renamed.npz", "w") as new:
        for name in old.namelist():
            new.writestr(name.replace("allow_pickle_", "allow_pickle"), old.read(name))
    assert load(tmp_path / "renamed.npz").network.widths == (2, 2)
