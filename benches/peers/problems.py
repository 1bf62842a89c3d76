"""The problems that are timed: the sizes and distributions of benches/benches/layers.rs, solver.rs and cones.rs.

The draws are numpy's, so that the numbers differ from those of the Rust benchmark; all else agrees. `WORKS` has
every problem under the name that the benchmark gives its group, with the size as criterion writes it.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

BATCH = 128
SIZES = [(20, 5, 10), (100, 50, 50)]
QUADRATIC_SIZES = [(20, 0, 5), (100, 0, 10)]


@dataclass
class Quadratic:
    """min 1/2 x'Px + q'x  s.t.  Ax = b, Gx <= u, x'H_i x + g_i'x <= c_i, for a batch.

    P is [n, n], or [batch, n, n]; A and G are [rows, n], or [batch, rows, n]; q, b and u are [batch, ..]; H is
    [k, n, n] and, like g and c, the same for the whole batch.
    """

    p: np.ndarray
    q: np.ndarray
    a: np.ndarray
    b: np.ndarray
    g: np.ndarray
    u: np.ndarray
    h: np.ndarray
    hg: np.ndarray
    hc: np.ndarray

    @property
    def per_sample(self):
        return self.p.ndim == 3

    def matrices(self, i):
        """P, A and G of a sample."""
        return (self.p[i], self.a[i], self.g[i]) if self.per_sample else (self.p, self.a, self.g)


@dataclass
class Cones:
    """min 1/2 x'Px + q'x  s.t.  Ax + s = b, s in zero x nonnegative x second-order x exponential cones.

    P and A are csc matrices whose pattern the batch shares; `p_values` and `a_values` are their numbers in the order
    of csr, [nonzeros] or [batch, nonzeros]. P is given in full. q and b are [batch, ..].
    """

    p: sp.csc_array
    a: sp.csc_array
    p_values: np.ndarray
    a_values: np.ndarray
    q: np.ndarray
    b: np.ndarray
    zero: int
    nonnegative: int
    second_order: list
    exponential: int
    # How many of the variables are the answer; the rest are there for the cone form.
    answer: int

    @property
    def per_sample(self):
        return self.a_values.ndim == 2


def quadratic(q, p, a=None, b=None, g=None, u=None, h=None, hg=None, hc=None):
    """A `Quadratic` whose absent parts have no rows."""
    batch, n = q.shape
    rows = np.zeros((0, n)) if p.ndim == 2 else np.zeros((batch, 0, n))
    none = np.zeros((batch, 0))
    return Quadratic(
        p, q,
        rows if a is None else a, none if b is None else b,
        rows if g is None else g, none if u is None else np.broadcast_to(u, (batch, u.shape[-1])),
        np.zeros((0, n, n)) if h is None else h,
        np.zeros((0, n)) if hg is None else hg,
        np.zeros(0) if hc is None else hc,
    )  # fmt: skip


def gram(rng, n):
    root = rng.normal(size=(n, n))
    return root.T @ root / n + 0.1 * np.eye(n)


def qp(size, matrices):
    """DC3's kind of QP. `matrices`: "shared", "shared dense" or "per sample"."""
    n, eq, ineq = size
    rng = np.random.default_rng(0)
    lead = (BATCH,) if matrices == "per sample" else ()
    p = rng.uniform(0.1, 1.1, size=(*lead, n))[..., None] * np.eye(n)
    if matrices == "shared dense":
        p = gram(rng, n)
    a = rng.normal(size=(*lead, eq, n))
    g = rng.normal(size=(*lead, ineq, n))
    b = rng.uniform(-1, 1, size=(BATCH, eq))
    q = rng.uniform(0, 1, size=(BATCH, n))
    # Wide enough to be feasible, narrow enough to bind.
    u = 2 * np.linalg.norm(g, axis=-1)
    return quadratic(q, p, a, b, g, u)


def dc3(size, matrices):
    """DC3's own draw: bounds that the least-norm point of every b meets, so that many of them bind."""
    problem = qp(size, matrices)
    pinv = np.linalg.pinv(problem.a)
    u = np.abs(problem.g @ pinv).sum(axis=-1)
    return quadratic(problem.q, problem.p, problem.a, problem.b, problem.g, u)


def qcqp(size):
    """Dense P and H."""
    n, _, ineq = size
    rng = np.random.default_rng(0)
    p = gram(rng, n)
    h = np.stack([gram(rng, n) for _ in range(ineq)])
    hg = rng.normal(size=(ineq, n))
    q = rng.normal(size=(BATCH, n))
    return quadratic(q, p, h=h, hg=hg, hc=np.ones(ineq))


def equalities(rng, n, eq):
    return rng.uniform(-1, 1, size=(eq, n)), rng.uniform(-0.5, 0.5, size=(BATCH, eq))


def projection_affine(size):
    """The nearest point that satisfies linear rows, as 1/2 |x|^2 - raw'x."""
    n, eq, ineq = size
    rng = np.random.default_rng(0)
    g = rng.normal(size=(ineq, n))
    a, b = equalities(rng, n, eq)
    raw = rng.normal(size=(BATCH, n))
    return quadratic(-raw, np.eye(n), a, b, g, 0.5 * np.linalg.norm(g, axis=-1))


def projection_diagonal(size):
    """The same with diagonal quadratic rows and equalities, SnareNet's QCQP."""
    n, eq, ineq = size
    rng = np.random.default_rng(0)
    h = rng.uniform(0, 0.1, size=(ineq, n))[..., None] * np.eye(n)
    hg = rng.uniform(-1, 1, size=(ineq, n))
    a, b = equalities(rng, n, eq)
    raw = rng.normal(size=(BATCH, n))
    return quadratic(-raw, np.eye(n), a, b, h=h, hg=hg, hc=np.full(ineq, 4.0))


def projection_free(size):
    """Far points onto diagonal quadratic rows alone. Has no counterpart in the Rust benchmark."""
    n, _, ineq = size
    rng = np.random.default_rng(1)
    h = rng.uniform(0, 1, size=(ineq, n))[..., None] * np.eye(n)
    hg = rng.normal(size=(ineq, n))
    hc = rng.uniform(1, 2, size=ineq)
    raw = rng.normal(scale=3, size=(BATCH, n))
    return quadratic(-raw, np.eye(n), h=h, hg=hg, hc=hc)


def as_cones(problem):
    """The cone form of a `Quadratic`: x'Hx <= t as (t + 1, 2Rx, t - 1) in the second-order cone, H = R'R."""
    batch, n = problem.q.shape
    blocks, bounds = [], []
    for h, g, c in zip(problem.h, problem.hg, problem.hc):
        root = root_of(h)
        blocks += [g[None], -2 * root, g[None]]
        bounds += [c + 1, *np.zeros(len(root)), c - 1]
    dims = [n + 2] * len(problem.h)
    samples = range(batch) if problem.per_sample else [0]
    matrices = [problem.matrices(i) for i in samples]
    stacks = [np.vstack([a, g, *blocks]) for _, a, g in matrices]
    a = sp.csr_array(nonzero(stacks))
    p = sp.csr_array(nonzero([p for p, _, _ in matrices]))
    values = lambda pattern, full: [m[pattern.nonzero()] for m in full]
    a_values = np.stack(values(a, stacks))
    p_values = np.stack(values(p, [p for p, _, _ in matrices]))
    if not problem.per_sample:
        a_values, p_values = a_values[0], p_values[0]
    b = np.hstack([problem.b, problem.u, np.tile(bounds, (batch, 1))])
    return Cones(
        p.tocsc(), a.tocsc(), p_values, a_values, problem.q, b,
        problem.b.shape[1], problem.u.shape[1], dims, 0, n,
    )  # fmt: skip


def nonzero(matrices):
    """The first matrix, with a number wherever one of them has one."""
    used = np.any([m != 0 for m in matrices], axis=0)
    return np.where(used & (matrices[0] == 0), np.finfo(float).tiny, matrices[0])


def root_of(h):
    """R with R'R = H, diagonal where H is."""
    diagonal = np.diag(h)
    if np.array_equal(h, np.diag(diagonal)):
        return np.diag(np.sqrt(diagonal))
    return np.linalg.cholesky(h).T


def cone_program(p, q, a, b, answer, zero=0, nonnegative=0, second_order=(), exponential=0):
    p, a = sp.csr_array(p), sp.csr_array(a)
    return Cones(
        p.tocsc(), a.tocsc(), p.data, a.data, q, b, zero, nonnegative, list(second_order), exponential, answer
    )


def entries(rng, shape, density):
    """Normal numbers where a coin of this density falls, as the Rust benchmark draws its sparse matrices."""
    return sp.csr_array(np.where(rng.random(shape) < density, rng.normal(size=shape), 0.0))


def portfolio(size):
    """max return - |(F'x, Dx)|  over long-only weights that sum to one, with a factor model of the risk.

    Variables: n weights and the risk. One second-order cone of 1 + k + n rows.
    """
    n, k, batch = size
    rng = np.random.default_rng(2)
    factors = entries(rng, (k, n), 0.5)
    own = rng.uniform(0.5, 1.5, size=n) * np.sqrt(k)
    returns = rng.normal(size=(batch, n))
    rows = sp.block_array([
        [np.ones((1, n)), None],
        [-sp.eye_array(n), None],
        [None, -np.ones((1, 1))],
        [-factors, None],
        [-sp.diags_array(own), None],
    ])  # fmt: skip
    b = np.concatenate([[1.0], np.zeros(rows.shape[0] - 1)])
    q = np.hstack([-returns, np.ones((batch, 1))])
    return cone_program(
        sp.csr_array((n + 1, n + 1)), q, rows, np.tile(b, (batch, 1)), n, 1, n, [1 + k + n]
    )


def entropy(size):
    """max entropy - c'x  on the simplex with m sparse rows; without them the softmax of -c.

    Variables: n probabilities, n lower bounds of their entropies. n exponential cones.
    """
    n, m, batch = size
    rng = np.random.default_rng(3)
    q = np.hstack([rng.normal(size=(batch, n)), -np.ones((batch, n))])
    # (t, x, 1) in the exponential cone, x exp(t / x) <= 1.
    cones = sp.lil_array((3 * n, 2 * n))
    for i in range(n):
        cones[3 * i, n + i] = -1
        cones[3 * i + 1, i] = -1
    rows = sp.block_array([[np.ones((1, n)), None], [entries(rng, (m, n), 0.2), sp.csr_array((m, n))]])
    b = np.concatenate([[1.0], np.full(m, 0.05), np.tile([0.0, 0.0, 1.0], n)])
    return cone_program(
        sp.csr_array((2 * n, 2 * n)), q, sp.vstack([rows, cones]), np.tile(b, (batch, 1)), n, 1, m, exponential=n
    )


def lasso(size):
    """min 1/2 |Fx - y|^2 + sum |x| + c'x  with a sparse F and c per sample.

    Variables: n coefficients, n absolute values, m residuals.
    """
    n, m, batch = size
    rng = np.random.default_rng(4)
    design = entries(rng, (m, n), 0.15)
    y = rng.normal(size=m)
    eye = sp.eye_array(n)
    rows = sp.block_array([
        [design, None, -sp.eye_array(m)],
        [eye, -eye, None],
        [-eye, -eye, None],
    ])  # fmt: skip
    p = sp.diags_array(np.concatenate([np.zeros(2 * n), np.ones(m)]))
    q = np.hstack([0.1 * rng.normal(size=(batch, n)), np.ones((batch, n)), np.zeros((batch, m))])
    b = np.concatenate([y, np.zeros(2 * n)])
    return cone_program(p, q, rows, np.tile(b, (batch, 1)), n, m, 2 * n)


def cone_works(name, sizes, make):
    """Under the size that the Rust benchmark's group has in its name."""

    def words(size):
        n, k, batch = size
        variables, rows = {
            "portfolio": (n + 1, 2 + 2 * n + k),
            "lasso": (2 * n + k, k + 2 * n),
            "entropy": (2 * n, 1 + k + 3 * n),
        }[name]
        return f"batch {batch}, n={variables}, m={rows}"

    return {(f"cones, {name}", words(size)): (lambda size=size: make(size)) for size in sizes}


def named(name, sizes, make):
    return {(name, "n=" + "/".join(map(str, size))): (lambda size=size: make(size)) for size in sizes}


QP_WORKS = {
    **named("qp, DC3's draw", SIZES, lambda size: dc3(size, "shared")),
    **named("qp, DC3's draw, dense P", SIZES, lambda size: dc3(size, "shared dense")),
    **named("qp, DC3's draw, matrices a sample", SIZES, lambda size: dc3(size, "per sample")),
    **named("qp, shared matrices", SIZES, lambda size: qp(size, "shared")),
    **named("qp, shared matrices, dense P", SIZES, lambda size: qp(size, "shared dense")),
    **named("qp, matrices a sample", SIZES, lambda size: qp(size, "per sample")),
    **named("projection, affine", SIZES, projection_affine),
}
QCQP_WORKS = {
    **named("qcqp, dense P and H", QUADRATIC_SIZES, qcqp),
    **named("projection, diagonal H", SIZES, projection_diagonal),
    **named("projection, diagonal H, no equalities", QUADRATIC_SIZES, projection_free),
}
# Variables or features, factors or rows, batch: as in benches/benches/cones.rs.
CONE_WORKS = {
    **cone_works("portfolio", [(100, 20, 64), (400, 40, 16)], portfolio),
    **cone_works("lasso", [(100, 60, 64), (400, 200, 16)], lasso),
    **cone_works("entropy", [(100, 20, 64), (500, 50, 16)], entropy),
}
