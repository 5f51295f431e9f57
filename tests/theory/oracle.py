"""The equations of docs/theory sections 3 and 4 in their textbook form, at 50 digits or more, with exact derivatives.

Unknowns (e_s, e_a, g) as in the papers, Newton's method from above on the equations as written, and the losses as
derivatives of the optimal objective J* and of the explained part T1, each probe's strength being a variable of forward
differentiation. Nothing is shared with rfdsm but the three Gaussian moments: not the unknowns, not the start, not
Newton's matrix, not the rescaling at ridge = 0, not the positive forms of the losses. Subtractions cancel freely here;
digits are what pays for them.
"""

import mpmath as mp

DIGITS = 60
LIMIT = -60
"""ridge = 0 is taken at 10^LIMIT: what that leaves is of this relative size, over (1 - p/nm)^2 and the moments."""


class Dual:
    """A number with its derivatives by each of a list of variables."""

    __slots__ = ("slopes", "value")

    def __init__(self, value, slopes):
        self.value, self.slopes = value, slopes

    def __add__(self, other):
        if isinstance(other, Dual):
            return Dual(self.value + other.value, [a + b for a, b in zip(self.slopes, other.slopes, strict=True)])
        return Dual(self.value + other, self.slopes)

    __radd__ = __add__

    def __mul__(self, other):
        if isinstance(other, Dual):
            u, v = self.value, other.value
            return Dual(u * v, [a * v + b * u for a, b in zip(self.slopes, other.slopes, strict=True)])
        return Dual(self.value * other, [a * other for a in self.slopes])

    __rmul__ = __mul__

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def inverse(self):
        value = 1 / self.value
        minus = -(value**2)
        return Dual(value, [a * minus for a in self.slopes])

    def __truediv__(self, other):
        return self * (other.inverse() if isinstance(other, Dual) else 1 / other)

    def __rtruediv__(self, other):
        return self.inverse() * other


def variables(values):
    """Each value as a Dual, differentiated by itself."""
    return [Dual(x, [mp.mpf(i == j) for j in range(len(values))]) for i, x in enumerate(values)]


class Oracle:
    """One problem given by its ratios, its populations (L, beta_psi, beta_a) and a spectrum (nodes, weights)."""

    def __init__(self, psi_n, psi_p, m, asked, ridge, L, beta_psi, beta_a, nodes, weights):
        """`asked`: (a, h, scale, alpha, beta) as doubles; or the time of the default schedule, taken to all digits."""
        # A training loss may be of order ridge^2, and I - F' of order sqrt(ridge) from singular.
        self.digits = DIGITS + 3 * max(0, -int(mp.log10(ridge) if ridge > 0 else LIMIT))
        with mp.workdps(self.digits):
            self.psi_n, self.psi_p = mp.mpf(psi_n), mp.mpf(psi_p)
            self.ridge = mp.mpf(ridge) if ridge > 0 else mp.mpf(10) ** LIMIT
            self.limit = ridge == 0
            self.q = mp.mpf(0) if m == float("inf") else 1 / mp.mpf(m)
            if not isinstance(asked, list | tuple):
                asked = mp.exp(-mp.mpf(asked)), -mp.expm1(-2 * mp.mpf(asked)), 1, 0, -1
            a, self.h, self.scale, self.alpha, self.beta = (mp.mpf(value) for value in asked)
            self.a, self.a2, self.root_h = a, a**2, mp.sqrt(self.h)
            self.delta = self.alpha * self.root_h - self.beta * a
            self.L, self.beta_psi, self.beta_a = mp.mpf(L), mp.mpf(beta_psi), mp.mpf(beta_a)
            total = mp.fsum(mp.mpf(w) for w in weights)  # one up to the rounding of doubles
            self.spectrum = [(mp.mpf(s), mp.mpf(w) / total) for s, w in zip(nodes, weights, strict=True)]
            self.beta_s = self.beta_psi + self.q * self.beta_a
            self.D_psi = [self.L * self.a2 * s for s, _ in self.spectrum]
            self.D_a = self.L * self.h
            self.N_psi = [self.alpha * a * s for s, _ in self.spectrum]
            self.N_a = self.beta * self.root_h
            self.T_psi, self.T_a = self.alpha**2 * self.average([s for s, _ in self.spectrum]), self.beta**2

    def average(self, values):
        first, *rest = (value * w for value, (_, w) in zip(values, self.spectrum, strict=True))
        return sum(rest, first)

    def image(self, e_s, e_a, g, ridge, population=None, noise=None):
        """Right-hand sides at trial order parameters, and the objective J there.

        `population` and `noise` are the strengths of the probes for the test and the empirical test loss. They act on
        the target's covariances N and variances T as they act on the features' D.
        """
        c_s, c_a = 1 / (e_s + 1), (1 - self.q) / (e_a + 1)
        of_psi, of_a = c_s, self.q * c_s + c_a  # weights of what the draws of a point share, and of what they do not
        beta = c_s * self.beta_s + c_a * self.beta_a
        if population is not None:
            # Fresh noise on a training point shares D_psi with that point's symmetric mode: a 2 x 2 block.
            D = [c_s * (D_psi + self.q * self.D_a) + c_a * self.D_a for D_psi in self.D_psi]
            Y = [g * self.psi_p / (g * self.psi_p * Dk + 1) for Dk in D]
            E = (self.average([y * D_psi for y, D_psi in zip(Y, self.D_psi, strict=True)])) / self.psi_n
            E = E + g * self.psi_p * self.beta_psi / self.psi_n
            delta = (e_s + 1) * (noise * E + 1) - noise * E * E
            G11, G12, G22 = (noise * E + 1) / delta, -(noise * E) / delta, noise * (e_s + 1) / delta
            beta = G11 * self.beta_s + (2 * G12 + G22) * self.beta_psi + (c_a + noise) * self.beta_a
            beta = beta + population * (self.beta_psi + self.beta_a)
            of_psi, of_a = G11 + 2 * G12 + G22 + population, self.q * G11 + c_a + noise + population
        X = g * self.psi_p
        D = [of_psi * D_psi + of_a * self.D_a for D_psi in self.D_psi]
        N = [of_psi * N_psi + of_a * self.N_a for N_psi in self.N_psi]
        shrink = [1 / (X * Dk + 1) for Dk in D]
        F = X * (self.average(shrink) * self.D_a + self.beta_a) / self.psi_n
        signal = self.average([r * D_psi for r, D_psi in zip(shrink, self.D_psi, strict=True)])
        shared = X * (signal + self.beta_psi) / self.psi_n
        resolvent = 1 / (ridge + beta + self.average([Dk * r for Dk, r in zip(D, shrink, strict=True)]))
        explained = self.average([n * n * r for n, r in zip(N, shrink, strict=True)]) * X * self.L
        objective = of_psi * self.T_psi + of_a * self.T_a - explained
        return [shared + F * self.q, F * self.q, resolvent], objective

    def solve(self, ridge):
        """Newton's method from above, where it decreases to the only positive solution."""
        mean = self.average([s for s, _ in self.spectrum])
        trace_a = self.q * (self.D_a + self.beta_a)
        scale = self.psi_p / (self.psi_n * ridge)
        x = [scale * (self.L * self.a2 * mean + self.beta_psi + trace_a), scale * trace_a, 1 / ridge]
        last = False
        for _ in range(2000):
            image, _ = self.image(*variables(x), ridge)
            new = _solve(_matrix(image), [f.value - _dot(f.slopes, x) for f in image])
            change = max(abs(a - b) / abs(b) for a, b in zip(new, x, strict=True) if b != 0)
            x = new
            if last:
                return x
            last = change < mp.mpf(10) ** (-self.digits * 0.6)
        raise ArithmeticError("Newton's method from above has not converged")

    def losses(self):
        """train, empirical_test, test, score, objective and floor."""
        with mp.workdps(self.digits):
            e_s, e_a, g = self.solve(self.ridge)
            duals = variables([e_s, e_a, g, self.ridge, mp.mpf(0), mp.mpf(0)])
            image, J = self.image(*duals)
            matrix = _matrix(image)
            responses = [_solve(matrix, [f.slopes[k] for f in image]) for k in (3, 4, 5)]
            by_ridge, test, empirical_test = (
                J.slopes[k] + _dot(J.slopes, response) for k, response in zip((3, 4, 5), responses, strict=True)
            )
            floor = self.delta**2 * self.average([s / (self.a2 * s + self.h) for s, _ in self.spectrum])
            losses = {
                "train": J.value - self.ridge * by_ridge,
                "empirical_test": empirical_test,
                "test": test,
                "score": (self.scale * self.a) ** 2 / (self.h * self.delta**2) * (test - floor),
                "objective": J.value,
                "floor": floor,
            }
            if self.limit:  # what is left of the size of the ridge is zero in the limit
                losses |= {name: mp.mpf(0) for name, value in losses.items() if abs(value) < mp.mpf(10) ** (LIMIT / 2)}
            return losses


def _dot(slopes, x):
    return mp.fdot(zip(slopes[:3], x, strict=True))


def _matrix(image):
    """I - F'."""
    return [[mp.mpf(i == j) - f.slopes[j] for j in range(3)] for i, f in enumerate(image)]


def _solve(matrix, b):
    """Cramer's rule: three unknowns, and digits to spare."""

    def determinant(a, b, c):
        return (
            a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1]) + c[0] * (a[1] * b[2] - a[2] * b[1])
        )

    columns = list(zip(*matrix, strict=True))
    whole = determinant(*columns)
    return [determinant(*(b if k == j else columns[k] for k in range(3))) / whole for j in range(3)]
