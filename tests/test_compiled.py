"""What is compiled is kept by the command line, in a bounded folder, and by nobody who did not ask."""

import os
import subprocess
import sys

import pytest

from rfdsm import compiled

PREDICT = "from rfdsm.cli import main; raise SystemExit(main(['predict', '--psi-p', '2', '--m', '1', *sys.argv[1:]]))"
SMALL = "import rfdsm; rfdsm.predict = lambda _: (__import__('jax').jit(lambda x: x + 1)(1.0), sys.exit()); " + PREDICT
LIBRARY = "from rfdsm import activations; activations.get('tanh').moments(0.5, 0.5)"
START = (
    "from rfdsm.cli._environment import start_jax; start_jax(double=False); import jax; jax.jit(lambda x: x + 1)(1.0)"
)


def files(folder):
    return {path.name for path in folder.rglob("*-cache")}


def run(tmp_path, code=PREDICT, *words, **variables):
    """A process whose environment names no cache but those given, with a cache folder of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "RFDSM_"))}
    environ |= {"XDG_CACHE_HOME": str(tmp_path / "home"), **variables}
    command = [sys.executable, "-c", f"import sys; {code}", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_a_command_keeps_what_it_compiled_and_takes_it_from_there(tmp_path):
    first = run(tmp_path)
    kept = files(tmp_path / "home" / "rfdsm")
    assert kept and not first.stderr
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-cache")}
    assert run(tmp_path).stdout == first.stdout
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-cache")}


@pytest.mark.slow
def test_who_does_not_ask_keeps_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    run(tmp_path, LIBRARY)
    everything = dict(JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0", JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1")
    run(tmp_path, SMALL, "--no-cache", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "jax"), **everything)
    run(tmp_path, START, RFDSM_CACHE="off")
    refused = run(tmp_path, SMALL, RFDSM_CACHE=str(tmp_path / "file" / "x"))
    assert "RFDSM_CACHE" in refused.stderr and "cannot be written" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not run(tmp_path, START, XDG_CACHE_HOME=str(tmp_path / "file")).stderr  # nobody named it
    assert not files(tmp_path)


@pytest.mark.slow
def test_the_one_who_asks_says_where(tmp_path):
    run(tmp_path, START, RFDSM_CACHE=str(tmp_path / "named"))
    assert files(tmp_path) == files(tmp_path / "named") != set()
    given = dict(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "jax"), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
    run(tmp_path, START, **given)
    assert files(tmp_path / "jax") and not (tmp_path / "home").exists()
    # Although something was compiled before.
    asked = "import jax; jax.jit(lambda x: x + 1)(1.0); import rfdsm; rfdsm.compiled.keep('mine'); "
    asked += "jax.jit(lambda x: x + 2)(1.0)"
    run(tmp_path, asked)
    assert files(tmp_path / "mine")


def test_what_was_used_last_stays(tmp_path):
    for age in range(10):
        path = tmp_path / f"{age}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    compiled._bound(tmp_path, 1000)
    assert len(files(tmp_path)) == 10
    compiled._bound(tmp_path, 999)
    assert files(tmp_path) == {f"{age}-cache" for age in range(7)}


def test_processors_have_folders_of_their_own(tmp_path, monkeypatch):
    here = compiled._place(tmp_path)
    assert here == compiled._place(tmp_path) and here.parent == tmp_path
    monkeypatch.setattr(compiled.platform, "machine", lambda: "another")
    assert compiled._place(tmp_path) != here
