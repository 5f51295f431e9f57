"""Arrays in the containers that people keep them in: taken with their values, or refused with name, place and cure."""

from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr

from rfdsm import (
    Problem,
    activations,
    advise,
    boundary,
    compare,
    linear,
    optimal_stopping,
    simulate,
    simulate_training,
    spectra,
    spectral_density,
    sweep,
    training_curve,
    units,
)
from rfdsm._arrays import real_array
from rfdsm.data import standardise
from rfdsm.theory import limits

ONE = Problem(2, 2, 1, 0.1, 0.1)
MATRIX, VECTOR = np.array([[1.0, 2], [3, -9999], [2, 5], [4, 1]]), np.array([2.0, 1.0, -9999.0])
MATRICES = {
    "data": (
        spectra.from_data,
        standardise,
        lambda x: simulate(ONE, data=x),
        lambda x: simulate_training(ONE, [1.0], data=x),
        lambda x: compare(ONE, data=x),
        lambda x: advise(data=x),
        lambda x: sweep(ONE, data=x, store=None),
    ),
    "covariance": (spectra.from_covariance,),
    "initial": (lambda x: simulate_training(ONE, [1.0], 4, initial=x),),
}
GOOD = dict(psi_n=2.0, psi_p=3.0, m=4, t=0.5, ridge=0.1)
VECTORS = {name: (lambda x, name=name: Problem(**GOOD | {name: x}),) for name in GOOD}
VECTORS |= {
    name: (lambda x, name=name: linear.Problem(**{"psi": 2, "T": 1, name: x}),) for name in ("psi", "T", "sigma")
}
VECTORS |= {
    "weights": (lambda x: spectra.atoms([1, 2, 3], x),),
    "values": (spectra.atoms, spectra.from_eigenvalues),
    "times": (lambda x: training_curve(ONE, x), lambda x: simulate_training(ONE, x, 4)),
    "u": (lambda x: spectral_density(ONE, x),),
    "schedule": (lambda x: linear.chain(linear.Problem(2, 1, m=np.inf), 3, schedule=x),),
    "smoothing": (lambda x: linear.generated(linear.Problem(2, 1), x),),
    "fraction": (lambda x: limits.ratio_to_fit(ONE, x),),
    "polynomial": (activations.polynomial,),
    "bounds": (lambda x: boundary(ONE, "memorisation", bounds=x[1:]),),
}
SCALARS = {
    "variance": (spectra.isotropic, lambda x: spectra.power_law(1, 0.1, variance=x)),
    "exponent": (lambda x: spectra.power_law(x, 0.1),),
    "psi_n": (lambda x: Problem(**GOOD | {"psi_n": x}),),
    "tolerance": (lambda x: optimal_stopping(ONE, tolerance=x),),
    "initial": (lambda x: training_curve(ONE, [1.0], initial=x),),
    "slope": (activations.leaky_relu,),
}


def refused(door, value):
    with pytest.raises(ValueError) as raised:
        door(value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_no_door_reads_what_lies_beneath_a_mask():
    for name, doors in MATRICES.items():
        masked = np.ma.masked_equal(MATRIX, -9999.0)
        nullable = pd.DataFrame(MATRIX).astype("Float64").mask(MATRIX == -9999)
        for door in doors:
            for value in (masked, list(masked), masked.tolist(), nullable):
                said = refused(door, value)
                assert name in said and "1, the first in row 2, column 2 (counted from 1)" in said, (name, said)
    for name, doors in VECTORS.items():
        masked = np.ma.masked_equal(VECTOR, -9999.0)
        for door in doors:
            for value in (masked, list(masked), pd.array([2.0, 1.0, None], dtype="Float64")):
                said = refused(door, value)
                assert name in said, (name, said)
    masked, whole = np.ma.masked_equal(VECTOR, -9999.0), np.ones(3) / 3
    assert "theta must have no masked" in refused(lambda x: units.flow_steps(x, 1, 1, 1, 1), masked)
    assert "steps must have no masked" in refused(lambda x: units.flow_time(1, x, 1, 1, 1), masked)
    assert "nodes must have no masked" in refused(lambda x: spectra.Spectrum(x, whole), masked)
    assert "weights must have no masked" in refused(lambda x: spectra.Spectrum(whole, x), masked)
    for name, doors in SCALARS.items():
        for door in doors:
            for value in (np.ma.masked, pd.NA, np.ma.masked_equal(-9999.0, -9999.0)):
                said = refused(door, value)
                assert name in said, (name, said)


def test_a_mask_without_masked_entries_changes_nothing():
    rows, whole = np.abs(MATRIX), np.ma.masked_equal(np.abs(MATRIX), -9999.0)
    assert spectra.from_data(whole) == spectra.from_data(rows)
    assert spectra.atoms(np.ma.array([1.0, 2.0], mask=False)) == spectra.atoms([1, 2])
    assert type(standardise(whole)) is np.ndarray
    assert Problem(np.ma.array([1.0, 2.0]), 1, 1, 0.1, 0.1).psi_n.tolist() == [1, 2]


ROWS = np.array([[1.5, 0.25], [3.0, -4.0], [0.125, 6.0]])
WHOLE = [[1, 0], [3, -4], [0, 6]]
SAME = {
    "lists": (ROWS.tolist(), ROWS),
    "lists of arrays": (list(ROWS), ROWS),
    "lists of JAX arrays": ([jnp.asarray(row) for row in ROWS], ROWS),
    "object array": (ROWS.astype(object), ROWS),
    "object frame": (pd.DataFrame(ROWS).astype(object), ROWS),
    "nullable frame": (pd.DataFrame(ROWS).convert_dtypes(), ROWS),
    "nullable whole numbers": (pd.DataFrame(WHOLE).astype("Int64"), WHOLE),
    "mixed frame": (pd.DataFrame(ROWS).assign(c=pd.array([1, 2, 3], dtype="Int64")), np.c_[ROWS, [1, 2, 3]]),
    "labelled": (xr.DataArray(ROWS, dims=("sample", "pixel")), ROWS),
    "exact numbers": ([[Fraction(3, 2), Decimal("0.25")], [3, -4], [10**20, 6]], [[1.5, 0.25], [3, -4], [1e20, 6]]),
    "bfloat16": (jnp.asarray(ROWS, jnp.bfloat16), ROWS),
    "series": (pd.Series([1.5, 2.5], dtype="Float32"), [1.5, 2.5]),
}


def test_numbers_are_taken_from_any_container():
    for name, (given, expected) in SAME.items():
        array = real_array("data", given)
        np.testing.assert_array_equal(array, expected, err_msg=name)
        assert type(array) is np.ndarray and array.dtype.kind in "iuf", name


class Elsewhere:
    """What a tensor on another device does."""

    def __array__(self, *arguments, **options):
        raise RuntimeError("can't convert device tensor to numpy: use .cpu()\nand more")


COUNTED = r"(counted from 1)"
REFUSED = {
    "text": (pd.DataFrame({"a": [1, 2], "b": [3, "4"]}), f"with the text '4' in row 2, column 2 {COUNTED}: convert it"),
    "categories": (pd.DataFrame({"a": ["u", "v"]}).astype("category"), "with the text 'u' in row 1, column 1"),
    "dates": (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"]), "b": [1]}), "with a Timestamp in row 1, column 1"),
    "durations": (np.array([np.timedelta64(1, "s"), 2.0], dtype=object), "with a timedelta64 in entry 1"),
    "complex": (np.array([1.0, 1j], dtype=object), "with a complex in entry 2"),
    "huge": ([1, 10**400], f"with an integer in entry 2 {COUNTED}: beyond the range of float64"),
    "arrays": (pd.Series([np.ones(2), np.ones(2)]), f"with an array in entry 1 {COUNTED}: numpy.stack joins"),
    "sparse": (scipy.sparse.eye_array(3).tocsr(), "data must be a dense array, got a sparse one: give its toarray()"),
    "none": ([[1, None], [2, 3]], "no masked or missing entries, got 1, the first in row 1, column 2"),
    "no time": (np.array([1.0, pd.NaT], dtype=object), "no masked or missing entries, got 1, the first in entry 2"),
    "a mask deep in": ([[np.ma.array([1, 2], mask=[0, 1])], [[3, 4]]], "got 1, the first in entry (1, 1, 2)"),
    "records": (np.ma.zeros(3, dtype=[("x", float)]), "data must hold real numbers, got dtype [('x', '<f8')]"),
    "elsewhere": (Elsewhere(), "got Elsewhere: can't convert device tensor to numpy: use .cpu()"),
    "generator": ((x for x in [1.0]), "dtype object with a generator"),
}


def test_what_holds_no_numbers_is_refused_with_its_place():
    for name, (given, message) in REFUSED.items():
        assert message in refused(lambda value: real_array("data", value), given), name
