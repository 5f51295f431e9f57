"""Pictures of datasets: every function takes and returns matplotlib Axes, and computes nothing."""

from rfdsm.plots.compared import comparison, loss
from rfdsm.plots.density import spectrum
from rfdsm.plots.style import AXIS_LABELS, COLOURS, MARKERS, SYMBOLS, TITLES, abscissa

__all__ = ["AXIS_LABELS", "COLOURS", "MARKERS", "SYMBOLS", "TITLES", "abscissa", "comparison", "loss", "spectrum"]
