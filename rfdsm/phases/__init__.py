"""What regime a problem is in, where regimes begin, and what to do about it: diagrams, boundaries, optima, advice."""

from rfdsm.phases._boundaries import Boundary as Boundary, boundary as boundary, peak as peak
from rfdsm.phases._evidence import Evidence as Evidence
from rfdsm.phases._fields import SIGNED as SIGNED
from rfdsm.phases._generation import generation_diagram as generation_diagram
from rfdsm.phases._lines import CONTINUOUS as CONTINUOUS
from rfdsm.phases._optimal import Optimum as Optimum, optimal as optimal
from rfdsm.phases._regimes import (
    REGIMES as REGIMES,
    phase_diagram as phase_diagram,
    simulated_regimes as simulated_regimes,
)
from rfdsm.phases.advice import Advice as Advice, advise as advise
