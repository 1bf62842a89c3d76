"""Times Theseus: Levenberg-Marquardt on a residual its user wrote, beside benches/benches/nls.rs.

r(y) = A y + Q y^2 - z with z reachable, batch 128, damping 1e-3 fixed, at most 10 iterations; the gradient of the sum of
y^3 with respect to start and z.
"""

import timing  # noqa: I001  (sets the number of threads before torch starts)

import numpy as np

BATCH = 128
ITERATIONS = 10
DAMPING = 1e-3


def draw(n, m):
    rng = np.random.default_rng(2)
    return {
        "n": n,
        "m": m,
        "A": rng.normal(size=(m, n)) / np.sqrt(n),
        "Q": rng.random((m, n)) / n,
        "u": rng.random(m),
        "start": 2 * rng.normal(size=(BATCH, n)),
    }


WORKS = {("least squares", f"n={n} m={m}"): (lambda n=n, m=m: draw(n, m)) for n, m in ((20, 10), (100, 50))}


class Theseus:
    differentiates = True
    packages = ("theseus-ai", "torch")

    @staticmethod
    def cannot(_):
        return None

    def __init__(self, problem):
        import theseus as th
        import torch

        torch.set_num_threads(timing.THREADS)
        torch.set_default_dtype(torch.float64)
        n, m = problem["n"], problem["m"]
        a, q, u, start = (torch.tensor(problem[key]) for key in ("A", "Q", "u", "start"))
        self.rows = lambda y: y @ a.T + (y * y) @ q.T
        self.start, self.target = start, torch.minimum(self.rows(start), u)
        y = th.Vector(n, name="y", dtype=torch.float64)
        z = th.Variable(torch.zeros(1, m, dtype=torch.float64), name="z")

        def residual(optim_vars, aux_vars):
            return self.rows(optim_vars[0].tensor) - aux_vars[0].tensor

        objective = th.Objective(dtype=torch.float64)
        cost = th.AutoDiffCostFunction([y], residual, m, aux_vars=[z], name="rows", autograd_mode="vmap")
        objective.add(cost)
        optimizer = th.LevenbergMarquardt(
            objective, max_iterations=ITERATIONS, step_size=1.0, linear_solver_cls=th.CholeskyDenseSolver
        )
        self.layer = th.TheseusLayer(optimizer)

    def solve(self, tracked):
        y, z = self.start.clone().requires_grad_(tracked), self.target.clone().requires_grad_(tracked)
        options = {"damping": DAMPING, "backward_mode": self.mode}
        found, _ = self.layer.forward({"y": y, "z": z}, optimizer_kwargs=options)
        return found["y"]

    def forward(self):
        self.solve(False)

    def both(self):
        (self.solve(True) ** 3).sum().backward()


class Unrolled(Theseus):
    name = "Theseus, unrolled"
    mode = "unroll"


class Implicit(Theseus):
    name = "Theseus, implicit (Gauss-Newton)"
    mode = "implicit"


if __name__ == "__main__":
    timing.time_all(WORKS, [Unrolled, Implicit], __doc__)
