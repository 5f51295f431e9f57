"""Losses of real networks against width, for several numbers of noise draws, beside the theory of random features."""

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import xarray as xr

from rfdsm import _files as files, data as data_files, datasets, spectra
from rfdsm._arguments import base_key, check_whole
from rfdsm._problem import Problem
from rfdsm._samples import check_rows
from rfdsm.losses import Losses
from rfdsm.networks._kinds import check_kind, maker, whole_numbers
from rfdsm.networks._laws import Gaussian
from rfdsm.networks._train import Progress, Training, parameters, train
from rfdsm.theory._predict import predict

THEORY_POINTS = 60
"""Widths of theory, in equal ratios, over the range of the networks."""


def study(
    data: Any,
    *,
    widths: Any,
    m: Any = (1, 4, 16, math.inf),
    level: Any = 0.1,
    n: Any = None,
    kind: Any = "mlp",
    depth: Any = 2,
    shape: Any = None,
    schedule: Any = "ou",
    target: Any = "noise",
    activation: Any = "tanh",
    ridge: Any = 1e-3,
    steps: Any = 5000,
    batch: Any = 128,
    learning_rate: Any = 1e-3,
    seeds: Any = 3,
    key: Any = 0,
    record: Any = None,
    folder: Any = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Train networks of several widths on m frozen draws of the same points, and lay theory beside them.

    Theory is that of random features with as many trained numbers, psi_p = parameters/d^2, the same n/d, m, t, target
    and covariance, at a ridge: no claim, a reference.

    Args:
        data: rows, of which n are trained on and the others are fresh, or a law (`gaussian`), from which n are drawn.
        widths: of hidden layers; channels of a U-Net; random features.
        m: numbers of draws; inf: fresh noise in every step.
        level: time t.
        n: training points; default half of the rows, or 4 d of a law.
        kind: "mlp", "unet" or "random-features".
        depth: hidden layers, or halvings of the image.
        shape: of images, (H, W) or (H, W, C), for a U-Net.
        schedule, target: as in `rfdsm.Problem`.
        activation, ridge: of theory, and of random features.
        steps, batch, record: see `train`; learning_rate that of Adam, falling to 0 like a cosine.
        seeds: networks of each width, from different initial weights, noise and batches.
        key: integer or JAX key.
        folder: keep every finished cell there, and the state of the one at work: the same call goes on.
        progress: called with (steps done, steps in all), over all cells.

    Returns:
        Dataset of `train`, `empirical_test`, `test`, `score` over (m, width, network, step), `parameters` over width,
        theory's losses `theory_train` ... over (m, theory_width), and `n`, `d` in the configuration.

    Raises:
        ValueError: as `train`; unknown kinds; a folder of another study.

    Examples:
        >>> from rfdsm import networks
        >>> found = networks.study(networks.gaussian(4), widths=[8], m=[1, 2], n=20, steps=20, seeds=2)
        >>> found.test.dims, found.theory_test.dims
        (('m', 'width', 'network', 'step'), ('m', 'theory_width'))
    """
    sizes, draws = whole_numbers("widths", widths), [_draw_count(x) for x in np.atleast_1d(np.asarray(m, object))]
    check_kind(kind)
    count, steps = check_whole("seeds", seeds, 1), check_whole("steps", steps, 1)
    start = base_key(key)
    rows, test, spectrum = _points(data, n, start)
    d = rows.shape[1]
    make = maker(kind, d, shape, depth, activation)
    many = [[x] for x in draws]
    problem = Problem(len(rows) / d, 1.0, many, level, ridge, activation, spectrum, schedule, target)
    nets = {size: [make(size, jax.random.fold_in(start, 100 + k)) for k in range(count)] for size in sizes}
    trained = {size: parameters(found[0]) for size, found in nets.items()}
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    asked = dict(schedule=schedule, target=target, level=level, steps=steps, batch=batch, test=test, record=record)
    about = {name: str(value) for name, value in asked.items() if name != "test"} | {
        "kind": kind, "depth": depth, "seeds": count, "learning_rate": str(learning_rate),
        "activation": str(activation), "shape": str(shape),
        "data": hashlib.sha256(np.asarray(rows).tobytes()).hexdigest()[:32],
    }  # fmt: skip
    place = None if folder is None else _opened(files.located(folder, "folder"), about)
    total, cells, done = steps * len(sizes) * len(draws), {}, 0

    def report(now: int, _: int) -> None:
        if progress is not None:
            progress(done + now, total)

    for size in sizes:
        for draw in draws:
            name = f"width-{size}-m-{draw if math.isinf(draw) else int(draw)}"
            cells[draw, size] = _cell(place, name, lambda path, size=size, draw=draw: train(
                nets[size], rows, m=draw, optimiser=optimiser, key=start, checkpoint=path, progress=report, **asked
            ))  # fmt: skip
            done += steps
            report(0, 0)
    whole = xr.concat([xr.concat([cells[x, size] for size in sizes], "width") for x in draws], "m")
    whole = whole.assign_coords(
        m=datasets.variable("m", ("m",), np.array(draws, float)),
        width=datasets.variable("width", ("width",), sizes, f"width of the {kind}"),
    )
    whole["parameters"] = datasets.variable("", ("width",), [trained[size] for size in sizes], "trained numbers")
    return _with_theory(whole, problem, np.array(sizes), np.array([trained[x] for x in sizes]), d).assign_attrs(
        title="Losses of trained networks beside the theory of random features, per coordinate",
        configuration=json.dumps(about | {"n": len(rows), "d": d, "theory": str(spectrum.label), "ridge": ridge}),
    )


def _with_theory(whole: xr.Dataset, problem: Problem, sizes: np.ndarray, trained: np.ndarray, d: int) -> xr.Dataset:
    """Losses of random features with as many trained numbers, on a finer grid of widths."""
    fine = np.unique(np.geomspace(sizes[0], sizes[-1], THEORY_POINTS)) if len(sizes) > 1 else sizes.astype(float)
    numbers = np.exp(np.interp(np.log(fine), np.log(sizes), np.log(trained)))
    losses = predict(eqx.tree_at(lambda p: p.psi_p, problem, numbers / d**2))
    whole = whole.assign_coords(theory_width=datasets.variable("", ("theory_width",), fine, "width of theory"))
    whole["theory_parameters"] = datasets.variable("", ("theory_width",), numbers, "trained numbers")
    for name in (*Losses.NAMES, "floor", "null"):
        values = np.broadcast_to(getattr(losses, name), (whole.sizes["m"], fine.size))
        whole[f"theory_{name}"] = datasets.variable(name, ("m", "theory_width"), values)
    return whole


def _cell(folder: Path | None, name: str, run: Callable[[Any], Training]) -> xr.Dataset:
    """A width and a number of draws: from the folder, or trained and kept there."""
    if folder is None:
        return run(None).to_dataset().drop_attrs()
    path = folder / f"{name}.nc"
    if path.exists():
        with xr.open_dataset(path, engine="scipy") as kept:
            return kept.load().drop_attrs()
    state = folder / f"{name}.state"
    found = run(state).to_dataset()
    with files.written(path) as partial:
        found.to_netcdf(partial, engine="scipy")
    with suppress(OSError):
        state.unlink()
    return found.drop_attrs()


def _opened(folder: Path, about: dict[str, Any]) -> Path:
    path, text = folder / "study.json", json.dumps(about, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        there = json.loads(path.read_text())
        for name in about:
            if there.get(name) != about[name]:
                raise ValueError(
                    f"folder {folder} holds another study: {name} = {there.get(name)} there, {about[name]} here"
                )
    else:
        with files.written(path) as partial:
            partial.write_text(text)
    return folder


def _points(data: Any, n: Any, key: Any) -> tuple[np.ndarray, Any, Any]:
    """Training points, fresh ones or their law, and the spectrum that theory takes."""
    if isinstance(data, Gaussian):
        count = 4 * data.d if n is None else check_whole("n", n, 2)
        rows = np.asarray(data.draw(jax.random.fold_in(key, 50), count), float)
        return rows, data, spectra.from_eigenvalues(np.asarray(data.eigenvalues, float))
    rows = data_files.standardise(data_files.load(data)) if isinstance(data, str | Path) else check_rows(data)
    count = len(rows) // 2 if n is None else check_whole("n", n, 2)
    if count >= len(rows):
        raise ValueError(f"n = {count} must be less than the {len(rows)} rows: the others are fresh points")
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 51), len(rows)))
    return rows[order[:count]], rows[order[count:]], spectra.from_data(rows)


def _draw_count(value: Any) -> float:
    if isinstance(value, float) and value == math.inf:
        return math.inf
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return float(check_whole("m", whole, 1))
