from ._errors import Interrupted as Interrupted, SweepError as SweepError
from ._progress import Counts as Counts
from ._run import failed as failed, load as load, resume as resume, status as status, sweep as sweep
