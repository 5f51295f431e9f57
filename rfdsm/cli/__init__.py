"""The command line: `rfdsm compare`, `rfdsm predict` and `rfdsm simulate`."""

from rfdsm.cli._app import main

__all__ = ["main"]
