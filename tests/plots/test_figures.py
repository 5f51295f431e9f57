"""The pictures of the documentation are those that the code draws.

What needs no simulation is drawn again and compared; `python -m benchmarks.figures` draws the others too.
"""

import re
from pathlib import Path

import pytest
from matplotlib.testing.compare import compare_images

from benchmarks.figures import FIGURES

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
THEORY = ("phases_time", "phases_ridge", "linear_generated", "linear_chain", "time_scales")
ROOT_MEAN_SQUARE = 2.0  # of 255: another release of the font renderer, but no other curve
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_picture_of_a_page_can_be_drawn():
    shown = {
        (page.parent / address).resolve()
        for page in PAGES
        for address in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", page.read_text())
    }
    assert shown == {IMAGES / f"{name}.png" for name in FIGURES} == set(IMAGES.iterdir())


@pytest.mark.parametrize("name", THEORY)
def test_drawn_again(name, tmp_path):
    FIGURES[name](tmp_path / f"{name}.png")
    difference = compare_images(
        str(IMAGES / f"{name}.png"), str(tmp_path / f"{name}.png"), ROOT_MEAN_SQUARE, in_decorator=True
    )
    assert difference is None, difference
