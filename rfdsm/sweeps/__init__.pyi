from .counts import Counts as Counts
from .errors import Interrupted as Interrupted
from .errors import SweepError as SweepError
from .run import failed as failed
from .run import load as load
from .run import resume as resume
from .run import status as status
from .run import sweep as sweep
