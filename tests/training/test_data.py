"""Data sets from files and arrays, and every way in which they can be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbackprop.errors import DataError
from symbackprop.training.data import classification, load, load_csv, load_digits, load_npz, regression, split

GOOD_X, GOOD_Y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 1, 0])


def message(call, *arguments, **options):
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def csv(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return write


# what is read


def test_load_digits_is_the_uci_test_set():
    data = load_digits()
    assert data.X.shape == (1797, 64) and data.Y.shape == (1797, 10) and data.X.dtype == np.float64
    assert data.X.min() == 0 and data.X.max() == 1
    assert data.Y.sum(axis=0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.classes == tuple(range(10)) and load("digits").name == "digits"


def test_load_digits_equals_scikit_learns():
    other = pytest.importorskip("sklearn.datasets").load_digits()
    data = load_digits()
    assert (other.data == data.X * 16).all() and (data.labels == other.target).all()


def test_load_npz_takes_labels_or_one_hot_rows(npz):
    from_labels = load_npz(npz(X=GOOD_X.astype(np.float32), y=GOOD_Y.astype(np.uint8)))
    from_rows = load_npz(npz(X=GOOD_X, Y=np.eye(2)[GOOD_Y]))
    assert (from_labels.Y == from_rows.Y).all() and from_labels.Y.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    assert from_labels.X.dtype == np.float64


def test_load_npz_with_one_output_unit_gives_a_column(npz):
    assert load_npz(npz(X=GOOD_X, y=GOOD_Y), outputs=1).Y.tolist() == [[0], [1], [1], [0]]


def test_load_npz_regression_keeps_targets(npz):
    data = load(npz(X=GOOD_X, y=GOOD_Y + 0.5), regression=True)
    assert data.Y.tolist() == [[0.5], [1.5], [1.5], [0.5]] and data.classes == ()


@pytest.mark.parametrize(
    "text",
    [
        "1,2,0\n3,4,1\n",
        "a,b,label\n1,2,0\n3,4,1\n",
        "\ufeffa;b;c\r\n1;2;0\r\n\r\n3;4;1",
        '"x","y","z"\n1,2,0\n\n3,4,1\n',
    ],
)
def test_load_csv_reads_header_separators_and_blank_lines(csv, text):
    data = load(csv(text))
    assert data.X.tolist() == [[1, 2], [3, 4]] and data.Y.tolist() == [[1, 0], [0, 1]]


def test_regression_leaves_a_memory_mapped_array_on_disk(tmp_path):
    np.save(tmp_path / "X.npy", GOOD_X)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.shares_memory(regression(X, GOOD_Y).X, X)


# what is refused


def test_load_refuses_what_is_not_there(tmp_path):
    path = tmp_path / "none.npz"
    assert message(load, path) == f"cannot read the file: no such file or directory\n    {path}"
    assert message(load, tmp_path / "a.xlsx").startswith("unknown kind of data set\n")
    assert message(load_csv, tmp_path) == f"a data set is a file, and this is a folder\n    {tmp_path}"


def test_load_refuses_an_empty_file(csv):
    path = csv("")
    assert message(load_csv, path) == message(load_npz, path) == f"the file is empty\n    {path}"


def test_load_csv_names_line_and_column_of_a_word(csv):
    path = csv("a,b,label\n1,2,0\n3,four,1\n")
    assert message(load_csv, path) == (
        f"line 3, column 2 is not a finite number: four\n    {path}\n"
        "help: write every cell but the label, which is last, as a number; only the first line may be a header"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,0\n3,4\n", "line 2 has 2 cells, the lines before it have 3"),
        ("1,2,0\n3,,1\n", "line 2, column 2 is empty"),
        ("1,2,0\n3,nan,1\n", "line 2, column 2 is not a finite number: nan"),
        ("1,2,0\n3,4,inf\n", "line 2, column 3 is not a finite number: inf"),
        ("a,1,b\n3,4,1\n", "line 1, column 1 is not a finite number: a"),
        ("a,b\n", "the file has no rows of numbers"),
        ("\n\n", "the file has no rows of numbers"),
        ("1\n2\n", "the table has a single column, but the inputs and the label need at least two"),
        (b"\xff\xfe\x00\x01\n", "the file is not a text table in this encoding"),
        ("1,2,0\n3,4,0.5\n", "the label in row 2 is not a whole number"),
        ("1,2,0\n3,4,-1\n", "label out of range in row 2"),
        ("1,2,1\n3,4,1\n", "the labels hold one class only, so there is nothing to learn"),
        ("1,2,0\n3,4,1e300\n", "the labels do not look like class numbers"),
    ],
)
def test_load_csv_refuses(csv, text, expected):
    assert message(load_csv, csv(text)).splitlines()[0] == expected


def test_load_npz_lists_what_is_there_when_arrays_are_missing(npz):
    path = npz(images=GOOD_X, y=GOOD_Y)
    assert message(load_npz, path) == (
        f"a data set needs the arrays X and one of y (labels) and Y (one-hot)\n    {path}\n"
        "  the file holds: images (4, 2), y (4,)"
    )


def test_load_npz_refuses_pickled_objects(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, X=np.array([{"run": "me"}], dtype=object), y=GOOD_Y, allow_pickle=True)
    assert message(load_npz, path).splitlines()[0] == (
        "array X holds Python objects, which would run code when they are loaded"
    )


def test_load_npz_refuses_what_is_no_npz(tmp_path, npz):
    path = tmp_path / "text.npz"
    path.write_text("hello")
    assert message(load_npz, path).startswith("a data set is an .npz file, and this is none, or one that was cut off")
    whole = npz(X=GOOD_X, y=GOOD_Y)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert message(load_npz, whole).startswith("a data set is an .npz file, and this is none, or one that was cut off")
    damaged = bytearray(content)
    damaged[150] ^= 0xFF
    whole.write_bytes(bytes(damaged))
    assert message(load_npz, whole).startswith("the .npz file is damaged")


@pytest.mark.parametrize(
    ("X", "y", "expected"),
    [
        (GOOD_X, GOOD_Y[:3], "X and Y have different numbers of rows\n    the data\n  X: 4 rows\n  Y: 3 rows"),
        (np.where(GOOD_X == 5, np.nan, GOOD_X), GOOD_Y, "X holds NaN (no number) in row 3, column 2"),
        (np.where(GOOD_X == 6, np.inf, GOOD_X), GOOD_Y, "X holds infinity in row 4, column 1"),
        (GOOD_X, np.array([0, 1, np.nan, 0]), "Y holds NaN (no number) in row 3, column 1"),
        (GOOD_X[0], GOOD_Y, "X is not a matrix\n    the data\n  shape: (2,)"),
        (
            np.zeros((4, 8, 8)),
            GOOD_Y,
            "X is not a matrix\n    the data\n  shape: (4, 8, 8)\nhelp: flatten each example: X.res",
        ),
        (np.zeros((0, 2)), GOOD_Y, "X is empty"),
        (GOOD_X.astype(str), GOOD_Y, "X does not hold real numbers"),
        (GOOD_X * 1j, GOOD_Y, "X does not hold real numbers"),
        ([[1, 2], [3]], GOOD_Y, "the rows of X have different lengths"),
        (GOOD_X, np.array([0, 1, 1, 0.5]), "the label in row 4 is not a whole number\n    the data\n  label: 0.5"),
        (GOOD_X, np.array([[1, 0], [1, 1], [0, 1], [1, 0]]), "row 2 of Y is not one-hot"),
        (GOOD_X, np.zeros(4), "the labels hold one class only, so there is nothing to learn"),
    ],
)
def test_classification_refuses(X, y, expected):
    assert message(classification, X, y).startswith(expected)


def test_classification_names_the_label_out_of_range():
    assert message(classification, GOOD_X, [0, 1, 3, 2], outputs=3, name="digits") == (
        "label out of range in row 3\n    digits\n  label:   3\n  classes: 0 to 2\n"
        "help: number the classes 0, 1, 2, ... and give the network one output unit for each"
    )


# splitting


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=60), st.sampled_from([0.0, 0.1, 0.2, 0.5]), st.integers(0, 9))
def test_split_divides_all_rows_and_keeps_shares(labels, holdout, seed):
    labels = [0, 1, *labels]
    data = classification(np.zeros((len(labels), 1)), labels, outputs=4)
    kept, held = split(data, holdout, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert len(held) == round(holdout * len(labels))
    for label in range(4):
        assert abs((data.labels[held] == label).sum() - holdout * labels.count(label)) < 1
    assert all((a == b).all() for a, b in zip(split(data, holdout, seed), (kept, held), strict=True))


def test_split_differs_by_seed():
    data = load_digits()
    assert (split(data, 0.2, 0)[1] != split(data, 0.2, 1)[1]).any()


@pytest.mark.parametrize("holdout", [-0.1, 1.0, float("nan")])
def test_split_refuses_share_out_of_range(holdout):
    assert message(split, load_digits(), holdout, 0).startswith("the share to hold out is not between 0 and 1")


def test_split_refuses_too_few_rows():
    assert message(split, regression([[0.0], [1.0]], [0.0, 1.0]), 0.2, 0).startswith("too few rows to hold some out")


def test_folder_with_npy_files_stays_on_disk(tmp_path):
    X, y = np.arange(12, dtype=np.float32).reshape(4, 3), np.array([0, 1, 1, 0])
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    data = load(tmp_path)
    assert isinstance(data.X.base, np.memmap) and data.X.dtype == np.float32 and data.name == tmp_path.name
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.labels, y)


def test_folder_with_faults_is_named(tmp_path):
    assert message(load, tmp_path).startswith("a data set in a folder needs X.npy and one of y.npy")
    np.save(tmp_path / "X.npy", np.full((4, 3), np.nan))
    (tmp_path / "y.npy").write_bytes(b"\x93NUMPY")
    assert "the file is no .npy file of numbers, or one that was cut off" in message(load, tmp_path)
    np.save(tmp_path / "y.npy", np.array([0, 1, 0, 1]))
    assert message(load, tmp_path).startswith("X holds NaN (no number) in row 1, column 1")
    np.save(tmp_path / "y.npy", np.array([object()]), allow_pickle=True)
    assert "the file is no .npy file of numbers" in message(load, tmp_path)
