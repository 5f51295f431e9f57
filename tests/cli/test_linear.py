"""`rfdsm linear`: what it writes, what it asks of the library, and how it refuses."""

import numpy as np
import pytest
import xarray as xr

from rfdsm import linear
from rfdsm.cli import main

PNG = b"\x89PNG\r\n\x1a\n"


def test_generated(tmp_path, capsys):
    assert main(["linear", "generated", "--psi", "0.5", "2", "--T", "1,2", "--output", str(tmp_path / "out")]) == 0
    assert "generated.nc and" in capsys.readouterr().out
    assert (tmp_path / "out" / "generated.png").read_bytes().startswith(PNG)
    law = linear.generated(linear.Problem.grid([0.5, 2], [1.0, 2.0]))
    with xr.open_dataset(tmp_path / "out" / "generated.nc") as dataset:
        np.testing.assert_allclose(dataset["kl"].transpose("psi", "T"), law.kl, rtol=1e-12)
        assert dataset["noise_scale"].dims == ("T",)


def test_compare_with_a_file_of_settings(tmp_path, capsys):
    (tmp_path / "study.toml").write_text(
        "T = 1\n[compare]\npsi = [0.5, 2]\nd = 30\ntrials = 5\nridge = 0.1\n[memorisation]\nfresh = 9\n"
    )
    arguments = ["--config", str(tmp_path / "study.toml"), "--trials", "2", "--d", "8", "--smoothing", "0.1"]
    assert main(["linear", "compare", *arguments, "--output", str(tmp_path / "out")]) == 0
    assert "standard" not in capsys.readouterr().err
    with xr.open_dataset(tmp_path / "out" / "comparison.nc") as dataset:
        assert dict(dataset.sizes) == {"quantity": 10, "d": 1, "trial": 2, "psi": 2}
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(PNG)


def test_memorisation(tmp_path, capsys):
    small = ["--d", "8", "--trials", "3", "--fresh", "50", "--psi", "0.5", "2", "--no-plot"]
    assert main(["linear", "memorisation", *small, "--output", str(tmp_path)]) == 0
    assert "P(Delta > 0)" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["memorisation.nc"]
    with xr.open_dataset(tmp_path / "memorisation.nc") as dataset:
        assert dataset["sign"].shape == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["generated", "--smoothing", "0,1"], "'0,1' is not a number"),
        (["generated", "--spectrum", "flat"], "spectrum 'flat'"),
        (["memorisation", "--d", "10", "20"], "one dimension"),
        (["memorisation", "--spectrum", "atoms:1,2"], "--spectrum"),
        (["generate"], "generate"),
    ],
)
def test_refusals(arguments, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["linear", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rfdsm: error: ") and text in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
