"""Pictures of datasets: every function takes and returns matplotlib Axes, and computes nothing."""

from rfdsm.plots.best_target import best_target
from rfdsm.plots.compared import comparison, loss, losses, z_scores
from rfdsm.plots.density import spectrum
from rfdsm.plots.generated import generation
from rfdsm.plots.learning import training
from rfdsm.plots.networks import networks
from rfdsm.plots.networks_times import against_n, over_time
from rfdsm.plots.regimes import heatmap, phase_diagram
from rfdsm.plots.solved import roots, widths
from rfdsm.plots.style import AXIS_LABELS, COLOURS, MARKERS, REGIMES, SYMBOLS, TITLES, abscissa

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
