"""The peers, each as a layer on one batch of problems.

A layer has `forward()`, which returns the answers [batch, n], and `both(cotangent)`, which differentiates the loss
`sum(cotangent * x)` with respect to every parameter that the peer can, and returns the answers and the gradient
with respect to q, [batch, n]. Packages are imported when a layer is made, so that one that is missing is skipped.
"""

import numpy as np

from problems import Cones, Quadratic, as_cones

TOLERANCE = 1e-9


def cones_of(problem):
    return problem if isinstance(problem, Cones) else as_cones(problem)


def ones(problem):
    form = cones_of(problem)
    return np.ones((len(form.q), form.answer))


class Moreau:
    """Compiled once; `setup` with the matrices is part of the forward pass, as in a layer whose matrices change."""

    packages = ["moreau"]
    differentiates = True
    solver = "ipm"
    name = "Moreau IPM"

    @classmethod
    def cannot(cls, problem):
        return None

    def __init__(self, problem):
        import moreau

        form = cones_of(problem)
        self.form = form
        batch, n = form.q.shape
        p, a = form.p.tocsr(), form.a.tocsr()
        self.solver_object = moreau.CompiledSolver(
            n=n,
            m=a.shape[0],
            P_row_offsets=p.indptr.tolist(),
            P_col_indices=p.indices.tolist(),
            A_row_offsets=a.indptr.tolist(),
            A_col_indices=a.indices.tolist(),
            cones=moreau.Cones(
                num_zero_cones=form.zero,
                num_nonneg_cones=form.nonnegative,
                so_cone_dims=form.second_order,
                num_exp_cones=form.exponential,
            ),
            settings=moreau.Settings(device="cpu", batch_size=batch, enable_grad=True, solver=self.solver),
        )
        self.cotangent = np.zeros((batch, n))
        self.ones = ones(problem)

    def solve(self):
        self.solver_object.setup(self.form.p_values, self.form.a_values)
        return np.asarray(self.solver_object.solve(self.form.q, self.form.b).x)

    def forward(self):
        return self.solve()[:, : self.form.answer]

    def both(self, cotangent=None):
        x = self.solve()
        self.cotangent[:, : self.form.answer] = self.ones if cotangent is None else cotangent
        gradients = self.solver_object.backward(self.cotangent)
        n = self.form.answer
        return x[:, :n], np.asarray(gradients["dq"])[:, :n]


class MoreauActiveSet(Moreau):
    solver = "active_set"
    name = "Moreau active set"

    @classmethod
    def cannot(cls, problem):
        form = cones_of(problem)
        return "linear rows only" if form.second_order or form.exponential else None


class Torch:
    """What the layers of torch have in common. `parameters` are the problem's, in the layer's order."""

    differentiates = True

    def prepare(self, problem, parameters):
        import torch

        torch.set_default_dtype(torch.float64)
        self.torch = torch
        self.ones = torch.tensor(ones(problem))
        self.parameters = [torch.tensor(np.array(values)) for values in parameters]

    def forward(self):
        with self.torch.no_grad():
            return self.answer(*self.parameters).numpy()

    def both(self, cotangent=None):
        leaves = [values.detach().requires_grad_() for values in self.parameters]
        x = self.answer(*leaves)
        x.backward(self.ones if cotangent is None else self.torch.tensor(cotangent))
        # q is the first of every layer's parameters.
        return x.detach().numpy(), leaves[0].grad.numpy()[:, : x.shape[1]]


class QpLayer(Torch):
    packages = ["proxsuite", "torch"]
    name = "proxsuite QPLayer"

    @classmethod
    def cannot(cls, problem):
        if not isinstance(problem, Quadratic) or len(problem.h):
            return "linear rows only"
        return None

    def __init__(self, problem):
        from proxsuite.torch.qplayer import QPFunction

        self.prepare(problem, [problem.q, problem.p, problem.a, problem.b, problem.g, problem.u])
        self.solve = QPFunction(eps=TOLERANCE, maxIter=1000, omp_parallel=False)

    def answer(self, q, p, a, b, g, u):
        # It takes an absent bound as a large number.
        lower = self.torch.full_like(u, -1e20)
        return self.solve(p, q, a, b, g, lower, u)[0]


class Qpth(Torch):
    packages = ["qpth", "torch"]
    name = "qpth"

    @classmethod
    def cannot(cls, problem):
        return QpLayer.cannot(problem)

    def __init__(self, problem):
        from qpth.qp import QPFunction

        self.prepare(problem, [problem.q, problem.p, problem.a, problem.b, problem.g, problem.u])
        self.solve = QPFunction(verbose=-1, eps=TOLERANCE, check_Q_spd=False)

    def answer(self, q, p, a, b, g, u):
        return self.solve(p, q, g, u, a, b)


class CvxpyLayers(Torch):
    """Clarabel under diffcp. Its parameters are q and b: the matrices are constants, which favours it.

    diffcp solves the system of the derivative by LSQR unless told otherwise.
    """

    packages = ["cvxpylayers", "diffcp", "clarabel", "torch"]
    name = "cvxpylayers (Clarabel)"
    mode = "lsqr"

    @classmethod
    def cannot(cls, problem):
        return "matrices a sample are not modelled here" if cones_of(problem).per_sample else None

    def __init__(self, problem):
        import cvxpy as cp
        from cvxpylayers.torch import CvxpyLayer

        form = cones_of(problem)
        n, m = form.q.shape[1], form.b.shape[1]
        x, q, b = cp.Variable(n), cp.Parameter(n), cp.Parameter(m)
        s = b - form.a @ x
        rows = np.cumsum([0, form.zero, form.nonnegative, *form.second_order])
        constraints = []
        if form.zero:
            constraints.append(s[: rows[1]] == 0)
        if form.nonnegative:
            constraints.append(s[rows[1] : rows[2]] >= 0)
        for start, end in zip(rows[2:], rows[3:]):
            constraints.append(cp.SOC(s[start], s[start + 1 : end]))
        if form.exponential:
            start = rows[-1]
            constraints.append(cp.ExpCone(s[start::3], s[start + 1 :: 3], s[start + 2 :: 3]))
        objective = q @ x
        if form.p.nnz:
            objective += 0.5 * cp.sum_squares(semidefinite_root(form.p) @ x)
        program = cp.Problem(cp.Minimize(objective), constraints)
        self.prepare(problem, [form.q, form.b])
        self.layer = CvxpyLayer(program, parameters=[q, b], variables=[x])
        self.count = form.answer

    def answer(self, q, b):
        arguments = {"solve_method": "Clarabel"}
        # Without a gradient to prepare, the mode would be taken for a setting of Clarabel's.
        if self.torch.is_grad_enabled():
            arguments["mode"] = self.mode
        return self.layer(q, b, solver_args=arguments)[0][:, : self.count]


class CvxpyLayersDense(CvxpyLayers):
    """The same with a dense factorisation for the derivative."""

    name = "cvxpylayers (Clarabel, dense)"
    mode = "dense"
    most_bytes = 8e9

    @classmethod
    def cannot(cls, problem):
        why = super().cannot(problem)
        if why:
            return why
        form = cones_of(problem)
        (batch, n), m = form.q.shape, form.b.shape[1]
        # The forward pass keeps a matrix of all variables, rows and one more for each sample.
        needed = 8 * batch * (n + m + 1) ** 2
        return f"it would keep {needed / 1e9:.0f} GB of derivatives" if needed > cls.most_bytes else None


def semidefinite_root(p):
    """R with R'R = P, sparse where P is diagonal."""
    import scipy.sparse as sp

    diagonal = p.diagonal()
    if (p - sp.diags_array(diagonal)).nnz == 0:
        return sp.diags_array(np.sqrt(diagonal)).tocsr()[np.flatnonzero(diagonal)]
    return np.linalg.cholesky(p.toarray()).T


class Clarabel:
    """The plain solver, one problem after the other. It does not differentiate."""

    packages = ["clarabel"]
    name = "Clarabel"
    differentiates = False

    @classmethod
    def cannot(cls, problem):
        return "matrices a sample are not modelled here" if cones_of(problem).per_sample else None

    def __init__(self, problem, tolerance=None):
        import clarabel
        import scipy.sparse as sp

        form = cones_of(problem)
        self.form, self.clarabel = form, clarabel
        self.p = sp.triu(form.p, format="csc")
        self.cones = [clarabel.ZeroConeT(form.zero), clarabel.NonnegativeConeT(form.nonnegative)]
        self.cones += [clarabel.SecondOrderConeT(rows) for rows in form.second_order]
        self.cones += [clarabel.ExponentialConeT()] * form.exponential
        self.settings = clarabel.DefaultSettings()
        self.settings.verbose = False
        if tolerance:
            self.settings.tol_feas = self.settings.tol_gap_abs = self.settings.tol_gap_rel = tolerance

    def solve(self, i):
        form = self.form
        solver = self.clarabel.DefaultSolver(
            self.p, form.q[i], form.a, form.b[i], self.cones, self.settings
        )
        return solver.solve()

    def forward(self):
        return np.array([self.solve(i).x for i in range(len(self.form.q))])[:, : self.form.answer]
