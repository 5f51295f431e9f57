"""Serving without a browser: what is refused at the door, what runs in a notebook, and what a missing extra says."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest

import rfdsm
from rfdsm import Problem
from rfdsm.cli._app import main
from rfdsm.explorer import _server as server
from rfdsm.explorer._controls import kind_of, uploaded, value_at
from rfdsm.explorer._state import State, low_rank


def test_bad_input_is_exit_code_2(capsys):
    for words, message in {
        "--port 99999": "--port 99999 must be an integer from 0 to 65535",
        "--port x": "'x' must be an integer",
        "--psi-p 1e9": "psi_p = 1e+09 must be from 0.05 to 500",
        "--spectrum sea": "spectrum 'sea' must be isotropic",
    }.items():
        assert main(["explore", "--no-browser", "--no-cache", *words.split()]) == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1


def test_a_busy_port_is_refused(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["explore", "--no-browser", "--port", str(port)]) == 2
    assert f"port = {port} cannot be used" in capsys.readouterr().err


def test_explore_serves_in_the_background_until_it_is_stopped(monkeypatch):
    before, closed = set(threading.enumerate()), []
    monkeypatch.setattr("rfdsm.explorer._page.Page.close", lambda *page, wait=False: closed.append((page, wait)))
    page = rfdsm.explore(Problem(4, 2, 4, 0.2, 0.01))
    try:
        assert "psi_n=4&psi_p=2" in page.url and page.url.startswith("http://127.0.0.1:")
        assert page.url in page._repr_html_() and page.url in repr(page)
        with urllib.request.urlopen(page.url.partition("?")[0] + "?psi_n=-1", timeout=600) as answer:
            assert b"rfdsm explorer" in answer.read()
    finally:
        page.stop()
    assert set(threading.enumerate()) <= before and closed[-1][1]  # nor does it compute any more


def test_ctrl_c_waits_for_what_is_computed(monkeypatch):
    """Python aborts if it ends while a thread compiles."""
    computed = []

    def compute(state):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        computed.append(state)

    monkeypatch.setattr("rfdsm.explorer._curves.curves", compute)
    assert main(["explore", "--no-browser"]) == 0 and computed == [State()]


@pytest.mark.slow
def test_a_missing_extra_is_told_in_one_line_and_all_below_the_page_works():
    code = (
        "import sys; sys.modules |= {'panel': None, 'bokeh': None}\n"
        "from rfdsm.explorer import _state, _presets, _curves, _diagram, _details\n"
        "from rfdsm.explorer import _exports, _simulations, _texts, _latest\n"
        "from rfdsm.cli._app import main\n"
        "sys.exit(main(['explore', '--no-browser']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"rfdsm: error: {server.MISSING}\n"


def test_slider_values_have_four_digits_and_stay_within():
    assert [value_at(place, (-1, 1)) for place in (0.30103, 5, -5)] == [2.0, 10, 0.1]


def test_kinds_of_spectra():
    kinds = {
        "isotropic": ("isotropic", 0),
        low_rank(0.25): ("low rank", 0.25),
        "power-law:1.5,0.01": ("power law", 1.5),
    }
    kinds |= dict.fromkeys(("power-law:1.5,0.1", "atoms:0.5,1.5", "isotropic:2"), ("list", 0))
    assert {text: kind_of(text) for text in kinds} == kinds


def test_files_of_spectra(tmp_path):
    def content(array):
        np.save(tmp_path / "x.npy", array)
        return (tmp_path / "x.npy").read_bytes()

    assert uploaded(content([0.5, 1.5])) == "atoms:0.5@0.5,1.5@0.5"
    assert State(spectrum=uploaded(content(np.diag([1.0, 1, 1, 3])))).problem().spectrum.mean == pytest.approx(1.5)
    cube, negative = content(np.ones((2, 2, 2))), content([-1.0])
    for bad, words in ((b"no file", "not a .npy file"), (cube, "shape"), (negative, ">= 0")):
        with pytest.raises(ValueError, match=words):
            uploaded(bad)
