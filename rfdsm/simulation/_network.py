"""A fitted network of finite size: `fit`, and what it returns."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rfdsm._hints import Count, KeyLike, Number, Numbers, Rows
from rfdsm._machine import lapack_threads
from rfdsm._printing import Printed
from rfdsm._problem import Problem, check_problem
from rfdsm._scope import jax_scope
from rfdsm.activations import Activation
from rfdsm.activations._kept import kept
from rfdsm.simulation._design import features
from rfdsm.simulation._plan import Settings, plan
from rfdsm.simulation._simulate import fitted, trained_on
from rfdsm.simulation._trial import Cell, Trial, executable, seeds, signature
from rfdsm.targets import Asked


class Network(Printed):
    """f(y) = B phi(W y/sqrt(d)), fitted at one level; a pytree."""

    W: Float[Array | np.ndarray, "p d"]
    B: Float[Array | np.ndarray, "d p"]
    asked: Asked
    """Level and target it was fitted for."""
    activation: Activation = eqx.field(static=True)

    def predict(self, y: Numbers) -> Float[Array, "*batch d"]:
        """The target alpha x + beta z as the network sees it in y = a x + sqrt(h) z, shape (..., d)."""
        y = jnp.asarray(y)
        d = self.W.shape[1]
        if not y.ndim or y.shape[-1] != d:
            raise ValueError(f"y has shape {y.shape}, its last axis must be d = {d}")
        found = jnp.asarray(self.B) @ features(jnp.asarray(self.W), self.activation, y.reshape(-1, y.shape[-1]))
        return found.T.reshape(y.shape)

    def score(self, y: Numbers) -> Float[Array, "*batch d"]:
        """The score of y/scale that follows: scale (a f - alpha y)/(delta sqrt(h))."""
        asked = self.asked
        return asked.scale * (asked.a * self.predict(y) - asked.alpha * jnp.asarray(y)) / (asked.delta * asked.root_h)

    def __call__(self, y: Numbers, level: Any = None) -> Float[Array, "*batch d"]:
        """`predict`, as samplers call networks; whatever the level, it is that of one."""
        return self.predict(y)


def fit(
    problem: Problem,
    d: Count | None = None,
    key: KeyLike = 0,
    *,
    data: Rows | None = None,
    memory_limit: Number | None = None,
) -> Network:
    """The network that minimises the training objective: that of the first trial of `simulate` with this key.

    Args:
        problem: one problem.
        d: dimension; with data, the number of its columns (may be left out).
        key: integer or JAX key.
        data: real samples, shape (rows, d), of which n are trained on.
        memory_limit: bytes to stay below; default: what is free.

    Raises:
        ValueError: as `simulate`; several problems.

    Examples:
        >>> from rfdsm import Problem
        >>> from rfdsm.simulation import fit
        >>> network = fit(Problem(psi_n=2, psi_p=4, m=4, t=0.1, ridge=1e-2), d=20, key=0)
        >>> network.score([[1.0] * 20]).shape
        (1, 20)
    """
    check_problem(problem)
    if problem.shape:
        raise ValueError(f"problem has shape {problem.shape}, must be one problem")
    request = plan(problem, d, trials=1, key=key, data=data, dtype="float64", devices=None, memory_limit=memory_limit)
    (group,) = request.groups
    arguments = seeds(request.key, 1)[0], Cell.of(request, group)
    function = _fitting(problem.activation, group.settings, request.generator)
    with jax_scope(), lapack_threads():
        W, B = executable(problem.activation, function, *signature(arguments))(*arguments)
        return Network(np.asarray(W), np.asarray(B), group.asked, problem.activation)


@kept(maxsize=32)
def _fitting(activation: Activation, settings: Settings, generator: str) -> Callable[[Array, Cell], Any]:
    """W and B as a function of arrays: one object for one setting, so that it is compiled once."""

    def fitting(word: Array, cell: Cell) -> tuple[Array, Array]:
        trial = Trial.drawn(jax.random.wrap_key_data(word, impl=generator), cell, settings, 1)
        return trial.law.W, output_weights(trial)

    return fitting


def output_weights(trial: Trial) -> Float[Array, "d p"]:
    """B of a trial of one ridge."""
    return fitted(trial, trained_on(trial)).solutions[0].B
