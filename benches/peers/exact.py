"""Solutions of a `Quadratic` to rounding, independent of the peers that are checked.

Clarabel's point names the active rows; Newton's method on the optimality conditions with these rows as equations
takes it to rounding. A solution is kept only if every other row is satisfied and every multiplier is positive.
"""

from dataclasses import dataclass

import numpy as np

from peers import Clarabel
from problems import as_cones, quadratic

STEPS = 20

# What Newton's method must reach; the entries are of order 1 to 10.
ROUNDING = 1e-11


class NotFound(Exception):
    """The active rows could not be told."""


@dataclass
class Solution:
    x: np.ndarray
    # Multipliers of the equalities and of the active inequalities.
    nu: np.ndarray
    mu: np.ndarray
    active: np.ndarray
    # The smallest, over the inequalities, of the larger of multiplier and slack, by the row's norm.
    margin: float


class Exact:
    def __init__(self, problem):
        self.problem = problem

    def inequalities(self, i, x):
        """Values less right-hand sides, and gradients."""
        problem = self.problem
        _, _, g = problem.matrices(i)
        hx = problem.h @ x
        values = np.concatenate([g @ x - problem.u[i], hx @ x + problem.hg @ x - problem.hc])
        return values, np.vstack([g, 2 * hx + problem.hg])

    def solve(self, i):
        """The solution of a sample."""
        problem = self.problem
        p, a, g = problem.matrices(i)
        form = as_cones(
            quadratic(
                problem.q[i : i + 1], p, a, problem.b[i : i + 1], g, problem.u[i : i + 1],
                problem.h, problem.hg, problem.hc,
            )
        )  # fmt: skip
        solution = Clarabel(form, tolerance=1e-10).solve(0)
        x, z = np.array(solution.x), np.array(solution.z)
        nu, linear, rest = np.split(z, [form.zero, form.zero + form.nonnegative])
        # The cone's rows are (t + 1, 2Rx, t - 1): t weighs the first and the last.
        rest = rest.reshape(len(problem.h), len(x) + 2)
        mu = np.concatenate([linear, rest[:, 0] + rest[:, -1]])
        values, gradients = self.inequalities(i, x)
        sizes = np.linalg.norm(gradients, axis=1)
        active = mu * sizes > -values / sizes
        return self.refine(i, problem.q[i], Solution(x, nu, mu[active], active, 0.0))

    def refine(self, i, q, start):
        """The solution for another q with the active rows of `start`."""
        problem = self.problem
        p, a, g = problem.matrices(i)
        x, nu, mu, active = start.x, start.nu, start.mu, start.active
        for _ in range(STEPS):
            values, gradients = self.inequalities(i, x)
            weights = np.zeros(len(values))
            weights[active] = mu
            hessian = p + 2 * np.einsum("k,kij->ij", weights[len(g) :], problem.h)
            jacobian = np.vstack([a, gradients[active]])
            stationarity = p @ x + q + jacobian.T @ np.concatenate([nu, mu])
            residual = np.concatenate([stationarity, a @ x - problem.b[i], values[active]])
            if np.abs(residual).max() < ROUNDING:
                break
            k = len(jacobian)
            system = np.block([[hessian, jacobian.T], [jacobian, np.zeros((k, k))]])
            step = np.linalg.solve(system, -residual)
            dx, dnu, dmu = np.split(step, [len(x), len(x) + len(nu)])
            x, nu, mu = x + dx, nu + dnu, mu + dmu
        else:
            raise NotFound
        sizes = np.linalg.norm(gradients, axis=1)
        multipliers, slack = weights * sizes, -values / sizes
        if (slack[~active] < 0).any() or (mu < 0).any():
            raise NotFound
        margin = np.maximum(multipliers, slack).min(initial=np.inf)
        return Solution(x, nu, mu, active, margin)
