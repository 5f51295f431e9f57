"""`rfdsm explore`: the interactive page, served on this machine until it is interrupted."""

from rfdsm.cli._options import EXPLORE_DEFAULTS, Config, ExploreOptions
from rfdsm.cli._settings import RFDSM, resolve

# Anything heavy is imported inside the command: help must not wait for it.

LARGEST_PORT = 65535


def explore(*, options: ExploreOptions = ExploreOptions(), config: Config = None) -> None:  # noqa: B008
    """Explore the theory in a browser: drag a slider and the curves follow. Needs the extra `explore`.

    The page is served on this machine only, until Ctrl-C.

    Example: rfdsm explore --psi-n 8 --psi-p 64 --m inf --t 0.01 --ridge 0
    """
    settings = resolve("explore", options, config, RFDSM._replace(defaults=EXPLORE_DEFAULTS))
    if settings["port"] > LARGEST_PORT:
        raise ValueError(f"--port {settings['port']} must be an integer from 0 to {LARGEST_PORT}")
    from rfdsm.explorer import _server as server

    server.require_panel()
    from rfdsm.cli import _environment as environment

    environment.start_jax(cache=settings.get("cache", True))
    from rfdsm.cli import _build as build
    from rfdsm.explorer._state import State

    problem = build.problem(settings)
    words = {"activation": settings["activation"]}
    if not settings["spectrum"].lower().endswith(".npy"):
        words["spectrum"] = settings["spectrum"]
    server.serve(State.of(problem, **words), settings["port"], settings["browser"])
