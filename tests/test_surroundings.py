"""What surrounds a command: paths with ~, streams that cannot take its text, accelerators, settings of matplotlib."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jax
import matplotlib as mpl
import numpy as np
import pytest

import rfdsm
from rfdsm import Problem, _files as files, activations, data, sweeps
from rfdsm.cli import _environment as environment, main

CUBIC = ["--activation", "polynomial:0.1,1,0.3,0.1"]  # exact moments of others take long to compile in few dimensions
TINY = ["--psi-n", "2", "--psi-p", "1.5", "--m", "inf", *CUBIC]
PREDICTED = ["predict", *TINY]
GENERATED = ["linear", "generated", "--psi", "2", "5"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and another one to work in."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def tree(folder):
    return sorted(str(path.relative_to(folder)).replace(os.sep, "/") for path in folder.rglob("*") if path.is_file())


def one_line(err):
    assert err.startswith("rfdsm: error: ") and err.count("\n") == 1, err
    return err


# Paths


@pytest.mark.slow
def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(home, capsys):
    np.save(home / "eigenvalues.npy", [0.5, 1.5])
    rows = np.random.default_rng(0).normal(size=(40, 12))
    np.savetxt(home / "rows.CSV", rows, delimiter=",")
    (home / "eigenvalues.npy").rename(home / "eigenvalues.NPY")
    (home / "settings.toml").write_text("output = '~/by/file.CSV'\nspectrum = '~/eigenvalues.NPY'\n")
    commands = [
        [*PREDICTED, "--output=~/new/theory.NC"],
        [*PREDICTED, "--config=~/settings.toml"],
        ["simulate", *TINY, "--trials", "2", "--data=~/rows.CSV", "--output=~/simulated.csv"],
        ["sweep", *TINY, "--d", "6", "--quantities", "theory", "--store=~/kept", "--output=~/sweep.Nc"],
        ["sweep", "--resume=~/kept"],
        ["status", "~/kept"],
        ["plot", "~/new/theory.NC"],
        ["plot", "~/kept", "--output=~/drawn/swept.PNG"],
        [*GENERATED, "--output=~/linear", "--no-plot"],
    ]
    for command in commands:
        assert main(command) == 0, (command, capsys.readouterr().err)
    problem = Problem(2.0, 1.5, np.inf, 0.1, 1e-3, activations.polynomial([0.1, 1, 0.3, 0.1]))
    swept = sweeps.sweep(problem, quantities="theory", store="~/python", progress=False)
    assert sweeps.load("~/python").equals(swept) and sweeps.resume("~/python", progress=False).equals(swept)
    assert sweeps.status("~/python").done == 1 and sweeps.failed("~/python") == []
    np.testing.assert_allclose(sweeps._picture.opened("~/new/theory.NC")["test"], rfdsm.predict(problem).test)
    np.testing.assert_allclose(data.load("~/rows.CSV"), rows)
    assert tree(home.parent / "work") == []
    assert (home / "drawn" / "swept.PNG").read_bytes().startswith(b"\x89PNG")
    found = [name for name in tree(home) if name.split("/")[0] not in ("kept", "python", ".cache", ".config")]
    assert found == [
        "by/file.CSV", "drawn/swept.PNG", "eigenvalues.NPY", "linear/generated.nc", "new/theory.NC", "new/theory.png",
        "rows.CSV", "settings.toml", "simulated.csv", "sweep.Nc",
    ]  # fmt: skip
    assert {"kept/sweep.json", "kept/sweep.nc", "python/sweep.json"} <= set(tree(home))


def test_what_is_no_path_is_refused_at_the_door(home, capsys):
    (home / "folder.nc").mkdir()
    (home / "file").write_text("")
    for name, text in (("listed", b"[1]"), ("bytes", b"\xff")):
        (home / name).mkdir()
        (home / name / "sweep.json").write_bytes(text)
    np.save(home / "listed" / "data.npy", np.ones(3))
    (home / "~notes.csv").write_text("1,2\n3,5\n")
    (home / "loop.nc").symlink_to(home / "loop.nc")
    for source in (3, None, "", " ", "a\0b", "~nobody-at-all/x.nc"):
        with pytest.raises(ValueError, match=r"^output "):
            files.located(source, "output")
    assert str(files.located("~notes.csv", "data")) == "~notes.csv"
    assert files.located(b"~", "data") == home
    refused = {
        "~/folder.nc": "must be a file, but is a folder",
        "~/file/x.nc": "file is a file",
        "~/file/deeper/x.nc": "file is a file",
        "~/x.xls": "must end in .nc or .csv",
        "~/x": "must end in .nc or .csv",
        "~/x.nc/": "must be a file",
        "~/" + 300 * "x" + ".nc": "too long",
        "~/loop.nc": "ymbolic link",
        "~nobody-at-all/x.nc": "~nobody-at-all is nobody's home folder",
        "/proc/new/x.nc": "/proc/new/x.nc cannot be written",
        "~/file\0.nc": "null character",
    }
    if not Path("/proc").exists():
        del refused["/proc/new/x.nc"]
    for source, expected in refused.items():
        assert main([*PREDICTED, "--output", source]) == 2
        assert expected in one_line(capsys.readouterr().err), source
    for command, expected in {
        "compare --output=~/file": "file is a file",
        "phases --plot=~/x.gif": "must end in .png, .pdf, .svg",
        "phases --plot=~/folder.nc/x.png --output=~/folder.nc": "is a folder",
        "sweep --store=~/file": "file is a file",
        "sweep --resume=~/file": "file",
        "status ~/file": "must be the folder of a sweep",
        "status ~/listed": "store {home}/listed is damaged: sweep.json tells of no data",
        "plot ~/bytes": "bytes is damaged: sweep.json cannot be read",
        "phases --psi-n 1:2:99999999999": "COUNT >= 2, <= 1000000",
        "plot ~/missing.nc": "does not exist",
        "predict --config ~/folder.nc": "Is a directory",
        "predict --spectrum ~/missing.npy": "No such file",
        "compare --data ~nobody-at-all/x.npy": "nobody's home folder",
        "simulate --data=~/~notes.csv --output=~/~notes.csv": "must not replace the data",
    }.items():
        assert main(command.split()) == 2
        assert expected.format(home=home) in one_line(capsys.readouterr().err), command
    for store in (3, home / "file", "~/file"):
        with pytest.raises(ValueError, match=r"^store "):
            sweeps.sweep(Problem(1, 1, 1, 0.1, 1e-2), quantities="theory", store=store)
    assert tree(home) == ["bytes/sweep.json", "file", "listed/data.npy", "listed/sweep.json", "~notes.csv"]
    assert tree(home.parent / "work") == []


def test_there_is_room_before_anything_is_computed(home):
    path, older = home / "a" / "b" / "new.nc", home / "older" / "x.nc"
    older.parent.mkdir()
    with pytest.raises(KeyboardInterrupt), files.room(path, older):
        assert path.parent.is_dir() and not any(path.parent.iterdir())
        raise KeyboardInterrupt
    assert older.parent.is_dir() and not (home / "a").exists()
    long = home / "b" / ("x" * 250 + ".nc")  # a name as long as names can be
    with files.room(long), files.written(long) as partial:
        partial.write_text("whole")
    link = home / "link.nc"
    link.symlink_to(long)
    with files.written(link) as partial:
        partial.write_text("new")
    assert link.is_symlink() and long.read_text() == "new" and list(long.parent.iterdir()) == [long]


# Streams


def unread():
    """A pipe that nobody reads."""
    end, other = os.pipe()
    os.close(end)
    return open(other, "w", encoding="utf-8")


def full():
    """A file on a full disk."""
    return open("/dev/full", "w", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
def test_files_are_there_whatever_becomes_of_the_text(home, monkeypatch, capsys):
    """One line where there is something to tell, and none to a closed pipe."""
    work = home.parent / "work"
    commands = ([*GENERATED, "--output", "out"], [*PREDICTED, "--output", "out/x.nc"], ["--help"], ["--version"])
    for command, count in zip(commands, (2, 1, 0, 0), strict=True):
        for make, code, expected in ((full, 2, "standard output cannot be written: No space"), (unread, 141, "")):
            with monkeypatch.context() as patch, make() as stream:
                patch.setattr(sys, "stdout", stream)
                assert main(command) == code, command
            err = capsys.readouterr().err
            assert (expected in one_line(err)) if expected else (err == ""), command
            assert len(tree(work)) == count
            shutil.rmtree(work / "out", ignore_errors=True)
    for make in (full, unread, lambda: contextlib.nullcontext(None)):  # standard error; None: closed from the start
        with monkeypatch.context() as patch, make() as stream:
            patch.setattr(sys, "stderr", stream)
            assert main(["simulate", *TINY, "--d", "12", "--trials", "2", "--output", "y.nc"]) == 0
            assert main(["frobnicate"]) == 2
        assert tree(work) == ["y.nc"]


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "utf-8"])
def test_text_in_any_encoding(encoding, monkeypatch):
    calls = [["--help"], ["compare", "--help"], ["phases", "--help"], ["--version"], ["frobnicate – ±"], PREDICTED]
    calls += [["simulate", *TINY, "--d", "12", "--trials", "2"]]
    shown = []
    for call in calls:
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding))
            assert main(call) == (2 if call[0].startswith("frob") else 0)
            sys.stderr.flush()
            assert sys.stdout.errors == sys.stderr.errors == "strict"  # as they were
            shown.append(out.getvalue() + err.getvalue())
    texts = [text.decode(encoding) for text in shown]
    assert all(texts) and "polynomial:C0,C1," in texts[1].replace("\n", "") and "0.1" in texts[5]
    assert (" ± " in texts[6]) == (encoding != "ascii")
    assert ("┃" in texts[5]) == (encoding == "utf-8")


@pytest.mark.slow
def test_streams_of_a_process(tmp_path):
    """What is left in the buffers when Python ends, and the exit codes that a shell sees."""
    program = f"{sys.executable} -m rfdsm.cli"
    command = f"{program} {' '.join(PREDICTED)}"
    lines = {
        f"{command} --output=a.nc | true; echo ${{PIPESTATUS[0]}}": (["141\n"], ""),
        f"{program} --help > /dev/full": ([""], "rfdsm: error: standard output cannot be written: No space"),
        f"{command} --output=c.nc >&- 2>&-; echo $?": (["0\n"], ""),
        f"{program} --version | true; echo ${{PIPESTATUS[0]}}": (["141\n", "0\n"], ""),  # true may be slow to end
    }
    for line, (ends, err) in lines.items():
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert any(done.stdout.endswith(end) for end in ends) and done.stderr.startswith(err), (line, done)
        assert done.stderr.count("\n") == bool(err) and done.returncode == (2 if err else 0), (line, done)
    assert tree(tmp_path) == ["a.nc", "c.nc"]


# Accelerators, and matplotlib's settings


def test_an_accelerator_that_is_not_there(monkeypatch, capsys, home):
    for name, error in {
        "cuda": AssertionError(),
        "tpu": RuntimeError("Unable to initialize backend 'tpu': no libtpu.so"),
        "nonsense": RuntimeError("Unable to initialize backend 'nonsense': not in the list\nof known backends"),
    }.items():
        monkeypatch.setattr(jax, "devices", mock.Mock(side_effect=error))
        monkeypatch.setenv("JAX_PLATFORMS", name)
        for command in (PREDICTED, ["compare"], ["simulate"], ["train-curve"], ["phases"], ["advise", "--n=9", "--d=3"],
                        ["sweep"], ["linear", "generated"]):  # fmt: skip
            assert main(command) == 2
            assert f"JAX_PLATFORMS = {name} cannot be used: " in one_line(capsys.readouterr().err)
    assert tree(home.parent) == []


@pytest.mark.slow
def test_a_picture_that_cannot_be_drawn_costs_no_numbers(home, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    for setting, value in {"text.usetex": True, "font.size": float("nan"), "savefig.transparent": "never"}.items():
        with mpl.rc_context():
            dict.__setitem__(mpl.rcParams, setting, value)
            code = main([*GENERATED, "--output", "out"])
        streams_ = capsys.readouterr()
        if code == 0:  # another release of matplotlib may well draw it
            assert setting != "text.usetex"
            continue
        assert code == 2 and f"generated.png cannot be drawn: {setting} = " in one_line(streams_.err)
        assert "wrote out/generated.nc (" in streams_.out.replace(os.sep, "/")
        assert tree(home.parent / "work") == ["out/generated.nc"]


def test_a_cache_that_cannot_be_written_is_told_once(home):
    (home / "file").write_text("")
    with pytest.warns(RuntimeWarning, match="JAX_COMPILATION_CACHE_DIR = .*file/x cannot be written") as told:
        environment._check_cache(str(home / "file" / "x"), "JAX_COMPILATION_CACHE_DIR")
    assert len(told) == 1


@pytest.mark.slow
def test_environments_of_a_process(tmp_path):
    rc = tmp_path / "rc"
    rc.write_text("text.usetex: True\n")
    generated = f"{' '.join(GENERATED)} --output "
    cases = [
        ("XLA_FLAGS=--nonsense predict", 2, "XLA_FLAGS = --nonsense: Unknown flag in XLA_FLAGS: --nonsense"),
        (f"MPLBACKEND=wrong {generated} a", 2, "MPLBACKEND = wrong"),
        (f"MATPLOTLIBRC={rc} PATH=/none {generated} b", 2, f"text.usetex = True in {rc}: "),
        ("COLUMNS=0 TERM=dumb LC_ALL=C OPENBLAS_NUM_THREADS=many --help", 0, ""),
    ]
    for line, code, expected in cases:
        words = line.split()
        given = dict(word.split("=", 1) for word in words if word[0].isupper())
        command = [sys.executable, "-m", "rfdsm.cli", *(word for word in words if not word[0].isupper())]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MPL")} | given
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=600)
        assert done.returncode == code, (line, done)
        assert expected in (one_line(done.stderr) if code else done.stderr + expected), (line, done)
    assert [name for name in tree(tmp_path) if name[1] == "/"] == [f"{x}/generated.nc" for x in "ab"]


@pytest.mark.slow
def test_a_defect_in_drawing_keeps_its_traceback(home, monkeypatch):
    monkeypatch.setattr("rfdsm.plots.losses", mock.Mock(side_effect=RuntimeError("a defect")))
    with pytest.raises(RuntimeError, match="a defect"):
        main([*GENERATED, "--output", "out"])
    assert tree(home.parent / "work") == ["out/generated.nc"]
