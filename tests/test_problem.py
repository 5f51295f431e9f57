"""The door: what a problem accepts, what it refuses and in which words, and what it is to JAX."""

import copy
import dataclasses
import pickle
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import rfdsm
from rfdsm import Problem, activations, spectra
from rfdsm._problem import FIELDS

GOOD = dict(psi_n=2.0, psi_p=3.0, m=4, t=0.5, ridge=0.1)
RANGES = {
    "psi_n": "> 0 (inf: the population limit)",
    "psi_p": "> 0 (inf: the kernel limit)",
    "m": "an integer >= 1 or inf",
    "t": "finite and > 0",
    "ridge": "finite and >= 0",
}
OUT_OF_RANGE = {
    "psi_n": [0, -1.0, -np.inf, np.nan],
    "psi_p": [0, -1.0, -np.inf, np.nan],
    "m": [0, -3, 0.5, 2.5, 1 + 1e-9, -np.inf, np.nan],
    "t": [0, -0.1, np.inf, -np.inf, np.nan],
    "ridge": [-1e-300, -1.0, np.inf, -np.inf, np.nan],
}


def problem(**fields):
    return Problem(**{**GOOD, **fields})


def refusal(**fields):
    with pytest.raises(ValueError) as caught:
        problem(**fields)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in FIELDS for value in OUT_OF_RANGE[name]])
def test_a_value_out_of_range_is_named_with_its_range(name, value):
    expected = f"{name} = {value:.15g} must be {RANGES[name]}"
    assert refusal(**{name: value}) == expected
    fine = GOOD[name]
    assert refusal(**{name: [fine, fine, value]}) == expected  # not the good neighbours
    assert refusal(**{name: np.array([[fine], [value]])}) == expected
    assert refusal(**{name: jnp.array([fine, value], dtype=float)}) == expected


def test_numbers_of_every_kind_are_taken():
    """Whatever holds a real number: Python's, NumPy's, those of machine learning, and traced ones in a list."""
    kinds = [2, 2.0, Fraction(2), Decimal("2.0"), np.int8(2), np.float16(2), np.longdouble(2), np.array(2)]
    kinds += [jnp.array(2), jnp.bfloat16(2), jnp.array(2, jnp.float8_e4m3fn)]
    for value in kinds:
        for given in (value, [value, value], np.asarray(value).reshape(1)):
            built = problem(psi_n=given).psi_n
            assert built.dtype == np.float64 and np.all(built == 2.0), value
    assert problem(psi_n=10**20).psi_n == 1e20 and problem(psi_n=[10**20, 0.5]).psi_n[0] == 1e20
    assert not np.signbit(problem(ridge=-0.0).ridge)
    assert jax.jit(lambda x: problem(psi_n=[x, 2.0]).psi_n)(3).tolist() == [3.0, 2.0]


def test_what_is_beyond_float64_is_refused_and_what_rounding_did_is_said():
    for value in (10**400, Fraction(10**400), Decimal("1e400"), np.longdouble("1e4000"), [1, 10**400]):
        assert "must be within the range of float64, > 0" in refusal(psi_n=value)
    said = refusal(m=0.3 / 0.1)
    assert said.startswith("m = 2.9999999999999996 must be an integer") and said.endswith("numpy.round makes it 3")
    assert len(refusal(psi_n=[object()] * 1000)) < 300


def test_problems_hash_by_value():
    for build in (problem, lambda **f: rfdsm.linear.Problem(**{"psi": 2.0, "T": 1.0, "m": f.get("m", 1)})):
        one, same, other, column = build(m=4), build(m=Fraction(4)), build(m=5), build(m=[4])
        assert one == same and hash(one) == hash(same) and {one: "found"}[same] == "found"
        assert len({one, same, other, column}) == 3
    assert hash(problem(ridge=-0.0)) == hash(problem(ridge=0.0)) and problem(ridge=-0.0) == problem(ridge=0)
    assert hash(problem(activation="relu")) != hash(problem(activation="tanh"))
    assert jax.jit(lambda p: jnp.asarray(p.psi_n) + 1, static_argnums=0)(problem()) == 3
    with pytest.raises(TypeError, match="tracing"):
        jax.jit(lambda x: hash(problem(psi_n=x)))(2.0)


def test_edges_of_the_ranges_are_allowed():
    assert problem(ridge=0).ridge == 0
    assert problem(m=np.inf).m == np.inf
    assert problem(psi_p=[1.0, np.inf], m=np.inf).psi_p[1] == np.inf
    assert problem(psi_n=1e-30, t=300).psi_n == 1e-30
    assert problem(psi_p=1e30, ridge=1e-100).ridge == 1e-100
    np.testing.assert_array_equal(problem(m=[1, 4, np.inf]).m, [1, 4, np.inf])


@pytest.mark.parametrize(
    ("psi_n", "psi_p"), [(np.inf, np.inf), ([1.0, np.inf], [2.0, np.inf]), (np.inf, [[1.0], [np.inf]])]
)
def test_population_and_kernel_limit_do_not_meet(psi_n, psi_p):
    expected = "psi_n = inf and psi_p = inf must not meet: the limit depends on their ratio"
    assert refusal(psi_n=psi_n, psi_p=psi_p) == expected
    with pytest.raises(ValueError, match=f"^{expected}$"):
        Problem.grid(**{**GOOD, "psi_n": [1.0, np.inf], "psi_p": [1.0, np.inf]})


def test_fields_that_do_not_broadcast_are_listed_with_their_shapes():
    message = refusal(psi_n=[1.0, 2.0], psi_p=[[1.0], [2.0]], t=[1.0, 2.0, 3.0])
    assert "broadcast" in message
    for part in ("psi_n (2,)", "psi_p (2, 1)", "t (3,)"):
        assert part in message
    assert "ridge" not in message  # scalars are not to blame


def test_a_problem_cannot_be_changed_nor_changed_from_outside():
    mine = np.array([1.0, 2.0])
    built = problem(psi_n=mine)
    mine[0] = -5
    np.testing.assert_array_equal(built.psi_n, [1, 2])
    mine[1] = 7  # the caller's own array stays writeable
    with pytest.raises(ValueError, match="read-only"):
        built.psi_n[0] = -5
    for name in (*FIELDS, "activation", "spectrum"):
        with pytest.raises(AttributeError):
            setattr(built, name, 1.0)


def test_replace_validates_again():
    changed = dataclasses.replace(problem(activation="erf"), t=[0.1, 0.2], spectrum=spectra.isotropic(2.0))
    assert changed.shape == (2,)
    assert changed.activation == activations.get("erf")
    assert changed.spectrum.mean == 2
    with pytest.raises(ValueError, match=r"^t = -1 must be finite and > 0$"):
        dataclasses.replace(changed, t=-1)
    with pytest.raises(ValueError, match="broadcast"):
        dataclasses.replace(changed, m=[1, 2, 3])


def test_activation_and_spectrum_come_as_names_objects_or_none():
    assert problem().activation == activations.get("tanh")
    assert problem().spectrum == spectra.isotropic()
    assert problem(activation=activations.leaky_relu(0.2)).activation == activations.leaky_relu(0.2)
    custom = problem(activation=jnp.cos).activation
    np.testing.assert_allclose(custom(0.5), np.cos(0.5), rtol=1e-15)


@pytest.fixture
def annotations_unchecked(monkeypatch):
    """As for users: the annotations that the tests check at run time must not be what refuses an argument."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.usefixtures("annotations_unchecked")
def test_an_unknown_activation_or_spectrum_is_refused():
    for activation in ("tanhh", "", None, 5, [], np.tanh(1.0)):
        message = refusal(activation=activation)
        assert "activation must be" in message and "tanh, erf, relu" in message and repr(activation) in message
    for spectrum in ("isotropic", np.ones(3), [1.0, 2.0], 1.0, spectra.isotropic):
        message = refusal(spectrum=spectrum)
        assert message.startswith(("spectrum = ", "spectrum must be None")) and "rfdsm.spectra" in message


# ------------------------------------------------------------------------------------------------------------- to JAX


def test_leaves_are_the_five_fields_in_order():
    built = problem(spectrum=spectra.atoms([0.5, 2.0]), activation=activations.leaky_relu(0.3))
    leaves = jax.tree.leaves(built)
    assert [float(leaf) for leaf in leaves] == list(GOOD.values())


def test_jit_retraces_for_structure_and_not_for_numbers():
    traces = []

    @jax.jit
    def total(asked):
        traces.append(asked.activation.name)
        return asked.psi_n + asked.psi_p

    def spectrum(ratio):
        return spectra.atoms([1.0, ratio])

    assert total(problem(spectrum=spectrum(2.0))) == 5
    assert total(problem(spectrum=spectrum(2.0), psi_n=7.0, m=np.inf)) == 10  # equal structure, built anew
    assert len(traces) == 1
    total(problem(spectrum=spectrum(2.0), activation="erf"))
    assert traces == ["tanh", "erf"]
    total(problem(spectrum=spectrum(3.0)))
    assert len(traces) == 3


def test_traced_fields_are_kept_unchecked():
    """Inside jit values are unknown: a bad one is not an error there, and integers become floats."""

    @jax.jit
    def build(psi_n, m):
        asked = Problem(psi_n, 1.0, m, 0.5, 0.1)
        assert asked.traced
        assert asked.psi_n is psi_n
        assert jnp.issubdtype(asked.m.dtype, jnp.floating)
        assert asked.shape == (2,)
        return asked

    out = build(jnp.array([-1.0, 2.0]), jnp.array(3))
    np.testing.assert_array_equal(out.psi_n, [-1, 2])
    assert out.m == 3
    assert not out.traced
    with pytest.raises(ValueError, match=r"^psi_p = -1 must be"):  # those that are concrete are checked
        jax.jit(lambda t: Problem(1.0, -1.0, 1, t, 0.1).t)(0.5)


def test_traced_says_whether_anything_is_traced():
    assert not problem().traced
    assert jax.jit(lambda t: jnp.array(problem(t=t).traced))(0.5)
    assert jax.jit(lambda v: jnp.array(problem(spectrum=spectra.isotropic(v)).traced))(2.0)
    assert jax.jit(lambda s: jnp.array(problem(activation=activations.leaky_relu(s)).traced))(0.1)


def test_vmap_over_a_problem():
    asked = Problem(*(np.array([1.0, 2.0, 3.0]) * k for k in (1, 2, 3, 4, 5)), activation="erf")

    def one(cell):
        assert cell.shape == ()
        assert cell.activation.name == "erf"
        return cell.psi_n * cell.psi_p + cell.m

    np.testing.assert_array_equal(jax.vmap(one)(asked), [5, 14, 27])


# ----------------------------------------------------------------------------------------------------------- the grid


def test_grid_is_the_outer_product_in_the_order_of_the_fields():
    grid = Problem.grid(ridge=[0.1, 0.2], t=0.5, m=[1, 2, np.inf], psi_p=(1.0, 2.0, 3.0, 4.0), psi_n=[5.0])
    assert grid.shape == (1, 4, 3, 2)
    for axis, (name, values) in enumerate(
        dict(psi_n=[5.0], psi_p=[1, 2, 3, 4], m=[1, 2, np.inf], ridge=[0.1, 0.2]).items()
    ):
        full = np.moveaxis(np.broadcast_to(getattr(grid, name), grid.shape), axis, -1)
        np.testing.assert_array_equal(full, np.broadcast_to(values, full.shape))
    assert grid.t.shape == ()


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("values", [[], np.empty(0), [[1.0, 2.0]], np.ones((2, 2)), np.empty((0, 3))], ids=str)
def test_grid_refuses_empty_and_nested_lists(name, values):
    with pytest.raises(ValueError, match=rf"^{name} has shape \(.*\): a grid takes numbers or non-empty 1-D lists$"):
        Problem.grid(**{**GOOD, name: values})


def test_grid_takes_traced_fields():
    shape = jax.eval_shape(lambda psi_n, t: Problem.grid(psi_n, [1.0, 2.0], 1, t, 0.1), jnp.ones(3), jnp.ones(()))
    assert shape.psi_n.shape == (3, 1)
    assert shape.t.shape == ()


# ---------------------------------------------------------------------------------------------------------- copies


@pytest.mark.parametrize("activation", ["tanh", "leaky_relu"])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_equal_the_original(activation, copied):
    """Problems travel between processes: a copy must hit the same compiled code."""
    built = Problem.grid([1.0, 2.0], 3.0, [1, np.inf], 0.1, 1e-3, activation, spectra.atoms([0.5, 2.0]))
    again = copied(built)
    assert jax.tree.structure(again) == jax.tree.structure(built)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(built, name))
        assert getattr(again, name).dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        again.psi_n[0] = -1.0


def test_problems_and_results_print_their_values():
    problem = Problem(8, [1, 4], 4, 0.1, 1e-3)
    assert "psi_p=array([1., 4.])" in repr(problem) and "'tanh'" in repr(problem)
    assert "test=array([0.89951199, 0.99326113])" in repr(rfdsm.predict(problem))
    assert len(repr(rfdsm.predict(Problem(8, np.geomspace(1, 4, 10**4), 4, 0.1, 1e-3)))) < 3000
    jax.jit(lambda ridge: print(Problem(8, 1, 4, 0.1, ridge)) or ridge)(1e-3)  # traced values have none
