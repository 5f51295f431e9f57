"""Images from MNIST's files, from archives of arrays and from compressed ones, and what is said about damaged ones."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest

from rfdsm.data import image_shape, load
from tests.test_data import assert_one_line

CODES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IMAGES = np.arange(4 * 3 * 2).reshape(4, 3, 2) * 5


def idx(array, code=0x08):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(CODES[code]).tobytes()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def write(tmp_path):
    def writer(content, name):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return writer


@pytest.mark.parametrize("name", ["rows.idx", "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte", "A.IDX"])
@pytest.mark.parametrize("compressed", [False, True])
def test_idx_of_any_name(write, name, compressed):
    path = write(idx(IMAGES), name + ".gz" * compressed)
    rows = load(path)
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, IMAGES.reshape(4, 6))
    assert image_shape(path) == (3, 2, 1)
    assert image_shape(str(path)) == (3, 2, 1)


@pytest.mark.parametrize("code", CODES)
def test_idx_of_any_type(write, code):
    largest = {0x08: 255, 0x09: -128, 0x0B: -(2**15), 0x0C: 2**31 - 1, 0x0D: -(2.0**100), 0x0E: 1 / 3}[code]
    array = np.array([[1, 2, 3], [4, 5, largest]])
    for name in ("rows.idx", "rows.idx.gz"):
        path = write(idx(array, code), name)
        np.testing.assert_array_equal(load(path), array)
        assert image_shape(path) is None


def test_idx_of_more_than_one_piece(write):
    """Files are read in pieces of a mebibyte."""
    array = np.random.default_rng(0).integers(256, size=(5, 2**19, 1), dtype=np.uint8)
    for name in ("rows.idx", "rows.idx.gz"):
        np.testing.assert_array_equal(load(write(idx(array), name)), array.reshape(5, -1))


def test_colours(write):
    images = np.arange(2 * 3 * 4 * 3).reshape(2, 3, 4, 3)
    for path in (write(idx(images), "a.idx"), write(npy(images), "a.npy"), write(npz(images=images), "a.npz")):
        np.testing.assert_array_equal(load(path), images.reshape(2, 36))
        assert image_shape(path) == (3, 4, 3)


WHOLE = idx(IMAGES)
BAD = {
    "labels": (idx(np.arange(9)), "must hold images or rows, but holds one number per row, as labels do$"),
    "text": (b"1,2\n3,4\n", "is not an IDX file: it starts with the bytes 31 2c 32 0a$"),
    "an unknown type": (b"\0\0\x0a" + WHOLE[3:], "is not an IDX file: it starts with the bytes 00 00 0a 03$"),
    "compressed twice": (gzip.compress(WHOLE), "it is compressed, and its name must"),
    "half the sizes": (WHOLE[:10], "is truncated: it ends within its header$"),
    "a number less": (WHOLE[:-1], "is truncated: its sizes, 4 × 3 × 2, ask for 24 bytes, got 23$"),
    "a number more": (WHOLE + b"\0", "is damaged: its sizes, 4 × 3 × 2, ask for 24 bytes, and it holds more$"),
    "huge": (idx(np.zeros((0, 28, 28)))[:4] + b"\xff" * 12, "is truncated: .* ask for 79228162458924105385300197375"),
    "no rows": (idx(np.zeros((0, 3, 2))), "holds no numbers: its sizes, 0 × 3 × 2, ask for 0 bytes$"),
    "no rows of any width": (idx(np.zeros((0, 3, 2)))[:8] + b"\xff" * 8, "holds no numbers"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", ["rows.idx", "rows.idx.gz"])
def test_bad_idx(write, case, name):
    content, message = BAD[case]
    assert_one_line(load, write(content, name), f"{name}' {message}" if message[:2] in ("is", "mu") else message)


def test_memory_is_taken_for_no_more_than_a_file_can_hold(write, monkeypatch):
    """Ten gigabytes, of which the header speaks, are asked of nobody."""
    head = bytes([0, 0, 8, 2]) + struct.pack(">2I", 10**5, 10**5)
    monkeypatch.setattr(np, "empty", lambda *args: pytest.fail("memory was taken"))
    claimed = "is truncated: .* ask for 10000000000 bytes, and it holds"
    for name in ("rows.idx", "rows.idx.gz"):
        assert_one_line(load, write(head + bytes(500), name), claimed)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**5, 10**5)})
    monkeypatch.setattr(np.lib.format, "read_array", lambda *args: pytest.fail("memory was taken"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", header.getvalue())
    for content, name in ((header.getvalue(), "a.npy"), (header.getvalue(), "a.npy.gz"), (archive.getvalue(), "a.npz")):
        assert_one_line(load, write(content, name), r"\(its shape \(100000, 100000\) asks for more bytes")


@pytest.mark.parametrize("name", ["rows.idx.gz", "rows.npy.gz", "rows.csv.gz"])
def test_damaged_gz(tmp_path, name):
    content = {"idx": WHOLE, "npy": npy(IMAGES), "csv": b"1,2\n3,4\n5,6\n"}[name.split(".")[1]]
    path, whole = tmp_path / name, gzip.compress(content)
    flipped = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    for damaged in (content, flipped, whole + b"more", whole[:-9], whole[:5]):
        path.write_bytes(damaged)
        message = "is not a .gz file, or a damaged one$"
        if len(damaged) < len(whole) and name == "rows.npy.gz":
            message += "|is not a readable .npy array of numbers"  # if it ends within the array
        assert_one_line(load, path, f"{name}' ({message})")


def test_compressed_npy(write):
    path = write(npy(IMAGES.astype(np.float32)), "rows.npy.gz")
    np.testing.assert_array_equal(load(path), IMAGES.reshape(4, 6))
    assert image_shape(path) == (3, 2, 1)
    assert image_shape(write(npy(IMAGES.reshape(4, 6)), "rows.npy")) is None
    open_bracket = npy(IMAGES).replace(b"2)", b"2(")
    assert_one_line(load, write(open_bracket, "rows.npy"), "is not a readable .npy array of numbers")


LABELS = np.arange(4)
ARCHIVES = {
    "Keras": dict(x_test=IMAGES[:2] + 1, x_train=IMAGES, y_train=LABELS, y_test=LABELS[:2]),
    "data": dict(images=IMAGES + 1, data=IMAGES),
    "x": dict(y=IMAGES + 1, x=IMAGES, X=IMAGES + 1),
    "X": dict(y=IMAGES + 1, X=IMAGES),
    "images": dict(y=IMAGES + 1, images=IMAGES),
    "the only one": dict(pictures=IMAGES, labels=LABELS, x=np.array(3)),
    "numpy.savez's own name": {"arr_0": IMAGES},
    "objects beside": dict(x=IMAGES, names=np.array([None, "b"])),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_npz(write, name):
    path = write(npz(**ARCHIVES[name]), "rows.NPZ")
    np.testing.assert_array_equal(load(path), IMAGES.reshape(4, 6))
    assert image_shape(path) == (3, 2, 1)


BAD_ARCHIVES = {
    "several": (
        npz(a=IMAGES, b=IMAGES[0]),
        r"must hold .*, got 'a' of shape \(4, 3, 2\), 'b' of shape \(3, 2\)$",
    ),
    "vectors": (npz(x=LABELS), r"of two dimensions or more called x_train, .*, got 'x' of shape \(4,\)$"),
    "lines in names": (npz(**{"a\nb": LABELS}), r"got 'a\\nb' of shape \(4,\)$"),
    "none": (npz(), "got no arrays$"),
    "objects": (npz(x=np.array([[None, 1], [2, 3]])), r"array 'x' of data file .* \(it holds Python objects\)$"),
    "text": (b"1,2\n", r"rows.npz' is not a readable .npz archive \(damaged, or another format\)$"),
    "cut": (npz(x=IMAGES)[:-30], "is not a readable .npz archive"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_bad_npz(write, name):
    content, message = BAD_ARCHIVES[name]
    assert_one_line(load, write(content, "rows.npz"), message)


def test_damaged_npz(write):
    """Whatever byte is changed, the values come out right or the file is refused in one line."""
    whole = npz(x=IMAGES)
    for place in range(0, len(whole), 3):
        damaged = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        path = write(damaged, "rows.npz")
        try:
            np.testing.assert_array_equal(load(path), IMAGES.reshape(4, 6))
        except ValueError as error:
            assert "\n" not in str(error) and "rows.npz" in str(error), place
    member = io.BytesIO()
    with zipfile.ZipFile(member, "w") as file:
        file.writestr("x.npy", "1,2\n")
    message = r"array 'x' of data file .* is not a readable .npy array of numbers \(damaged"
    assert_one_line(load, write(member.getvalue(), "text.npz"), message)


def test_image_shape(write):
    assert image_shape("digits") == image_shape("Digits") == (8, 8, 1)
    assert image_shape(write(b"1,2\n3,4\n", "rows.csv")) is None
    assert image_shape(write(npy(np.ones((2, 3, 4, 5, 6))), "rows.npy")) is None
    assert image_shape(write(idx(LABELS), "labels-idx1-ubyte")) is None
    assert_one_line(image_shape, "iris", "must be 'digits' or a file ending in")
    assert_one_line(image_shape, "none-ubyte", "does not exist")
    assert_one_line(image_shape, write(b"1,2\n", "text.npy"), "is not a readable .npy array")
    assert_one_line(image_shape, write(WHOLE[:9], "cut.idx"), "is truncated: it ends within its header")
