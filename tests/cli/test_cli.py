"""The command line: what it computes, what it writes, and how it refuses."""

import math
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import get_type_hints

import jax
import numpy as np
import pytest
import xarray as xr

import rfdsm
from rfdsm import _files as files, activations, spectra
from rfdsm._problem import FIELDS, Problem
from rfdsm.cli import _output as output, main
from rfdsm.cli._linear import COMMANDS as LINEAR
from rfdsm.cli._settings import COMMANDS

PNG = b"\x89PNG\r\n\x1a\n"
CUBIC = ["--activation", "polynomial:0.1,1,0.3,0.1"]  # exact moments of others take long to compile in few dimensions
TINY = ["--psi-n", "4", "--psi-p", "1", "4", "--m", "1", "inf", *CUBIC]
TINY_PROBLEM = Problem.grid(
    psi_n=4, psi_p=[1, 4], m=[1, math.inf], t=0.1, ridge=1e-3, activation=activations.polynomial([0.1, 1, 0.3, 0.1])
)
SMALL = ["--d", "16", "--trials", "2"]


def assert_refused(code: int, err: str, *expected: str) -> None:
    assert code == 2
    assert err.startswith("rfdsm: error: ") and err.count("\n") == 1 and err.endswith("\n")
    assert all(text in err for text in expected), err


class Asked(Exception):
    """Raised in place of a computation; carries what was asked for."""

    def __init__(self, problem, d=None, **arguments):
        self.problem, self.d, self.arguments = problem, d, arguments


def refuse_to_compute(problem, d=None, **arguments):
    raise Asked(problem, d, **arguments)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Calls the command line in an empty folder and returns what the library was asked, without computing it."""
    monkeypatch.chdir(tmp_path)
    for name in ("compare", "predict", "simulate"):
        monkeypatch.setattr(rfdsm, name, refuse_to_compute)

    def call(*arguments: str) -> Asked:
        with pytest.raises(Asked) as caught:
            main(arguments)
        return caught.value

    return call


def assert_same(problem: Problem, expected: Problem) -> None:
    assert problem.shape == expected.shape
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(problem, name), getattr(expected, name))
    assert problem.activation == expected.activation
    assert problem.spectrum == expected.spectrum


# Help


def test_import_loads_nothing_heavy():
    heavy = "{'jax', 'numpy', 'scipy', 'xarray', 'matplotlib', 'equinox', 'optax', 'sklearn'}"
    code = f"import sys, rfdsm.cli._app; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("command, fields", [*COMMANDS.items(), *((f"linear {k}", v) for k, v in LINEAR.items())])
def test_help_names_every_option(command, fields, capsys):
    above = command.split()[:-1]
    assert main([*command.split(), "--help"]) == 0
    text, options = capsys.readouterr().out, get_type_hints(fields, include_extras=True)
    for name in fields.__dataclass_fields__:
        hidden = any(getattr(more, "show", None) is False for more in options[name].__metadata__)  # refused in words
        assert ("--" + name.replace("_", "-") in text) or hidden
    assert "--config" in text
    assert main([*above, "--help"]) == 0
    assert command.split()[-1] in capsys.readouterr().out


def test_one_version_everywhere():
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == rfdsm.__version__
    assert f"\nversion: {rfdsm.__version__}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{rfdsm.__version__}]" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


# End to end


@pytest.mark.slow
def test_compare(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *TINY, *SMALL, "--output", "result"]) == 0
    out, err = capsys.readouterr()
    assert "result/losses.nc and result/losses.png" in out.replace(os.sep, "/")
    assert "4 of 4 cells" in err
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == ["losses.nc", "losses.png"]
    assert (tmp_path / "result" / "losses.png").read_bytes().startswith(PNG)
    simulated = rfdsm.simulate(TINY_PROBLEM, 16, trials=2)
    with xr.open_dataset(tmp_path / "result" / "losses.nc") as dataset:
        np.testing.assert_array_equal(dataset["m"], [1, math.inf])
        for name in simulated.NAMES:
            cells = dataset.sel(loss=name).squeeze("d").transpose("trial", "psi_p", "m")
            np.testing.assert_allclose(cells["limit"], getattr(rfdsm.predict(TINY_PROBLEM), name), rtol=1e-10)
            np.testing.assert_allclose(cells["simulation"], getattr(simulated, name), rtol=1e-10)


@pytest.mark.parametrize("suffix", ["nc", "csv"])
def test_predict_writes_what_the_library_returns(suffix, tmp_path, capsys):
    path = tmp_path / "new" / f"theory.{suffix}"
    assert main(["predict", *TINY, "--output", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    expected = rfdsm.predict(TINY_PROBLEM)
    if suffix == "nc":
        with xr.open_dataset(path) as dataset:
            cells = dataset.transpose("psi_p", "m").load()
        np.testing.assert_array_equal(cells["psi_p"], [1, 4])
        np.testing.assert_array_equal(cells["m"], [1, math.inf])
    else:
        cells = np.genfromtxt(path, delimiter=",", names=True)
        np.testing.assert_array_equal(cells["psi_p"], [1, 1, 4, 4])
        np.testing.assert_array_equal(cells["m"], [1, math.inf, 1, math.inf])
    for name in expected.NAMES:
        np.testing.assert_allclose(np.ravel(cells[name]), np.ravel(getattr(expected, name)), rtol=1e-15)


def test_predict_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *TINY]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "psi_n = 4, t = 0.1, ridge = 0.001" in out
    assert all(f"{value:.6f}" in out for value in np.ravel(rfdsm.predict(TINY_PROBLEM).test))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_simulate_table(capsys):
    arguments = ["simulate", *TINY, *SMALL, "--key", "3"]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    losses = rfdsm.simulate(TINY_PROBLEM, 16, trials=2, key=3)
    test = np.asarray(losses.test)
    mean, error = test.mean(axis=0), np.abs(test[0] - test[1]) / 2
    for cell in zip(mean.ravel(), error.ravel(), strict=True):
        assert "{:.4f} ± {:.4f}".format(*cell) in table


@pytest.fixture
def rng_rows():
    return np.random.default_rng(0).normal(size=(60, 6)) * [1, 1, 2, 2, 3, 3] + 5


# What is asked of the library


def test_defaults(asked):
    question = asked("compare")
    psi_p = [2.0**k for k in range(-2, 5)]
    assert_same(question.problem, Problem.grid(psi_n=2, psi_p=psi_p, m=[1, 4, 16, math.inf], t=0.1, ridge=1e-3))
    assert question.arguments["data"] is None


def test_every_field_is_an_option(asked):
    question = asked(
        "compare", "--psi-n", "2,3", "--psi-p", "1", "0.5", "--m", "1,", "inf", "--t", ".2", "--ridge", "1e-2",
        "--activation", "relu", "--spectrum", "atoms:0.5,1.5", "--d", "16", "32", "--trials", "5", "--key", "7",
        "--dtype", "float32",
    )  # fmt: skip
    expected = Problem.grid([2, 3], [1, 0.5], [1, math.inf], 0.2, 1e-2, "relu", spectra.atoms([0.5, 1.5]))
    assert_same(question.problem, expected)
    assert question.d == [16, 32]
    arguments = {name: value for name, value in question.arguments.items() if name not in ("data", "progress")}
    assert arguments == {"trials": 5, "key": 7, "dtype": "float32"}


def test_notation_of_activations_and_spectra(asked):
    points = np.linspace(-2, 2, 9)
    for text, expected in (
        ("leaky_relu", activations.get("leaky_relu")),
        ("leaky_relu:0.2", activations.leaky_relu(0.2)),
        ("polynomial:0,1,0.5", activations.polynomial([0, 1, 0.5])),
        ("hermite:0,1,-0.5", activations.hermite([0, 1, -0.5])),
    ):
        activation = asked("predict", "--activation", text).problem.activation
        np.testing.assert_array_equal(activation(points), expected(points))
        assert activation.name == expected.name
    for text, expected in (
        ("isotropic:2", spectra.isotropic(2.0)),
        ("atoms:0.5,1.5", spectra.atoms([0.5, 1.5])),
        ("atoms:0.5@0.25, 1.5@0.75", spectra.atoms([0.5, 1.5], [0.25, 0.75])),
        ("power-law:1.5,0.01", spectra.power_law(1.5, 0.01)),
    ):
        assert asked("predict", "--spectrum", text).problem.spectrum == expected


@pytest.mark.filterwarnings("always")
def test_spectrum_files(asked, tmp_path, capsys):
    np.save(tmp_path / "eigenvalues.npy", [0.5, 1.0, 1.5])
    np.save(tmp_path / "covariance.npy", [[1.0, 0.5], [0.5, 1.0]])
    from_list = asked("predict", "--spectrum", "eigenvalues.npy").problem.spectrum
    assert from_list == spectra.from_eigenvalues([0.5, 1.0, 1.5])
    np.save(tmp_path / "single.npy", [1.85, 1.0, -4e-8])
    from_single = asked("predict", "--spectrum", "single.npy").problem.spectrum
    np.testing.assert_allclose(from_single.nodes, [0, 1, 1.85], rtol=1e-14)
    assert capsys.readouterr().err.startswith("rfdsm: warning: values are those of single precision")
    from_matrix = asked("predict", "--spectrum", "covariance.npy").problem.spectrum
    assert from_matrix == spectra.from_covariance(np.array([[1.0, 0.5], [0.5, 1.0]]))


def test_data_brings_dimension_and_rows(asked, tmp_path, rng_rows):
    np.save(tmp_path / "rows.npy", rng_rows)
    question = asked("compare", "--data", "rows.npy", "--psi-n", "3")
    assert question.d == 6
    assert question.problem.psi_n == 3
    assert question.problem.spectrum == spectra.from_data(rfdsm.data.standardise(rng_rows))
    np.testing.assert_allclose(question.arguments["data"], rfdsm.data.standardise(rng_rows), rtol=1e-15)
    assert asked("compare", "--data", "rows.npy").problem.psi_n == 5  # half of the rows
    assert asked("compare", "--data", "digits").problem.psi_n == 8


@pytest.mark.filterwarnings("always")
def test_headers_and_indices_of_tables(asked, tmp_path, rng_rows, capsys):
    rows = rng_rows[:, :4]
    np.savetxt(tmp_path / "rows.csv", np.c_[np.arange(len(rows)), rows], delimiter=",", fmt=["%d"] + ["%.17g"] * 4)
    assert asked("compare", "--data", "rows.csv").d == 4
    assert capsys.readouterr().err.startswith(
        "rfdsm: warning: the first column of data file 'rows.csv' counts the rows"
    )
    assert asked("compare", "--data", "rows.csv", "--index").d == 4
    assert asked("compare", "--data", "rows.csv", "--no-index", "--no-header").d == 5
    np.testing.assert_allclose(
        asked("compare", "--data", "rows.csv", "--index", "--header").arguments["data"],
        rfdsm.data.standardise(rows[1:]),
        rtol=1e-12,
    )
    (tmp_path / "settings.toml").write_text("data = 'rows.csv'\nindex = false")
    assert asked("simulate", "--config", "settings.toml").d == 5
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("arguments", "updates"), [([], [("jax_enable_x64", True)]), (["--dtype", "float32"], [])])
def test_double_precision_unless_single_is_asked(arguments, updates, asked, monkeypatch):
    seen = []
    monkeypatch.setattr(jax.config, "update", lambda *update: seen.append(update))
    asked("simulate", *arguments)
    assert seen == updates


# Configuration files

OPTIONS = "--psi-n 2 --psi-p 1 4 --m 1 inf --activation leaky_relu:0.2 --d 8 --key 1"


@pytest.mark.parametrize(
    "text",
    [
        "psi_n = 2\npsi_p = [1, 4.0]\nm = [1, inf]\nactivation = 'leaky_relu:0.2'\nd = 8\nkey = 1",
        "psi-n = 2\npsi-p = '1,4'\nm = ['1', 'inf']\nactivation = 'leaky_relu:0.2'\nd = [8]\nkey = '1'",
        "psi_n = 9\npsi_p = [1, 4]\nm = [1, inf]\nd = 8\n"
        "[simulate]\npsi_n = 2\nactivation = 'leaky_relu:0.2'\nkey = 1\n"
        "[predict]\npsi_n = 5\n[compare]\nplot = false",
    ],
)
def test_file_equals_options(text, asked, tmp_path):
    (tmp_path / "settings.toml").write_text(text)
    expected = asked("simulate", *OPTIONS.split())
    question = asked("simulate", "--config", "settings.toml")
    assert_same(question.problem, expected.problem)
    assert question.d == expected.d == 8
    assert question.arguments["key"] == expected.arguments["key"] == 1
    overridden = asked("simulate", "--config", "settings.toml", "--psi-n", "7")
    assert overridden.problem.psi_n == 7 and overridden.d == 8


# Refusals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("psi = 2", ["settings.toml", "'psi'", "psi_n, psi_p, m, t, ridge, activation, spectrum"]),
        ("config = 'other.toml'", ["unknown key 'config'"]),
        ("[compare]\nfoo = 1", ["settings.toml [compare]", "'foo'", "trials"]),
        ("psi_n = 1\npsi-n = 1", ["psi_n", "twice"]),
        ("psi_n = 'x'", ["settings.toml: psi_n", "'x'"]),
        ("psi_n = []", ["settings.toml: psi_n", "at least one value"]),
        ("activation = ['tanh', 'relu']", ["settings.toml: activation", "one value"]),
        ("psi_n = ", ["settings.toml", "not a TOML file"]),
    ],
)
def test_bad_file(text, expected, asked, tmp_path, capsys):
    (tmp_path / "settings.toml").write_text(text)
    assert_refused(main(["predict", "--config", "settings.toml"]), capsys.readouterr().err, *expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("frobnicate", ["frobnicate"]),
        ("predict --bogus 3", ["--bogus"]),
        ("predict --psi-n", ["--psi-n", "at least one value"]),
        ("predict --psi-n 0", ["psi_n", "0"]),
        ("predict --activation swoosh", ["swoosh"]),
        ("predict --spectrum atoms:1@0.5,2", ["weight"]),
        ("predict --spectrum power-law:1", ["power-law"]),
        ("predict --spectrum archive.npy", ["archive.npy", "not a .npy file of numbers, but an archive"]),
        ("compare --output ", ["--output", "needs one value"]),
        ("predict --config missing.toml", ["missing.toml", "No such file"]),
        ("predict --config", ["--config"]),
        ("simulate --d 8,16", ["d = [8, 16]", "one dimension"]),
        ("simulate --d 8.5", ["--d", "'8.5'"]),
        ("simulate --trials 1 --trials 2", ["--trials"]),
        ("simulate --key 4294967296", ["--key", "4294967295"]),
        ("compare --output taken", ["losses.png", "is a folder"]),
        ("compare --data digits --d 64", ["d cannot be combined with data"]),
        ("compare --data words.csv", ["words.csv"]),
        ("compare --index", ["--index: needs data"]),
        ("compare --data digits --no-header", ["header is for .csv files"]),
    ],
)
def test_bad_input_is_one_line_before_any_work(arguments, expected, asked, tmp_path, capsys):
    (tmp_path / "taken" / "losses.png").mkdir(parents=True)
    (tmp_path / "words.csv").write_text("1,2\n3,four\n")
    with (tmp_path / "archive.npy").open("wb") as archive:
        np.savez(archive, np.ones(2))
    assert_refused(main(arguments.split(" ")), capsys.readouterr().err, *expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("simulate --ridge 0 --dtype float32", ["dtype", "ridge"]),
        ("simulate --d 1000000 --psi-n 100 --psi-p 100 --m 1", ["memory"]),
        ("compare --data rows.npy --psi-n 100", ["60"]),
    ],
)
def test_the_library_refuses_in_one_line(arguments, expected, tmp_path, capsys, monkeypatch, rng_rows):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "rows.npy", rng_rows)
    assert_refused(main(arguments.split()), capsys.readouterr().err, *expected)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]


def test_folder_without_permission(asked, capsys, monkeypatch):
    # The tests may run as a user to whom everything is permitted.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert_refused(main(["compare"]), capsys.readouterr().err, "no permission")
    assert_refused(main(["predict", "--output", "result.nc"]), capsys.readouterr().err, "no permission")


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (MemoryError("needs 9 TiB"), 2, "rfdsm: error: not enough memory: needs 9 TiB\n"),
        (MemoryError(), 2, "rfdsm: error: not enough memory\n"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out\nof memory"), 2,
         "rfdsm: error: not enough memory: RESOURCE_EXHAUSTED: Out of memory\n"),
        (ValueError("several\nlines"), 2, "rfdsm: error: several lines\n"),
        (KeyboardInterrupt(), 130, "rfdsm: interrupted\n"),
    ],
)  # fmt: skip
def test_failures_while_computing(failure, code, line, capsys, monkeypatch):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(rfdsm, "predict", fail)
    assert main(["predict"]) == code
    assert capsys.readouterr().err == line


def test_warnings_are_one_line(capsys, monkeypatch):
    def warn(problem):
        warnings.warn("the ridge is\ntoo small", RuntimeWarning, stacklevel=1)
        return original(problem)

    original = rfdsm.predict
    monkeypatch.setattr(rfdsm, "predict", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["predict", *TINY]) == 0
    assert capsys.readouterr().err == "rfdsm: warning: the ridge is too small\n"


# Output


def test_interrupted_write_keeps_the_older_file(tmp_path):
    path = tmp_path / "result.csv"
    path.write_text("older")
    with pytest.raises(KeyboardInterrupt), files.written(path) as partial:
        partial.write_text("new, incom")
        raise KeyboardInterrupt
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_progress_in_lines_and_on_a_terminal(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with output.progress("simulating") as report:
        for done in range(1, 101):
            report(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10 and lines[-1].startswith("simulating: 100 of 100 cells")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with output.progress("simulating") as report:
        report(3, 4)
    text = capsys.readouterr().err
    assert "\x1b[" in text and "3/4" in text


def test_table_tells_which_cells_did_not_converge():
    losses = rfdsm.predict(TINY_PROBLEM)
    assert "converged" not in [column.header for column in output.losses_table(TINY_PROBLEM, losses).columns]
    converged = np.array([[True, False], [True, True]])
    failed = type(losses)(**{**vars(losses), "converged": converged})
    table = output.losses_table(TINY_PROBLEM, failed)
    assert list(table.columns[-1].cells) == ["yes", "no", "yes", "yes"]
