"""Times a training epoch of SnareNet's own code (github.com/miniyachi/SnareNet), beside benches/benches/epoch.rs.

    python snarenet.py CHECKOUT qcqp|noncvx [--inequalities M] [--batches N]

CHECKOUT is a clone of its repository, of which nothing is copied here. The instance is the published one, drawn as its
generators draw it (seed 2025), its network untrained. For several shares of the starting epsilon, the largest violations
of 2,000 raw outputs, a few batches are trained and the median is multiplied by the batches of an epoch, 8,334 samples.
The share 0 is the true box. f64, PEER_THREADS threads (2), tolerance 1e-6; all else as in its configuration.
"""

import timing  # noqa: I001  (sets the number of threads before torch starts)

import argparse
import importlib
import json
import pathlib
import statistics
import sys
import time
import types

import numpy as np

VARIABLES, EQUALITIES, SAMPLES, TRAINING = 100, 50, 10_000, 8_334
SHARES = (1.0, 0.5, 0.1, 0.0)
# What its modules import for other solvers, for logging and for its command line. None of it is called here.
UNUSED = ("cvxpy", "gurobipy", "wandb", "gekko", "cvxpylayers", "cvxpylayers.torch", "hydra", "omegaconf", "setproctitle",
          "tqdm")


class Settings(dict):
    """Read as its configuration is: by attribute and by key."""

    __getattr__ = dict.__getitem__


def stand_in(names):
    """Empty modules for those that are not installed."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            module = types.ModuleType(name)
            module.GRB = module.CvxpyLayer = module.DictConfig = module.OmegaConf = module.tqdm = object
            sys.modules[name] = module


def convex_qcqp(inequalities):
    """Its QCQP: the right-hand sides leave room for the shortest point on the equalities of every input."""
    from cvxqcqp_problem import QCQP

    n = VARIABLES
    q = np.diag(0.5 * np.random.rand(n))
    p = np.random.uniform(-1, 1, n)
    a = np.random.uniform(-1, 1, (EQUALITIES, n))
    x = np.random.uniform(-0.5, 0.5, (SAMPLES, EQUALITIES))
    g = np.random.uniform(-1, 1, (inequalities, n))
    h = np.stack([np.diag(row) for row in np.random.uniform(0, 0.1, (inequalities, n))])
    shortest = np.linalg.pinv(a)
    radius = np.linalg.norm(x, axis=1).max()
    curved = np.linalg.norm(shortest.T @ h @ shortest, ord=2, axis=(1, 2))
    limit = curved * radius**2 + np.linalg.norm(g @ shortest, axis=1) * radius + 0.1
    return QCQP(q, p, a, x, g, h, limit)


def non_convex(inequalities):
    """Its linear rows with a non-convex objective."""
    from noncvx_problem import NonCvxProblem

    n = VARIABLES
    q = np.diag(np.random.rand(n))
    p = np.random.rand(n)
    a = np.random.normal(size=(inequalities, n))
    c = np.random.normal(size=(EQUALITIES, n))
    limit = np.abs(a @ np.linalg.pinv(c)).sum(axis=1)
    return NonCvxProblem(q, p, a, limit, c, np.random.uniform(-1, 1, (SAMPLES, EQUALITIES)))


PROBLEMS = {"qcqp": ("cvx_qcqp", convex_qcqp, 100), "noncvx": ("noncvx", non_convex, 200)}


def configuration(kind, batch):
    model = Settings(
        name="snarenet", hidden_size=200, num_hidden_layers=2, dropout=0.2, use_batch_norm=True, newton_maxiter=100,
        rtol=1e-6, lambd=1e-2, adaptive_relaxation=True, decay_epochs=500, decay_schedule="linear",
    )  # fmt: skip
    return Settings(
        model=model, dataset=Settings(prob_type=kind), soft_weight=10, soft_epochs=0, batch_size=batch, learning_rate=1e-4
    )


def largest_violations(data, net, x):
    """Of every row, by raw outputs in training mode, as its adaptive relaxation observes them."""
    import torch

    net.set_repair(False)
    with torch.no_grad():
        y = net(x)
        lower, upper = data.get_lower_upper_bounds(x)
        rows = data.get_g(x)(y)
    net.set_repair(True)
    return (torch.relu(rows - upper) + torch.relu(lower - rows)).amax(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=pathlib.Path)
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--inequalities", type=int, default=50)
    parser.add_argument("--batches", type=int, default=6, help="timed batches at each epsilon (default 6)")
    options = parser.parse_args()
    kind, draw, batch = PROBLEMS[options.problem]

    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(timing.THREADS)
    stand_in(UNUSED)
    sys.path[:0] = [str(options.checkout), str(options.checkout / "datasets" / kind)]
    from models.snarenet import SnareNet

    np.random.seed(2025)
    torch.manual_seed(123)
    data, settings = draw(options.inequalities), configuration(kind, batch)
    net = SnareNet(data, settings)
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
    inputs = data.trainX
    epsilon = largest_violations(data, net, inputs[:2000])
    for share in SHARES:
        net.set_eps(share * epsilon)
        seconds, iterations = [], []
        for start in range(0, options.batches * batch, batch):
            began = time.perf_counter()
            optimizer.zero_grad()
            data.get_train_loss(net, inputs[start : start + batch], None, settings).sum().backward()
            optimizer.step()
            seconds.append(time.perf_counter() - began)
            iterations.append(net.get_iter_taken())
        line = {
            "work": f"epoch, {options.problem}, {options.inequalities} inequalities",
            "share_of_epsilon": share,
            "batch_ms": 1e3 * statistics.median(seconds),
            "epoch_s": statistics.median(seconds) * TRAINING / batch,
            "iterations": iterations,
            "threads": timing.THREADS,
            "versions": timing.versions(["torch"]),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
