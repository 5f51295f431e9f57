"""Pictures of datasets: every function takes and returns matplotlib Axes, and computes nothing."""

from rfdsm.plots._best_target import best_target
from rfdsm.plots._compared import comparison, loss, losses, z_scores
from rfdsm.plots._density import spectrum
from rfdsm.plots._generated import generation
from rfdsm.plots._learning import training
from rfdsm.plots._networks import networks
from rfdsm.plots._networks_times import against_n, over_time
from rfdsm.plots._regimes import heatmap, phase_diagram
from rfdsm.plots._solved import roots, widths
from rfdsm.plots._style import AXIS_LABELS, COLOURS, MARKERS, REGIMES, SYMBOLS, TITLES, abscissa

__all__ = [
    "AXIS_LABELS",
    "COLOURS",
    "MARKERS",
    "REGIMES",
    "SYMBOLS",
    "TITLES",
    "abscissa",
    "against_n",
    "best_target",
    "comparison",
    "generation",
    "heatmap",
    "loss",
    "losses",
    "networks",
    "over_time",
    "phase_diagram",
    "roots",
    "spectrum",
    "training",
    "widths",
    "z_scores",
]
