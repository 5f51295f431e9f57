"""Limits of the theory in closed or reduced form, each by a route of its own (docs/limits).

    population      psi_n -> infinity                            one scalar equation, a quadratic for Sigma = sigma^2 I
    kernel          psi_p -> infinity at fixed ridge             two equations
    kernel_ridge    psi_p -> infinity at fixed ridge/psi_p       two equations
    infinite_draws  m = infinity, psi_n, psi_p -> infinity at fixed ratio          a quadratic
    small_time      t -> 0                                       one scalar equation
    late_time       t -> infinity                                one scalar equation

Nothing of the solver behind `predict` is used, only the moments of the activation and, for concrete problems, NumPy.
Inside jax.grad, jax.jit or jax.vmap use `predict`, which takes psi_n = inf and psi_p = inf.
"""

from typing import Any

import numpy as np

from rfdsm._problem import FIELDS
from rfdsm._vocabulary import RANGES
from rfdsm.losses import SINGULAR, Losses
from rfdsm.theory._populations import COINCIDENCE, NEGLIGIBLE, VANISHING
from rfdsm.theory._reduced_equations import Fields, Kernel, fields_of, moments, moments_of, number, one_population


def _losses(f: Fields, excess: Any, singular: Any = False, **values: Any) -> Losses:
    """Losses of this excess over the floor, with the values that hold at a singular point put in by rule."""
    values = {"test": f.floor + excess, "score": f.score_unit * excess, "floor": f.floor, "null": f.null} | values
    for name, limit in SINGULAR.items():
        values[name] = np.where(singular, limit, values[name])
    whole: dict[str, Any] = {name: np.array(np.broadcast_to(array, f.shape)) for name, array in values.items()}
    return Losses(**whole)


def population(problem: Any) -> Losses:
    """psi_n -> infinity: the approximation error of random features, the same whatever m; psi_n and m are not used.

    train, empirical_test and test coincide. Deviations are O(1/psi_n). Closed form for equal eigenvalues.

    Returns `Losses` of the problem's shape, NumPy float64. Raises ValueError for a traced problem or psi_p = inf.
    Source: docs/limits, section 1; arXiv 2502.00336 at c_s = 1.
    """
    f = fields_of(problem, "psi_p")
    L, v0_squared, beta_a = moments(problem)
    D = L * f.total
    one = one_population(np.inf, f.psi_p, f.ridge, D, v0_squared + beta_a, f.average)
    kept = np.where(D > 0, one.x / np.where(D > 0, one.x + D, 1), 1)  # 1/(1 + w)
    share = np.where(D > 0, 1 / np.where(D > 0, one.x + D, 1), 0)
    excess = f.average((f.best * kept) ** 2 / f.total) + L * one.feature * f.average(f.best**2 * kept * share)
    test = f.floor + excess
    unexplained = (f.alpha**2 * f.s + f.beta**2) * kept + L * f.delta**2 * f.s * share
    return _losses(f, excess, train=test, empirical_test=test, objective=f.average(unexplained))


def kernel(problem: Any) -> Losses:
    """psi_p -> infinity at fixed ridge: interpolation with the population kernel; psi_p and ridge are not used.

    Finite m: the draws are interpolated, train = 0. m = infinity: the empirical score is learned, b = 1/h along every
    direction, so that train = empirical_test = 0 and test = delta^2 <s>/h. A linear activation interpolates nm < d
    draws; nm > d leave ordinary least squares, and nm = d is singular (test = inf). Deviations are O(1/psi_p).

    Returns `Losses` of the problem's shape, NumPy float64. Raises ValueError for a traced problem or psi_n = inf.
    Source: docs/limits, section 2 (extension).
    """
    return kernel_ridge(problem, 0.0)


def kernel_ridge(problem: Any, ridge_per_feature: Any) -> Losses:
    """psi_p -> infinity at ridge = ridge_per_feature * psi_p: kernel ridge regression; psi_p and ridge are not used.

    Deviations are O(1/psi_p). At m = 1 test = train/c_s^2 (generalised cross-validation).

    Args:
        problem: one problem or a grid of them.
        ridge_per_feature: >= 0, an array that broadcasts with the problem; 0 gives `kernel`.

    Returns `Losses` of the broadcast shape, NumPy float64. Raises ValueError for a traced problem, psi_n = inf or a bad
    ridge_per_feature. Source: docs/limits, section 2 (extension).
    """
    penalty = number("ridge_per_feature", ridge_per_feature, problem, RANGES["ridge"])
    f = fields_of(problem, "psi_n", shape=penalty.shape)
    L, v0_squared, beta_a = (np.broadcast_to(value, f.shape) for value in moments(problem))
    penalty, q = np.broadcast_to(penalty, f.shape), f.q
    linear = v0_squared + beta_a == 0
    draws = f.psi_n * f.m
    with np.errstate(invalid="ignore"):
        singular = (penalty == 0) & linear & (L > 0) & (np.abs(draws - 1) <= COINCIDENCE)
    interpolates = (penalty > 0) | np.where(linear, (draws < 1) & (L > 0), q > 0)
    memorised = (penalty == 0) & (q == 0) & ~linear
    unit = np.where(interpolates, penalty, 1)
    ridge = np.where(interpolates | singular | (L == 0), 1, VANISHING)
    betas = v0_squared + NEGLIGIBLE, beta_a + NEGLIGIBLE
    k = Kernel(f.psi_n, q, unit, ridge, L * f.signal * f.s, L * f.h, *betas, f.average)
    x = k.solve()
    c_a = (1 - q) * x.r_a
    c_t = q * x.c_s + c_a
    gap = (1 - q) * x.shared * x.c_s * x.r_a  # c_t - c_s
    unexplained = f.average(((f.beta * k.ridge - L * f.a * f.delta * x.c_s * f.s) * x.resolvent) ** 2)
    own = f.average(f.s * ((f.alpha * k.ridge + L * f.root_h * f.delta * c_t) * x.resolvent) ** 2)
    penalised = k.ridge * (x.c_s * f.alpha**2 * f.s + c_t * f.beta**2) + L * x.c_s * c_t * f.delta**2 * f.s

    def loss(weight_s: Any, weight_a: Any, own_t: Any, own_psi: Any) -> Any:
        kappa_s, kappa_t = x.response(k, weight_s, weight_a)
        return (own_t + kappa_t) * unexplained + (own_psi + kappa_s) * own

    memory, forgotten = x.shared * x.c_s, x.c_s / x.r_a
    missed = (f.best * k.ridge + L * f.a * f.root_h * f.delta * gap * f.s) * x.resolvent
    excess = f.average(missed**2 / f.total) + loss(1.0, 1 - q, 0.0, 0.0)
    own_s, own_a = x.c_s**2, (1 - q) * x.r_a**2
    learned = L > 0  # the linear map beta/sqrt(h) of the memorised score
    kept = np.where(learned, 0, f.beta**2)
    values = {
        "train": (k.unit**2 * loss(own_s, own_a, q * own_s + own_a, own_s), kept),
        "empirical_test": (loss(forgotten**2, 1 - q + 2 * q * memory, 1 + q * memory**2, forgotten**2), kept),
        "excess": (excess, f.average(np.where(learned, f.a * f.delta * f.s / f.root_h, f.best) ** 2 / f.total)),
        "objective": (k.unit * f.average(penalised * x.resolvent), kept),
    }
    chosen = {name: np.where(memorised, limit, value) for name, (value, limit) in values.items()}
    return _losses(f, singular=singular, **chosen)


def late_time(problem: Any) -> Losses:
    """a^2/h -> 0: the data are noise, of which all n m draws are independent samples.

    The target's noise is learned as well as a linear function of y can be, and nothing of its data: test =
    empirical_test, train = c^2 test. For the noise target test = score and floor = 0. Where the schedule preserves the
    variance t is not used. Deviations are O(a^2/h), relative to a loss only where the loss is not itself small.

    Returns `Losses` of the problem's shape, NumPy float64; where ridge = 0 is singular (p = nm, or nm = min(p, d) for
    a linear activation) train = 0 and test = inf. Raises ValueError for a traced problem or psi_p = inf.
    Source: docs/limits, section 5 (derived there).
    """
    f = fields_of(problem, "psi_p")
    h = _at_end(problem, 1.0, f.h)
    L, v0_squared, beta_a = moments_of(problem, np.zeros_like(h), h)
    one = one_population(f.psi_n * f.m, f.psi_p, f.ridge, L * h * np.ones_like(f.s), v0_squared + beta_a, f.average)
    kept = np.where(L > 0, one.x / np.where(L > 0, one.x + L * h, 1), 1)
    unknown = f.alpha**2 * f.average(f.s)  # nothing is seen of the data
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(L > 0, kept / (one.x + L * h), 0)
        learnable = f.beta**2 * ((1 + one.kappa) * kept**2 + one.feature * L * h * slope)
        excess = learnable + one.kappa * unknown
        test = learnable + (1 + one.kappa) * unknown
        a_over_delta = np.where(f.alpha == 0, 1 / np.abs(f.beta), f.a / np.abs(f.delta))
        score, objective = (f.scale * a_over_delta) ** 2 / h * excess, one.c * (f.beta**2 * kept + unknown)
        losses = {"train": one.c**2 * test, "empirical_test": test, "test": test, "score": score, "floor": unknown}
        return _losses(f, excess, one.singular, objective=objective, **losses)


def _at_end(problem: Any, limit: float, value: Any) -> Any:
    """The limit of a variance that the schedule's preserving it fixes, else its value at the problem's times."""
    return np.full_like(value, limit) if problem.schedule.preserves_variance else value


def small_time(problem: Any) -> Losses:
    """Leading order as h -> 0 at fixed ratios, m and ridge: each sample is regressed on its own mean target.

    Finite m: train, empirical_test and test tend to numbers with deviations O(h), and score = (test - floor)/h diverges
    like 1/h, with relative deviation O(h). m = infinity: score tends to a number, and 1 - train and 1 - test are of
    order h, with relative deviations O(h). (For activations with a jump, O(sqrt h) instead of O(h).) It holds where
    what is left of the noise is small beside the penalty: beta_a and mu1^2 h well below ridge + c_s v0^2.

    Returns `Losses` of the problem's shape at the problem's t, NumPy float64; p = n at ridge = 0 is singular. Raises
    ValueError for a traced problem, psi_p = inf, and ridge = 0 where the samples can be interpolated (p > n) and m > 1:
    there the noise itself is the penalty and the limit depends on the activation's beta_a/h.
    Source: docs/limits, section 4 (derived there).
    """
    f = fields_of(problem, "psi_p")
    signal = _at_end(problem, 1.0, f.signal)
    a, root_h = signal**0.5, f.root_h
    L, v0_squared, _ = moments_of(problem, signal * problem.spectrum.mean, np.zeros_like(signal))
    D = L * signal * f.s
    one = one_population(f.psi_n, f.psi_p, f.ridge, D, v0_squared, f.average)
    x, c, q = one.x, one.c, f.q
    unseen = np.any((D == 0) & (f.weights > 0), axis=0) & (L > 0)
    outside = ((c == 0) & (q < 1) & ~one.singular) | (unseen & (x == 0))
    if np.any(outside):
        cell = {name: own[outside].flat[0] for name, own in zip(FIELDS, problem.broadcast(), strict=True)}
        raise ValueError(
            f"ridge = 0 must be > 0 at psi_n = {cell['psi_n']:g}, psi_p = {cell['psi_p']:g}, m = {cell['m']:g}: "
            "the noise takes the place of the penalty there"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(q < 1, (1 - q) / c, 0)
        share = np.where(D > 0, 1 / np.where(D > 0, x + D, 1), np.where(x > 0, 1 / x, 0))  # 1/(x + D)
        kept = np.where(D > 0, x * share, 1)
        known = f.alpha * a * f.s + (q + ratio) * f.beta * root_h  # the learned linear map is L share known
        of_noise = f.beta - root_h * L * share * known
        of_data = f.alpha * kept - a * L * share * (q + ratio) * f.beta * root_h
        unexplained, own = f.average(of_noise**2), f.average(f.s * of_data**2)
        missed = f.best * kept - D * ratio * (1 - c) * f.beta * root_h * share
        feature = one.feature * L * f.average(known**2 * kept * share)
        excess = f.average(missed**2 / f.total) + q * one.kappa * unexplained + one.kappa * own + feature
        fitted = c**2 * ((1 + one.kappa) * own + feature)
        return _losses(
            f,
            excess,
            one.singular,
            train=(1 - q + q * c**2 * (1 + one.kappa)) * unexplained + fitted,
            empirical_test=(1 + q * (1 - c) ** 2 + q * c**2 * one.kappa) * unexplained + fitted,
            objective=f.average(c * f.alpha * f.s * of_data + (1 - q + q * c) * f.beta * of_noise),
        )


# --- infinitely many draws, samples and features ---------------------------------------------------------------------


def _unfitted(problem: Any) -> tuple[Fields, Any, Any, Any, Any, Any]:
    """The problem's numbers, L, v0^2, beta_a + ridge, the root rho, and 1 - rho."""
    f = fields_of(problem, "psi_n", "psi_p")
    finite = f.m[np.isfinite(f.m)]
    if finite.size:
        raise ValueError(f"m = {finite[0]:g} must be inf: this limit is that of infinitely many draws")
    L, v0_squared, beta_a = moments(problem)
    B = beta_a + f.ridge
    b = B + v0_squared * (f.psi_p / f.psi_n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(b**2 + 4 * v0_squared * B)
        rho = np.where(b > 0, 2 * B / (b + root), (root - b) / (2 * v0_squared))
        fitted = v0_squared * (f.psi_p / f.psi_n) * rho / (B + v0_squared * rho)  # 1 - rho without the difference
    nonlinear = v0_squared > 0
    return f, L, v0_squared, B, np.where(nonlinear, rho, 1.0), np.where(nonlinear, fitted, 0.0)


def infinite_draws(problem: Any) -> Losses:
    """m = infinity and psi_n, psi_p -> infinity at the problem's ratio r = psi_p/psi_n, at its ridge.

    With rho in (0, 1) the root of v0^2 rho^2 + (B + v0^2 (r - 1)) rho = B, B = beta_a + ridge, the network learns the
    linear map 1/(rho a^2 s + h) along each eigendirection: the true score at rho = 1, memorisation at rho = 0. Without
    ridge train = <rho a^2 s/(rho a^2 s + h)>. As t -> 0, rho -> (1 - r)_+ : the memorisation threshold is p = n, where
    test peaks. Deviations are O(1/psi_n).

    Returns `Losses` of the problem's shape, NumPy float64. Raises ValueError for a traced problem, m other than inf,
    psi_n or psi_p = inf. Source: docs/limits, section 3 (derived there; rho without ridge in arXiv 2505.17638).
    """
    f, L, v0_squared, B, rho, fitted = _unfitted(problem)
    beta_a = B - f.ridge
    variance = rho * f.signal * f.s + f.h
    unexplained = np.where(L > 0, rho * f.a * f.delta * f.s / variance, f.beta)
    own = f.average(f.s * np.where(L > 0, f.root_h * f.delta / variance, f.alpha) ** 2)
    scale = B + v0_squared * rho**2
    with np.errstate(invalid="ignore"):
        noisy = np.where(scale > 0, rho * fitted * (v0_squared + beta_a) / scale, 0)
        kept = np.where(scale > 0, rho * (beta_a + rho * f.ridge + rho**2 * v0_squared) / scale, 1)
    missed = np.where(L > 0, fitted * f.a * f.root_h * f.delta * f.s / variance, f.best)
    excess = f.average(missed**2 / f.total) + noisy * own
    train = f.average(unexplained**2) + kept * own
    penalised = np.where(L > 0, rho * f.delta**2 * f.s / variance, kept * f.alpha**2 * f.s + f.beta**2)
    return _losses(f, excess, train=train, empirical_test=train, objective=f.average(penalised))


def fitted_fraction(problem: Any) -> np.ndarray:
    """1 - rho: the part of the samples that `infinite_draws` fits, in (0, 1); tends to min(p/n, 1) as t, ridge -> 0.

    Returns an array of the problem's shape. Arguments, errors and source as for `infinite_draws`.
    """
    return np.asarray(_unfitted(problem)[-1])


def ratio_to_fit(problem: Any, fraction: Any) -> np.ndarray:
    """The ratio p/n at which `fitted_fraction` equals `fraction`, at the problem's t and ridge: the inverse function.

    r = f (B + v0^2 (1 - f))/(v0^2 (1 - f)), which tends to f as t and ridge -> 0: below p = n a sharp threshold.

    Returns an array of the broadcast shape of problem and fraction; inf for a linear activation, which fits nothing.
    Raises ValueError unless 0 <= fraction < 1 broadcasts against the problem, and as `infinite_draws`.
    Source: docs/limits, section 3.
    """
    fraction = number("fraction", fraction, problem, ("in [0, 1)", lambda x: (x >= 0) & (x < 1)))
    _, _, v0_squared, B, _, _ = _unfitted(problem)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = fraction * (B / (v0_squared * (1 - fraction)) + 1)
    return np.asarray(np.where(v0_squared > 0, ratio, np.inf))
