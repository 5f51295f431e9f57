"""Reading samples from files, and what is said about files that hold none."""

import io
import math
import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from rfdsm.data import load, standardise

TABLE = np.array([[1.5, -2.0, 3.0], [0.25, 1e-3, 7.0], [4.0, 5.0, -6e10]])


@pytest.fixture
def write(tmp_path):
    def writer(content, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return writer


@pytest.fixture
def save(tmp_path):
    def saver(array, name="rows.npy", **options):
        path = tmp_path / name
        with path.open("wb") as file:
            np.save(file, array, **options)
        return path

    return saver


def test_digits():
    rows = load("digits")
    assert rows.shape == (1797, 64)
    assert rows.dtype == np.float64
    assert rows.max() == 16


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r"needs scikit-learn: pip install 'rfdsm\[data\]'"):
        load("digits")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int64", "bool", ">f8"])
def test_npy_of_any_real_type(save, dtype):
    array = np.array([[0, 1, 1], [1, 0, 0]]).astype(dtype)
    rows = load(save(array))
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, array)


def test_npy_images_are_flattened(save):
    images = np.arange(4 * 3 * 2 * 5, dtype=np.uint8).reshape(4, 3, 2, 5)
    np.testing.assert_array_equal(load(save(images, "images.NPY")), images.reshape(4, 30))
    np.testing.assert_array_equal(load(str(save(np.asfortranarray(TABLE)))), TABLE)


CSV = {
    "plain": "1.5,-2,3\n.25,1e-3,7\n4,5,-6e10\n",
    "semicolons": "1.5;-2;3\n.25;1e-3;7\n4;5;-6e10",
    "header": "a,b,c\n1.5,-2,3\n.25,1e-3,7\n4,5,-6e10\n",
    "quotes": '"x, y";"b";"c"\n"1.5";"-2";3\n.25;1e-3;7\n4;5;-6e10\n',
    "byte order mark and header": "\ufeffa,b,c\r\n1.5,-2,3\r\n.25,1e-3,7\r\n4,5,-6e10\r\n",
    "decimal commas": "1,5;-2;3\n0,25;1e-3;7\n4;5;-6e10\n",
    "tabs": "1.5\t-2\t3\n.25\t1e-3\t7\n4\t5\t-6e10\n",
    "blanks": "  1.5   -2 3\n .25 1e-3   7\n   4    5 -6e10\n",
    "blanks, header and decimal commas": "a  b c\n1,5   -2 3\n0,25 1e-3   7\n4    5 -6e10\n",
    "Excel's Unicode text": "a\tb\tc\r\n1,5\t-2\t3\r\n0,25\t1e-3\t7\r\n4\t5\t-6e10\r\n".encode("utf-16"),
    "separators at the ends, not of the header": "a;b;c\n1,5;-2;3;\n0,25;1e-3;7;\n4;5;-6e10;\n",
    "tabs at all ends": "a\tb\tc\t\r\n1.5\t-2\t3\t\r\n.25\t1e-3\t7\t\r\n4\t5\t-6e10\t\r\n",
    "a line for Excel": "sep=;\r\na;b;c\r\n1,5;-2;3\r\n0,25;1e-3;7\r\n4;5;-6e10\r\n",
    "lines of blanks": "a,b,c\n   \n1.5,-2,3\n \t\n.25,1e-3,7\n4,5,-6e10\n\t\n",
    "comments, spaces and blank lines": "# by hand\n\n x , y , z # names\n 1.5, -2, 3\n\n.25,1e-3,7 # ?\n4,5,-6e10\n\n",
}


@pytest.mark.parametrize("name", CSV)
def test_csv(write, name):
    np.testing.assert_array_equal(load(write(CSV[name])), TABLE)


def written_by_pandas():
    """Every way to write a frame, and what is left out of it with a note."""
    frame = pd.DataFrame(np.random.default_rng(2).standard_normal((200, 8)))
    header, counted, unnamed = (
        "first line of .*, 0, 1, 2, 3, …, is taken",
        "first column .* counts the rows",
        "first column of .*, without a name",
    )
    named = frame.add_prefix("V")
    shuffled = named.sample(frac=1, random_state=1)
    unnamed_header = "first line of .*, , 0, 1, 2, …, is taken"
    yield "bare", frame, dict(index=False, header=False), []
    yield "header", frame, dict(index=False), [header]
    yield "named header", named, dict(index=False), []
    yield "index", named, dict(), [unnamed]
    yield "header and index", frame, dict(), [unnamed_header, unnamed]
    yield "header and index, tabs", frame, dict(sep="\t"), [unnamed_header, unnamed]
    yield "header and index, semicolons", frame, dict(sep=";", decimal=","), [unnamed_header, unnamed]
    yield "index alone", frame, dict(header=False), [counted]
    yield "index from 1", named.set_axis(range(1, 201)), dict(index_label="id"), [counted]
    yield "index of a shuffled frame", shuffled, dict(), [unnamed]
    yield "names of rows", named.set_axis([f"s{k}" for k in range(200)]), dict(), [unnamed]
    yield "named index and header", frame, dict(index_label="id"), ["first line of .*, id, 0, 1, 2, …", counted]
    yield "years", frame.set_axis(range(1990, 1998), axis=1), dict(index=False), ["1990, 1991, 1992, 1993, …"]
    yield "two levels", named.set_axis(pd.MultiIndex.from_product([range(20), range(10)])), dict(), ["first 2 columns"]
    yield "bars", frame, dict(sep="|", index=False), [header]
    yield "index saved twice", named.reset_index(), dict(), [unnamed, counted]
    yield "R's names of rows", shuffled, dict(index_label=False, sep=" "), [unnamed]
    yield "R's names of rows, numbered columns", frame, dict(index_label=False), ["0, 1, 2, 3, …", unnamed]
    yield "read and written again", shuffled, dict(index_label="Unnamed: 0"), [unnamed]
    yield "floats for names", frame.set_axis(np.arange(400.0, 408.0), axis=1), dict(index=False), ["400.0, 401.0, "]
    yield "compressed", named, dict(compression="gzip"), [unnamed]


def test_headers_and_counted_rows_are_no_data(tmp_path):
    for name, frame, options, notes in written_by_pandas():
        path = tmp_path / ("rows.csv.gz" if "compression" in options else "rows.csv")
        frame.to_csv(path, **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = load(path)
        np.testing.assert_array_equal(rows, frame.to_numpy()[:, -8:], err_msg=name)
        said = [str(warning.message) for warning in caught]
        assert len(said) == len(notes), (name, said)
        for note, message in zip(notes, said, strict=True):
            assert re.search(note, message) and "\n" not in message, (name, message)


def test_header_and_index_are_decided_by_the_caller(write):
    counted = write("0,1,2\n0,5.5,3\n1,6.5,4\n2,7.5,5\n")
    whole = [[0, 1, 2], [0, 5.5, 3], [1, 6.5, 4], [2, 7.5, 5]]
    np.testing.assert_array_equal(load(counted, header=False, index=False), whole)
    np.testing.assert_array_equal(load(counted, header=True, index=False), whole[1:])
    np.testing.assert_array_equal(load(counted, header=True, index=True), np.array(whole)[1:, 1:])
    np.testing.assert_array_equal(load(counted, header=False, index=True), np.array(whole)[:, 1:])
    wavelengths = write("400.5,410.5\n1,2\n3,4\n")
    np.testing.assert_array_equal(load(wavelengths), [[400.5, 410.5], [1, 2], [3, 4]])
    np.testing.assert_array_equal(load(wavelengths, header=True), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(load(write("u,1,2\nv,3,4\n"), index=True), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(load(write(",V0,V1\n7,1,2\n9,3,4\n"), index=False), [[7, 1, 2], [9, 3, 4]])
    # What may well be data stays without a word.
    for text in (
        "0,1\n1,0\n0,0\n",
        "1,2\n2,3\n",
        "1,2,3\n4.5,5,6\n",
        "0,1.0,2\n3,4,5\n",
        "0.0,1.0,2.0\n3.0,4.5,5.5\n",
        "0,7\n1,8\n2,9\n4,1\n",
    ):
        rows = [[float(cell) for cell in line.split(",")] for line in text.split()]
        np.testing.assert_array_equal(load(write(text)), rows)
    with pytest.raises(ValueError, match=r"^header = 'yes' must be True, False or None$"):
        load(counted, header="yes")
    for source in ("digits", "rows.npy"):
        with pytest.raises(ValueError, match=r"^index is for .csv files"):
            load(source, index=True)


def test_wide_lines(write):
    """No cell is as long as a line, and the dialect is told without cutting lines where nothing separates."""
    rows = np.random.default_rng(0).standard_normal((4, 9000))
    np.testing.assert_array_equal(load(write("\n".join(",".join(map(repr, row)) for row in rows.tolist()))), rows)


BAD_CSV = {
    "empty": ("", "is empty$"),
    "blank": ("\n \n", "holds no numbers"),
    "text": ("a,b\n1,2\n3,four\n", "must hold numbers, got 'four' in line 3, column 2"),
    "text in the first line": ("1,two\n1,2\n", "must hold numbers, got 'two' in line 1, column 2"),
    "missing cell": ("1,2\n3,\n", "must hold numbers, got nothing in line 2, column 2"),
    "both decimals": ("1,5;2\n3.5;4\n5,5;6\n", "must hold numbers, got '1,5' in line 1, column 1$"),
    "names of rows": ("a,b,c\nu,1,2\nv,3,4\n", "got 'u' in line 2, column 1; index = True or --index leaves"),
    "two lines of header": (",u,u,v\n,0,1,0\n0,1,2,3\n1,3,4,5\n", "got nothing in line 2, column 1"),
    "dates": ("a,b,c\n2020-01-02,1,2\n2020-01-03,3,4\n", "got '2020-01-02' in line 2, column 1; index = True or"),
    "a separator at one end": ("1,2,\n3,4\n5,6,\n", "must hold numbers, got nothing in line 1, column 3"),
    "a sample longer than ended ones": (
        "".join([*(f"{k},5,\n" for k in (3, 1) * 20), "3,4,5\n"]),
        "must have as many cells in every line, got 3 in line 41 after 2",
    ),
    "a column lost": ("1\t\t3\n4\t\t6\n", "must hold numbers, got nothing in line 1, column 2"),
    "a cell lost in the first row": (",2,3\n1,2,3\n", "must hold numbers, got nothing in line 1, column 1"),
    "underscore": ("1,2\n1_0,3\n", "must hold numbers, got '1_0' in line 2, column 1"),
    "ragged": ("1,2\n3,4\n5,6,7\n", "must have as many cells in every line, got 3 in line 3 after 2"),
    "one row": ("a,b\n1,2\n", r"must have at least 2 rows and 1 column, got shape \(1, 2\)"),
    "one column": ("1\n2\n3\n", "must have at least 2 columns, got 1"),
    "nan": ("a,b\n1,2\n3,nan\n-inf,4\n", "must be finite, got 2 NaN or infinite, the first in row 2, column 2"),
    "binary": (b"\x93\xff\xfe\x00\x01", "is not a UTF-8 text file"),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_bad_csv(write, name):
    content, message = BAD_CSV[name]
    assert_one_line(load, write(content), message)


BAD_ARRAYS = {
    "objects": (np.array([[1, None], [2, 3]], dtype=object), "it holds Python objects"),
    "vector": (np.ones(5), r"two dimensions or more \(rows first\), got shape \(5,\)"),
    "no rows": (np.ones((0, 3)), r"at least 2 rows and 1 column, got shape \(0, 3\)"),
    "one column": (np.ones((3, 1)), "must have at least 2 columns, got 1"),
    "nan": (np.array([[1.0, math.nan], [math.inf, math.nan]]), "got 3 NaN or infinite, the first in row 1, column 2"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_npy(save, name):
    array, message = BAD_ARRAYS[name]
    assert_one_line(load, save(array), message)


def test_damaged_npy(write, save, tmp_path):
    assert_one_line(load, write("1,2\n", "text.npy"), "is not a readable .npy array of numbers")
    cut = write(save(np.ones((100, 3))).read_bytes()[:-50], "cut.npy")
    assert_one_line(load, cut, "is not a readable .npy array of numbers")
    archive = tmp_path / "archive.npy"
    with archive.open("wb") as file:
        np.savez(file, rows=TABLE)
    assert_one_line(load, archive, "is not a readable .npy array of numbers")
    assert_one_line(load, write("", "empty.npy"), "is empty$")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)})
    assert_one_line(load, write(header.getvalue(), "claims.npy"), "does not fit into memory|is not a readable")


def test_sources_that_are_no_files(tmp_path):
    assert_one_line(load, tmp_path / "none.npy", "none.npy' does not exist")
    (tmp_path / "folder.csv").mkdir()
    assert_one_line(load, tmp_path / "folder.csv", "folder.csv' is not a file but a directory")
    assert_one_line(load, "", "^data = '' must be a path")
    kinds = ".npy, .npz, .csv, .idx or -ubyte"
    for source in ("iris", "rows.txt", "rows.npz.gz", "rows"):
        assert_one_line(load, source, f"must be 'digits' or a file ending in {kinds}, got '{source}'")


def test_unreadable_file(write, monkeypatch):
    path = write(CSV["plain"])

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    assert_one_line(load, path, "cannot be read: Permission denied")


@pytest.mark.parametrize("scale", [1.0, 1e-140, 1e140])
def test_standardise(scale):
    rows = scale * (3 + np.random.default_rng(0).standard_normal((50, 4)) * [1, 2, 3, 0])
    original = rows.copy()
    result = standardise(rows)
    np.testing.assert_array_equal(rows, original)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-14)
    covariance = np.cov(result.T, bias=True)
    assert np.trace(covariance) / 4 == pytest.approx(1, rel=1e-13)
    # One number for all columns: ratios of variances survive.
    variances = np.var(rows / scale, axis=0)
    np.testing.assert_allclose(np.diag(covariance), variances / variances.mean(), rtol=1e-12, atol=1e-28)


BAD_ROWS = {
    "constant": ([[1, 2], [1, 2]], "must vary from row to row, got rows that are all the same"),
    "constant to rounding": (np.full((7, 3), 0.1), "must vary from row to row"),
    "huge": ([[1e200, 0], [0, 0]], r"entries of at most 1e\+145 in size, got 1e\+200"),
    "tiny": ([[1e-200, 0], [0, 0]], "must vary by at least 1e-145, got 5e-201"),
    "vector": ([1, 2, 3], r"two-dimensional \(one row per sample\), got shape \(3,\)"),
    "nan": ([[1, 2], [3, math.nan]], "data must be finite, got 1 NaN or infinite, the first in row 2, column 2"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows(name):
    rows, message = BAD_ROWS[name]
    assert_one_line(standardise, rows, message)


def assert_one_line(function, argument, message):
    with pytest.raises(ValueError, match=message) as raised:
        function(argument)
    assert "\n" not in str(raised.value)
