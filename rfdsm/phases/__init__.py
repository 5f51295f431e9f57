"""What regime a problem is in, where regimes begin, and what to do about it: diagrams, boundaries, optima, advice."""

from rfdsm.phases.advice import Advice as Advice
from rfdsm.phases.advice import advise as advise
from rfdsm.phases.boundaries import Boundary as Boundary
from rfdsm.phases.boundaries import boundary as boundary
from rfdsm.phases.boundaries import peak as peak
from rfdsm.phases.evidence import Evidence as Evidence
from rfdsm.phases.fields import SIGNED as SIGNED
from rfdsm.phases.generation import generation_diagram as generation_diagram
from rfdsm.phases.lines import CONTINUOUS as CONTINUOUS
from rfdsm.phases.optimal import Optimum as Optimum
from rfdsm.phases.optimal import optimal as optimal
from rfdsm.phases.regimes import REGIMES as REGIMES
from rfdsm.phases.regimes import phase_diagram as phase_diagram
from rfdsm.phases.regimes import simulated_regimes as simulated_regimes
