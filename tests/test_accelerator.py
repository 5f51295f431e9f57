"""The script for borrowed accelerators runs to its end, at tiny size, on the CPU."""

import json

import pytest

from benchmarks import accelerator


@pytest.mark.slow
@pytest.mark.usefixtures("one_contour")
def test_every_part_runs_and_is_kept(tmp_path):
    report = accelerator.main(["--size", "tiny", "--json", str(tmp_path / "report.json")])
    assert report == json.loads((tmp_path / "report.json").read_text())
    parts = report["parts"]
    assert list(parts) == list(accelerator.PARTS) and report["missing"] == []
    assert not any(isinstance(value, str) for figures in parts.values() for value in figures.values())
    for name, difference in parts["agreement"].items():
        assert difference < (1e-4 if "float32" in name else 1e-11), name
    assert parts["predict"]["not converged"] == 0


@pytest.mark.slow
def test_what_is_missing_is_said(monkeypatch, capsys):
    monkeypatch.setitem(accelerator.PARTS, "adam", lambda _: __import__("a_module_that_is_nowhere"))
    report = accelerator.main(["--only", "adam"])
    assert report["parts"]["adam"] == {"skipped": "needs a_module_that_is_nowhere"}
    assert "skipped" in capsys.readouterr().out
