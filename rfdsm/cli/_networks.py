"""`rfdsm networks`: real networks of several widths, beside the theory of random features."""

from typing import Annotated, Any

from cyclopts import Parameter

from rfdsm.cli._options import NETWORKS_DEFAULTS, NETWORKS_OUTPUT, Config, NetworksOptions
from rfdsm.cli._settings import RFDSM, resolve


def networks(
    file: Annotated[str | None, Parameter(help="The same as --config FILE.", negative=())] = None,
    /,
    *,
    options: NetworksOptions = NetworksOptions(),  # noqa: B008
    config: Config = None,
) -> None:
    """Train networks of several widths on m noise draws of the same points: a table, networks.png, networks.nc.

    Finished cells and the state of the one at work are kept in the folder: stop it at any time, the same command goes
    on. Example: rfdsm networks --d 8 --n 64 --widths 8 32 128 --m 1 4 inf --steps 2000
    """
    from rfdsm.cli import _build as build, _environment as environment, _output as output

    if file is not None and config is not None:
        raise ValueError(f"--config {config}: the configuration is given twice, as {file}, too")
    program = RFDSM._replace(defaults={**RFDSM.defaults, **NETWORKS_DEFAULTS})
    settings = resolve("networks", options, file if config is None else config, program)
    settings.refuse("is not used by rfdsm networks: --n and --widths say the sizes", "psi_n", "psi_p")
    for name in ("t", "ridge", "d"):
        if isinstance(settings[name], list):
            raise ValueError(f"{name} = {settings[name]} must be one number in rfdsm networks")
    paths = output.folder(settings, NETWORKS_OUTPUT, "networks")
    environment.start_jax(double=False, cache=settings.get("cache", True))
    import rfdsm

    rows, shape = None, None
    if "data" in settings:
        settings.refuse(build.OF_DATA, "d", "spectrum")
        from rfdsm.data import image_shape, standardise

        rows, shape = standardise(build.loaded(settings)), image_shape(settings["data"])
    law = rfdsm.networks.gaussian(settings["d"], build.spectrum(settings["spectrum"])) if rows is None else rows
    with output.delivery(*paths) as delivery:
        with output.progress("training", "steps") as report:
            found = rfdsm.networks.study(
                law,
                widths=settings["widths"],
                m=settings["m"],
                level=settings["t"],
                n=settings.get("n"),
                kind=settings["network"],
                shape=shape,
                activation=build.activation(settings["activation"]),
                **{name: settings[name] for name in ("schedule", "target", "ridge", "depth", "steps", "batch")},
                **{name: settings[name] for name in ("learning_rate", "seeds", "key")},
                folder=paths[0].parent / "cells",
                progress=report,
            )
        delivery.show(_table(found))
        delivery.keep(found, lambda: rfdsm.plots.networks(found), paths)


def _table(found: Any) -> Any:
    """Losses after the last step, mean and standard error over networks."""
    import numpy as np
    from rich.table import Table

    from rfdsm import Losses, _tables as tables

    names = [name for name in Losses.NAMES if np.isfinite(found[name]).any()]
    table = Table(title="after the last step, mean ± standard error over networks", title_justify="left")
    for name in ("m", "width", "numbers", *(name.replace("_", " ") for name in names)):
        table.add_column(name, justify="right")
    last = found.isel(step=-1)
    for m in last["m"].values:
        for width in last["width"].values:
            cell = last.sel(m=m, width=width)
            values = np.stack([cell[name].values for name in names], axis=-1)
            table.add_row(
                f"{m:g}", f"{width}", f"{int(cell['parameters'])}", *tables.mean_and_error(values, len(values))
            )
        table.add_section()
    return table
