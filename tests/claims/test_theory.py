"""docs/theory.md: its numbers, and the steps of its derivation, each held against random matrices."""

from functools import cache

import numpy as np

from rfdsm import Problem, activations, predict, spectra
from rfdsm.theory._populations import COINCIDENCE, VANISHING
from tests.claims.ledger import Claim, check, ten
from tests.theory.test_predict import PSI_P, PUBLISHED, TANH

PAGE = "docs/theory.md"


def misprints() -> tuple[int, float]:
    """Entries of the table of published formulas; how much of the last digit the two that differ are off by at most."""
    count, off = 0, []
    for (name, m), values in PUBLISHED.items():
        losses = predict(Problem(psi_p=np.array(PSI_P[: len(values)]), m=m, **TANH))
        printed = np.array(values)
        if (name, m) == ("test", 1):
            printed[-2:] = 0.9874, 0.9594
        gap = 1e4 * np.abs(np.asarray(getattr(losses, name)) - printed)
        count += gap.size
        off += gap[gap > 0.5001].tolist()
    assert len(off) == 2
    return count, max(off)


CLAIMS = [
    Claim(PAGE, "there, a ridge of {} stands for 0", lambda: ten(VANISHING)),
    Claim(PAGE, "Below {} the two sides cannot be told apart", lambda: ten(COINCIDENCE)),
    Claim(
        PAGE,
        "a table of {} values of the published formulas, computed elsewhere to four digits: "
        "tests/theory/test_predict.py. All but two agree in every digit; those two are off by at most "
        "{:.1f} of the last",
        misprints,
    ),
]
SETTINGS = ("and a fifth within 10⁻³ of", "steps, 99 % at most", "farther than 10⁻³ from the peak")


def test_numbers():
    check(PAGE, CLAIMS, SETTINGS)


# --- section 7, step by step, at finite d --------------------------------------------------------------------------

D, N, P, M, T, RIDGE = 300, 450, 360, 3, 0.3, 0.05
ATOMS = np.array([0.4, 1.6])


@cache
def order_parameters() -> dict[str, float]:
    """(4)-(7) by plain iteration, written from the page."""
    a_squared, h, q = np.exp(-2 * T), -np.expm1(-2 * T), 1 / M
    mu1, beta_psi, beta_a = (float(x) for x in activations.get("tanh").moments(a_squared * ATOMS.mean(), h))
    L, psi_n, psi_p = mu1**2, N / D, P / D
    D_psi, D_a = L * a_squared * ATOMS, L * h
    D_s, beta_s = D_psi + q * D_a, beta_psi + q * beta_a
    e_s, e_a, g = 1.0, 1.0, 1.0
    for _ in range(2000):
        c_s, c_a = 1 / (1 + e_s), (1 - q) / (1 + e_a)
        D_ = c_s * D_s + c_a * D_a
        shrink = 1 / (1 + psi_p * g * D_)
        e_s = (psi_p * g * np.mean(D_s * shrink) + beta_s * psi_p * g) / psi_n
        e_a = q * (psi_p * g * np.mean(D_a * shrink) + beta_a * psi_p * g) / psi_n
        g = 1 / (RIDGE + c_s * beta_s + c_a * beta_a + np.mean(D_ * shrink))
    c_t, tau = q * c_s + c_a, psi_p * g * np.mean(shrink)
    optimum = c_t * (1 - h * L * c_t * tau)
    A = RIDGE + c_s * beta_s + c_a * beta_a
    return {name: value for name, value in locals().items() if name != "_"}


@cache
def matrices() -> dict[str, np.ndarray]:
    """Real tanh features, rotated; W, the populations' samples and targets, the resolvent."""
    rng = np.random.default_rng(5)
    s = np.repeat(ATOMS, D // 2)
    W = rng.standard_normal((P, D))
    x = np.sqrt(s) * rng.standard_normal((N, 1, D))
    z = rng.standard_normal((N, M, D))
    phi = np.tanh((np.exp(-T) * x + np.sqrt(-np.expm1(-2 * T)) * z) @ W.T / np.sqrt(D))
    turn, _ = np.linalg.qr(np.column_stack([np.ones(M), rng.standard_normal((M, M - 1))]))
    turn = turn.T * np.sign(turn[0, 0])
    rotated, targets = (np.einsum("kj,ijl->ikl", turn, values) for values in (phi, z))
    U = np.einsum("ijk,ijl->kl", phi, phi, optimize=True) / (N * M)
    V = np.einsum("ijk,ijl->kl", phi, z, optimize=True) / (N * M)
    R = np.linalg.inv(U + RIDGE * np.eye(P))
    return dict(s=s, W=W, phi=phi, z=z, turn=turn, rotated=rotated, targets=targets, U=U, V=V, R=R)


def test_rotation_leaves_moments_and_separates_the_modes():
    """(17)-(19): the objective and U are those of the rotated features; the antisymmetric modes are free of x."""
    f = matrices()
    np.testing.assert_allclose(f["turn"][0], 1 / np.sqrt(M))
    symmetric, rest = f["rotated"][:, 0] / np.sqrt(M), f["rotated"][:, 1:].reshape(-1, P)
    U = symmetric.T @ symmetric / N + rest.T @ rest / (N * M)
    np.testing.assert_allclose(U, f["U"], atol=1e-12)
    V = symmetric.T @ (f["targets"][:, 0] / np.sqrt(M)) / N
    V += rest.T @ f["targets"][:, 1:].reshape(-1, D) / (N * M)
    np.testing.assert_allclose(V, f["V"], atol=1e-12)


def population(name: str) -> np.ndarray:
    o, f = order_parameters(), matrices()
    return (f["W"] * np.repeat(o[f"D_{name}"] * np.ones(2), D // 2)) @ f["W"].T / D + o[f"beta_{name}"] * np.eye(P)


def test_populations_have_the_covariances_of_the_page():
    """(14)-(16): traces of real features against those of the Gaussian ones, in each population; and K."""
    o, f = order_parameters(), matrices()
    for name, samples in (
        ("s", f["rotated"][:, 0] / np.sqrt(M)),
        ("a", f["rotated"][:, 1:].reshape(-1, P)),
    ):
        Sigma = population(name)
        np.testing.assert_allclose(np.sum(samples**2) / len(samples), np.trace(Sigma), rtol=0.01)
        # weighed by a matrix that knows W: the quadratic forms of step 1
        np.testing.assert_allclose(
            np.einsum("ik,kl,il->", samples, Sigma, samples, optimize=True) / len(samples), np.sum(Sigma**2), rtol=0.02
        )
    K = np.sqrt(o["L"] * o["h"] / D) * f["W"]
    cross = f["rotated"][:, 1:].reshape(-1, P).T @ f["targets"][:, 1:].reshape(-1, D) / (N * (M - 1))
    np.testing.assert_allclose(np.sum(cross * K) / np.sum(K**2), 1, rtol=0.01)


def test_step_1_leverages():
    """(20), by the same formula backwards: r = phi R phi/n is e/(1 + e) for every sample of a population."""
    o, f = order_parameters(), matrices()
    for e, samples, weight in (
        (o["e_s"], f["rotated"][:, 0] / np.sqrt(M), 1.0),
        (o["e_a"], f["rotated"][:, 1:].reshape(-1, P), o["q"]),
    ):
        fitted = weight * np.einsum("ik,kl,il->i", samples, f["R"], samples, optimize=True) / N
        left_out = fitted / (1 - fitted)
        np.testing.assert_allclose(left_out.mean(), e, rtol=0.015)
        assert left_out.std() < 0.15 * e
    traces = [np.sum(population(name) * f["R"]) / N for name in "sa"]
    np.testing.assert_allclose(traces, [o["e_s"], o["e_a"] / o["q"]], rtol=0.015)


def test_steps_2_and_3_deterministic_equivalents():
    """(21) and (22): traces of R against W's own matrices, and the quadratic forms of W's columns."""
    o, f = order_parameters(), matrices()
    equivalent = np.linalg.inv(RIDGE * np.eye(P) + o["c_s"] * population("s") + o["c_a"] * population("a"))
    for probe in (np.eye(P), population("s"), population("a") @ population("s")):
        np.testing.assert_allclose(np.sum(probe * f["R"]), np.sum(probe * equivalent), rtol=0.015)
    np.testing.assert_allclose(np.trace(f["R"]) / P, o["g"], rtol=0.015)
    forms = np.einsum("kl,km,ml->l", f["W"], f["R"], f["W"], optimize=True) / D
    expected = o["psi_p"] * o["g"] / (1 + o["psi_p"] * o["g"] * o["D_"])
    for k in range(2):
        np.testing.assert_allclose(forms[f["s"] == ATOMS[k]].mean(), expected[k], rtol=0.015)


def test_steps_4_and_5_close_the_equations():
    """(23) is (6) and (7); (24): the optimum of the real network, and the mean of its map."""
    o, f = order_parameters(), matrices()
    assert abs(o["g"] * (o["A"] + np.mean(o["D_"] * o["shrink"])) - 1) < 1e-12
    B = -f["V"].T @ f["R"]
    outputs = np.einsum("kl,ijl->ijk", B, f["phi"], optimize=True)
    optimum = np.mean(np.sum((outputs + f["z"]) ** 2, axis=2)) / D + RIDGE * np.sum(B**2) / D
    normal = np.mean(np.sum(f["z"] * (outputs + f["z"]), axis=2)) / D
    np.testing.assert_allclose(normal, optimum, rtol=0.01)  # exact but for |z|^2/d, which is 1 in the mean
    np.testing.assert_allclose(optimum, o["optimum"], rtol=0.015)
    K = np.sqrt(o["L"] * o["h"] / D) * f["W"]
    learned, expected = np.sum(B.T * K) / D, -o["c_t"] * np.sum(K * (f["R"] @ K)) / D
    np.testing.assert_allclose(learned, expected, rtol=0.02)
    np.testing.assert_allclose(np.sum(K * (f["R"] @ K)) / D, o["h"] * o["L"] * o["tau"], rtol=0.015)
    losses = predict(Problem(N / D, P / D, M, T, RIDGE, "tanh", spectra.atoms(ATOMS)))
    np.testing.assert_allclose(losses.objective, o["optimum"], rtol=1e-10)
