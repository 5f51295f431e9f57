"""What a sweep returns, keeps and refuses; in this process."""

import dataclasses
import json
import os
import resource
import signal
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from rfdsm import Problem, activations, compare, predict, simulate, spectra, sweeps
from rfdsm.sweeps import (
    Counts,
    Interrupted,
    SweepError,
    _configuration as configuration,
    _executors as executors,
    _layout as layout,
    _state as state,
    store,
)
from rfdsm.sweeps._compute import Result
from rfdsm.sweeps._progress import duration, shown
from tests.sweeps import tiny
from tests.sweeps.tiny import CUBIC, PROBLEM

UNITS = 40


def files(folder):
    """Files of simulated units, with what changes if one is written again."""
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.glob("units/d*.npz")}


# What it returns


def test_a_sweep_is_the_comparison_bit_for_bit(whole):
    _, swept = whole
    compared = compare(PROBLEM, 16, trials=4, key=3).to_dataset()
    for name, variable in compared.variables.items():
        assert swept.variables[name].identical(variable), name
    losses = simulate(PROBLEM, 16, trials=4, key=3)
    np.testing.assert_array_equal(swept["simulated_objective"][0], losses.objective)
    theory = predict(PROBLEM)
    for name in ("objective", "floor", "converged", "residual", "steps"):
        np.testing.assert_array_equal(swept[name], getattr(theory, name))


def test_labels_and_provenance(whole):
    _, swept = whole
    assert dict(swept.sizes) == {"loss": 4, "d": 1, "trial": 4, "psi_n": 20, "psi_p": 2}
    for name, variable in swept.variables.items():
        if name != "loss":
            assert variable.attrs["long_name"] and variable.attrs["units"] == "1", name
    np.testing.assert_array_equal(swept["psi_p"], [4, 6])
    assert (float(swept["m"]), float(swept["t"]), float(swept["ridge"])) == (np.inf, 0.1, 0.01)
    asked = json.loads(swept.attrs["configuration"])
    assert (asked["trials"], asked["d"], len(asked["seeds"])) == (4, [16], 4)
    versions = json.loads(swept.attrs["versions"])
    assert (versions["jax"], versions["numpy"]) == (jax.__version__, np.__version__)
    assert swept.attrs["device"].endswith("cpu cpu") and swept.attrs["dtype"] == "float64"
    times = json.loads(swept.attrs["wall_time"])
    assert len(times["units"]) == UNITS + 2 and 0 < times["total"] == sum(times["units"].values())
    own = json.loads(swept.attrs["sweep"])
    assert own["key"] == {"words": [0, 3], "kind": "threefry2x32"}
    assert own["problem"]["activation"] == {"polynomial": [0.1, 1.0, 0.3, 0.1]}


@pytest.mark.parametrize(
    ("quantities", "there", "missing"),
    [
        ("theory", {"limit", "floor", "objective", "converged"}, {"simulation", "theory", "z", "n", "failed"}),
        (("theory", "simulation"), {"limit", "floor", "simulation", "mean", "n", "failed"}, {"theory", "z"}),
    ],
)
def test_quantities(quantities, there, missing, whole):
    _, swept = whole
    part = tiny.sweep(None, quantities=quantities)
    names = set(part.data_vars)
    assert there <= names and not missing & names
    for name in names:
        assert part[name].variable.equals(swept[name].variable), name


def test_real_data(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 6)) * [1, 1, 1, 2, 2, 2]
    problem = Problem.grid([2.0, 4.0], 3.0, np.inf, 0.1, 1e-2, CUBIC)
    swept = sweeps.sweep(problem, data=rows, trials=2, store=tmp_path, progress=False)
    compared = compare(problem, data=rows, trials=2).to_dataset()
    for name, variable in compared.variables.items():
        assert swept.variables[name].identical(variable), name
    assert list(swept["loss"].values) == ["train", "empirical_test", "test"]
    assert sweeps.resume(tmp_path, progress=False).identical(swept)
    with pytest.raises(SweepError, match=r"data\.sha256 = .* there"):
        sweeps.sweep(problem, data=rows + 1e-9, trials=2, store=tmp_path, progress=False)
    np.save(tmp_path / "data.npy", rows + 1)
    with pytest.raises(SweepError, match="damaged"):
        sweeps.load(tmp_path)


def test_one_trial_has_no_standard_error():
    part = tiny.sweep(None, trials=1, quantities="simulation", problem=one_cell())
    assert np.isfinite(part["mean"]).all() and np.isnan(part["standard_error"]).all()


def one_cell(**fields):
    return dataclasses.replace(PROBLEM, **(dict(psi_n=np.array(2.0), psi_p=np.array(4.0)) | fields))


# The store


def test_what_is_there_is_not_computed_again(whole, tmp_path, monkeypatch):
    """Half of the units are gone, one is truncated, one has a bit flipped: these are computed, in another order."""
    folder, swept = copied(whole, tmp_path)
    names = sorted(file.name for file in folder.glob("units/d*.npz"))
    rng = np.random.default_rng(1)
    gone = set(rng.choice(names, size=UNITS // 2, replace=False))
    truncated, flipped = sorted(set(names) - gone)[:2]
    for name in gone:
        (folder / "units" / name).unlink()
    content = (folder / "units" / truncated).read_bytes()
    (folder / "units" / truncated).write_bytes(content[: len(content) // 2])
    spoil(folder / "units" / flipped)
    before = files(folder)
    computed = counted(monkeypatch)
    with pytest.warns(RuntimeWarning, match="will be computed again") as caught:
        again = tiny.sweep(folder)
    assert {truncated, flipped} == {name for name in names for w in caught if name in str(w.message)}
    assert again.equals(swept)
    assert sorted(computed) == sorted({name.removesuffix(".npz") for name in gone | {truncated, flipped}})
    assert all(files(folder)[name] == mark for name, mark in before.items() if name not in (truncated, flipped))
    assert tiny.sweep(folder).equals(swept) and len(computed) == len(gone) + 2


def copied(whole, tmp_path):
    folder, swept = whole
    new = tmp_path / "copy"
    for file in folder.rglob("*"):
        if file.is_file():
            (new / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (new / file.relative_to(folder)).write_bytes(file.read_bytes())
    return new, swept


def counted(monkeypatch):
    """Names of the units that are computed from now on."""
    names = []
    save = store.Store.save

    def spy(self, unit, result):
        names.append(unit)
        save(self, unit, result)

    monkeypatch.setattr(store.Store, "save", spy)
    return names


def spoil(file):
    """One bit of the numbers, where no archive's own checksum sees it: they are written anew around it."""
    with np.load(file) as archive:
        values = {name: archive[name] for name in archive.files}
    losses = values["losses"].view(np.uint64)
    losses.flat[3] ^= 1 << 40
    np.savez(file, **values)


def test_any_damaged_byte_is_found_or_harmless_and_a_unit_of_another_sweep_is_none(whole, tmp_path):
    """Files copied by hand from another store, or renamed, are no units, either."""
    folder, swept = copied(whole, tmp_path)
    file, other = sorted(folder.glob("units/d*.npz"))[:2]
    whole_file = file.read_bytes()
    for position in (300, -300, -3):
        content = bytearray(whole_file)
        content[position] ^= 0xFF
        file.write_bytes(content)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read = sweeps.load(folder)
        assert read.equals(swept) if not caught else np.isnan(read["simulation"]).sum() == 16
    file.write_bytes(other.read_bytes())
    with pytest.warns(RuntimeWarning, match="another unit"):
        assert np.isnan(sweeps.load(folder)["simulation"]).sum() == 16


def test_ridges_of_a_cell_stay_together(tmp_path):
    """One factorisation serves them all: a ridge computed alone would have other last digits."""
    problem = one_cell(ridge=np.array([1e-2, 0, 1e-1]), psi_n=np.array([[2.0], [3.0]]))
    plan = layout.layout(configuration.checked(problem, "simulation", 16, 4, 3, None, "float64", False))
    assert sorted(unit.cells for unit in plan.units) == [3, 3]
    options = dict(problem=problem, quantities="simulation")
    swept = tiny.sweep(tmp_path, **options)
    np.testing.assert_array_equal(swept["simulation"].sel(loss="test")[0], simulate(problem, 16, trials=4, key=3).test)
    next(tmp_path.glob("units/d*-000001.npz")).unlink()
    assert tiny.sweep(tmp_path, **options).equals(swept)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (dict(trials=5), "trials = 4 there, 5 here"),
        (dict(key=jax.random.key(3, impl="rbg")), "key.words"),
        (dict(dtype="float32"), 'dtype = "float64" there, "float32" here'),
        (dict(quantities="simulation"), 'quantities = ["comparison"] there, ["simulation"] here'),
        (dict(problem=dataclasses.replace(PROBLEM, activation="relu")), "problem.activation.polynomial"),
        (dict(problem=dataclasses.replace(PROBLEM, spectrum=spectra.atoms([0.5, 1.5]))), "problem.spectrum.nodes"),
    ],
)
def test_a_store_of_another_sweep_is_refused(other, named, whole):
    folder, _ = whole
    with pytest.raises(SweepError, match="holds another sweep") as caught:
        tiny.sweep(folder, **other)
    assert named in str(caught.value) and str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_store_of_another_version_is_refused(whole, tmp_path, monkeypatch):
    folder, _ = copied(whole, tmp_path)
    monkeypatch.setattr(configuration, "__version__", "0.2.0")
    with pytest.raises(SweepError, match=r'versions\.rfdsm = "0\.1\.0" there, "0\.2\.0" here'):
        tiny.sweep(folder)
    with pytest.raises(SweepError, match=r'versions\.rfdsm = "0\.1\.0" there, "0\.2\.0" here'):
        sweeps.resume(folder, progress=False)
    monkeypatch.setattr(configuration, "FORMAT", 2)
    with pytest.raises(SweepError, match="format 1, must be 2"):
        sweeps.load(folder)


def test_functions_are_told_by_their_values(tmp_path):
    """A store with an activation of the user's own resumes with it, not with another, and not without."""
    options = dict(quantities="theory")
    cubed = one_cell(activation=lambda u: u + 0.1 * u**3)
    swept = tiny.sweep(tmp_path, problem=cubed, **options)
    assert tiny.sweep(tmp_path, problem=one_cell(activation=lambda u: u + u**3 * 0.1), **options).equals(swept)
    with pytest.raises(SweepError, match=r"activation\.values"):
        tiny.sweep(tmp_path, problem=one_cell(activation=lambda u: u + 0.11 * u**3), **options)
    with pytest.raises(SweepError, match="a function that only its author has"):
        sweeps.resume(tmp_path, progress=False)
    assert sweeps.resume(tmp_path, problem=cubed, progress=False).equals(swept)
    assert sweeps.status(tmp_path).done == 1 and sweeps.failed(tmp_path) == []
    with pytest.raises(SweepError, match=r'activation\.custom = "custom" there, "sin" here'):
        sweeps.resume(tmp_path, problem=one_cell(activation=jnp.sin), progress=False)


@pytest.mark.parametrize("activation", ["tanh", activations.leaky_relu(0.3), activations.hermite([0, 1, 0.5])])
def test_a_configuration_survives_being_written(activation):
    fields = dict(psi_n=np.array([0.1, np.inf]), ridge=np.array(0.0), m=np.array(3.0))
    problem = one_cell(activation=activation, spectrum=spectra.power_law(1.5, 0.01), **fields)
    key = jax.random.key(7, impl="rbg")
    asked = configuration.checked(problem, "theory", None, 2, key, None, "float32", False)
    read = configuration.read(asked.text(), "here")
    assert read.text() == asked.text()
    assert read.problem.activation == problem.activation and read.problem.spectrum == problem.spectrum
    for name in ("psi_n", "psi_p", "m", "t", "ridge"):
        np.testing.assert_array_equal(getattr(read.problem, name), getattr(problem, name))
    assert jnp.array_equal(jax.random.key_data(read.key), jax.random.key_data(key))


# When it fails


class Disturbed:
    """In place of the simulation: raises on one group, so many times."""

    def __init__(self, times):
        error = RuntimeError("out of luck\nand memory")
        self.times, self.error, self.calls, self.simulated = times, error, 0, executors.simulated

    def __call__(self, model, plan):
        for group in plan.groups:
            if group.n == 33 and group.settings.p == 64:
                self.calls += 1
                if self.calls <= self.times:
                    raise self.error
            yield from self.simulated(model, plan._replace(groups=[group]))


def test_a_cell_that_always_raises_is_given_up(whole, tmp_path, monkeypatch):
    _, swept = whole
    disturbed = Disturbed(10**9)
    monkeypatch.setattr(executors, "simulated", disturbed)
    with pytest.warns(RuntimeWarning, match="1 cells failed 3 times.*RuntimeError: out of luck and memory"):
        lost = tiny.sweep(tmp_path)
    assert disturbed.calls == 3
    place = dict(psi_n=int(np.flatnonzero(swept["n"][0, :, 0] == 33)[0]), psi_p=0)
    assert int(lost["failed"].sum()) == 1 and int(lost["failed"][0].isel(place)) == 1
    assert lost["failure"][0].isel(place) == "RuntimeError: out of luck and memory"
    lost.to_netcdf(tmp_path / "lost.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "lost.nc", engine="scipy") as read:
        xr.testing.assert_equal(read, lost)
    assert np.isnan(lost["simulation"].isel(place)).all() and np.isnan(lost["mean"].isel(place)).all()
    rest = (lost["failed"] == 0).squeeze("d", drop=True)
    assert lost["simulation"].where(rest).equals(swept["simulation"].where(rest))
    assert (sweeps.status(tmp_path).done, sweeps.status(tmp_path).failed) == (UNITS - 1, 1)
    assert [failure.attempts for _, failure in sweeps.failed(tmp_path)] == [3]
    with pytest.warns(RuntimeWarning, match="1 cells failed"):
        assert tiny.sweep(tmp_path).equals(lost)
    assert disturbed.calls == 3
    disturbed.times, disturbed.error = 5, MemoryError()  # two more failures, and it is computed
    assert tiny.sweep(tmp_path, retry_failed=True).equals(swept) and disturbed.calls == 6
    assert sweeps.status(tmp_path).failed == 0 and tiny.sweep(tmp_path).equals(swept)


def test_an_interrupt_that_python_drops_is_not_lost(tmp_path, monkeypatch):
    """Ctrl-C while a destructor runs: its exception is ignored, the sweep stops at the next unit all the same."""
    keep = state.Sweep._settle

    class Doomed:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def settle(self, outcome):
        keep(self, outcome)
        if self.counts().done == 5:
            monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
            Doomed()

    monkeypatch.setattr(state.Sweep, "_settle", settle)
    with pytest.raises(Interrupted, match="5 of 40 cells done"):
        tiny.sweep(tmp_path / "kept")


def test_interrupted(whole, tmp_path):
    """By SIGTERM; by Ctrl-C in `test_command_line.py` and `test_workers.py`."""
    handlers = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]

    def report(counts):
        if counts.done == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="7 of 40 cells done and kept; resume with: rfdsm sweep --resume") as caught:
        tiny.sweep(tmp_path, progress=report)
    assert str(tmp_path) in str(caught.value)
    assert [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)] == handlers
    kept = files(tmp_path)
    assert len(kept) == 7 == sweeps.status(tmp_path).done
    partly = sweeps.load(tmp_path)
    assert np.isfinite(partly["simulation"]).sum() == 7 * 16 and np.isfinite(partly["limit"]).all()
    assert sweeps.resume(tmp_path, progress=False).equals(whole[1])
    assert kept.items() <= files(tmp_path).items()
    with pytest.raises(Interrupted, match="none kept: give a store"):
        tiny.sweep(None, progress=report)


def test_full_disk(whole, tmp_path):
    """The kernel refuses to write a file that is too large."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def report(counts):
        if counts.done == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))

    try:
        with pytest.raises(SweepError, match=f"store {tmp_path} cannot be used: File too large; what it holds stays"):
            tiny.sweep(tmp_path, progress=report)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [name for name in os.listdir(tmp_path / "units") if name.startswith(".")]
    assert sweeps.status(tmp_path).done == 5
    assert tiny.sweep(tmp_path).equals(whole[1])


# Refusals


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (dict(problem=dict(psi_n=1, psi_p=1, m=1, t=0.1, ridge=0, psi=3)), ["'psi'", "psi_n, psi_p, m, t, ridge"]),
        (dict(problem=3), ["problem = 3", "Problem"]),
        (dict(d=[16, 16]), ["d = [16, 16]", "different"]),
        (dict(d=[16, 2.5]), ["d = 2.5", "integer"]),
        (dict(trials=1), ["trials = 1", ">= 2"]),
        (dict(executor="threads"), ["executor = 'threads'", "processes:N", "dask"]),
        (dict(progress="yes"), ["progress = 'yes'"]),
        (dict(problem=one_cell(psi_n=np.linspace(1, 2, 10**7 + 1))), ["10000001 cells", "10000000", "confirm = True"]),
        (dict(problem=one_cell(psi_n=np.linspace(1, 2, 10**6)), d=list(range(16, 27))), ["11000000 cells"]),
        (dict(problem=one_cell(psi_p=np.inf)), ["psi_p = inf"]),
        (dict(d=10**6), ["memory"]),
        (dict(store="/proc/nowhere"), ["store /proc/nowhere", "No such file"]),
        (dict(store=os.path.dirname(__file__)), ["must be new or a sweep's own folder", "holds"]),
    ],
)
def test_bad_input(arguments, expected, tmp_path):
    with pytest.raises(ValueError) as caught:
        tiny.sweep(**(dict(store=tmp_path / "new") | arguments))
    for text in expected:
        assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new" / "sweep.json").exists()


def test_theory_takes_any_number_of_cells():
    """Only simulated cells are to be confirmed."""
    many = one_cell(psi_n=np.linspace(1, 2, 10**7 + 1))
    assert configuration.checked(many, "theory", None, 8, 0, None, "float64", False).dimensions == ()
    assert configuration.checked(many, "simulation", 16, 8, 0, None, "float64", True).simulates


def test_a_damaged_store_is_refused(whole, tmp_path):
    folder, _ = copied(whole, tmp_path)
    for spoilt in ("", "{}", "[1]", '{"format": 1}'):
        (folder / "sweep.json").write_text(spoilt)
        for use in (sweeps.load, sweeps.status, tiny.sweep):
            with pytest.raises(SweepError):
                use(folder)


# Progress


def test_counts_in_words():
    assert str(Counts(40, 12, 1, 3.21, 9.0)) == "12 of 40 cells done, 1 failed, 3.2 cells/s, 9 s left"
    assert str(Counts(40, 0, 0, np.nan, np.nan)) == "0 of 40 cells done"
    assert str(Counts(40, 40, 0, 100.0, 0.0)) == "40 of 40 cells done, 1e+02 cells/s"
    assert [duration(s) for s in (0.4, 59.0, 725.0, 3600.0, 12000.0, 187200.0)] == [
        "0 s", "59 s", "12 min 5 s", "1 h", "3 h 20 min", "2 d 4 h",
    ]  # fmt: skip


def test_every_unit_is_reported(tmp_path):
    seen = []
    tiny.sweep(tmp_path, quantities="simulation", progress=seen.append)
    assert [counts.done for counts in seen] == [*range(UNITS + 1), UNITS]
    assert all(counts.total == UNITS and counts.failed == 0 for counts in seen)
    assert np.isnan(seen[0].rate) and all(counts.rate > 0 for counts in seen[1:])
    assert seen[-1].remaining == 0 and seen[-1].remaining_seconds < 1e-6
    assert all(counts.remaining_seconds > 0 for counts in seen[1:-2])


def test_lines_where_there_is_no_terminal_and_a_bar_on_one(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with shown(True) as report:
        for done in range(41):
            report(Counts(40, done, 0, 3.0, 9.0))
    lines = capsys.readouterr().err.splitlines()
    assert 5 <= len(lines) <= 10 and lines[-1].startswith("sweep: 40 of 40 cells done, ")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with shown(True) as report:
        report(Counts(40, 12, 0, 3.0, 9.0))
    text = capsys.readouterr().err
    assert "\x1b[" in text and "12 of 40 cells done" in text and "cells/s" in text


def test_grids_over_size_share_compilations():
    """Twenty by twenty cells: p alone decides, and how the noise and the draws are handled."""
    for m, most in ((np.inf, 20), (4, 60)):
        problem = Problem.grid(np.geomspace(0.25, 16, 20), np.geomspace(0.25, 16, 20), m, 0.1, 1e-3)
        asked = configuration.checked(problem, "simulation", 100, 2, 0, None, "float64", False)
        groups = [unit.group for unit in layout.layout(asked).units]
        assert len(groups) == 400
        assert len({(group.settings, group.ridges.size) for group in groups}) <= most


def test_blocks_share_a_compilation_and_hold_every_unit_once():
    problem = Problem.grid(np.linspace(1, 5, 50), [4.0, 6.0], [1, np.inf], 0.1, 1e-2, CUBIC)
    plan = layout.layout(configuration.checked(problem, "simulation", [16, 20], 2, 0, None, "float64", False))
    cells = [(unit.d, cell) for unit in plan.units for cell in unit.group.cells]
    assert sorted(cells) == [(d, cell) for d in (16, 20) for cell in range(200)]
    for block in plan.blocks:
        assert len(block.units) <= layout.BLOCK and len({unit.group.settings for unit in block.units}) == 1
    assert len({block.name for block in plan.blocks}) == len(plan.blocks)
    assert len({unit.name for unit in plan.units}) == len(plan.units)


def test_results_keep_their_precision(tmp_path):
    place = store.Store(tmp_path, "text")
    (tmp_path / "units").mkdir()
    values = {"losses": np.array([[np.nan, np.inf], [-0.0, 1e-320]], np.float32), "flags": np.array([True, False])}
    place.save("unit", Result(values, 0.3, "cpu"))
    read = place.result("unit")
    assert read is not None and read.seconds == 0.3 and read.device == "cpu"
    for name, array in values.items():
        assert read.values[name].dtype == array.dtype and read.values[name].tobytes() == array.tobytes()
