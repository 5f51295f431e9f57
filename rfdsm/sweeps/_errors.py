"""How a sweep ends before its end."""


class SweepError(ValueError):
    """A sweep that cannot go on, for example for want of disk space. What it had finished is in its store."""


class Interrupted(KeyboardInterrupt):
    """A sweep stopped by Ctrl-C or SIGTERM; the text says how many cells are done and how to resume."""
