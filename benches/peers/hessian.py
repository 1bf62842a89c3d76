"""Five largest eigenvalues of a network's Hessian: PyHessian's, and scipy's eigsh on torch's exact products.

    cargo run --release -p feasible-dynamics --example dynamics_cost
    DIR/bin/python benches/peers/hessian.py

The network of crates/dynamics/examples/dynamics_cost.rs, 50-200-200-100 with 833 normal samples, in f64, with
torch's initial weights in place of Burn's. PyHessian runs at its defaults, tolerance 1e-3 and at most 100 iterations a
pair; its residuals are by exact products. eigsh keeps 20 vectors and stops at 1e-6, three starts.
"""

import timing  # noqa: I001  (sets the number of threads before torch starts)

import json
import time

import numpy as np
import torch
from pyhessian import hessian
from scipy.sparse.linalg import LinearOperator, eigsh

COUNT = 5


def residual(product, value, vector):
    vector = vector / np.linalg.norm(vector)
    return float(np.linalg.norm(product(vector) - value * vector) / abs(value))


def main():
    torch.set_num_threads(timing.THREADS)
    torch.set_default_dtype(torch.float64)
    loss = torch.nn.MSELoss()
    for name, activation in (("tanh", torch.nn.Tanh), ("relu", torch.nn.ReLU)):
        torch.manual_seed(1)
        layers = [torch.nn.Linear(50, 200), activation(), torch.nn.Linear(200, 200), activation()]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(200, 100))
        x, y = torch.randn(833, 50), torch.randn(833, 100)
        parameters = list(network.parameters())
        gradients = torch.autograd.grad(loss(network(x), y), parameters, create_graph=True)
        flat = torch.cat([g.reshape(-1) for g in gradients])
        n = flat.numel()
        calls = 0

        def product(v):
            nonlocal calls
            calls += 1
            v = torch.from_numpy(np.ascontiguousarray(v, dtype=np.float64).ravel())
            columns = torch.autograd.grad(flat, parameters, v, retain_graph=True)
            return torch.cat([c.reshape(-1) for c in columns]).numpy()

        def report(peer, seconds, products, values, vectors):
            worst = max(residual(product, value, vector) for value, vector in zip(values, vectors))
            line = {
                "work": f"top {COUNT} of a Hessian, {name}",
                "size": f"n={n}",
                "peer": peer,
                "seconds": seconds,
                "products": products,
                "values": [float(v) for v in values],
                "largest_residual": worst,
                "threads": timing.THREADS,
                "versions": timing.versions(["torch", "scipy", "pyhessian"]),
            }
            print(json.dumps(line), flush=True)

        start = time.perf_counter()
        values, vectors = hessian(network, loss, data=(x, y), cuda=False).eigenvalues(top_n=COUNT)
        seconds = time.perf_counter() - start
        flat_vectors = [np.concatenate([p.detach().numpy().ravel() for p in v]) for v in vectors]
        report("PyHessian", seconds, None, values, flat_vectors)
        for seed in range(3):
            calls, start = 0, time.perf_counter()
            operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
            first = np.random.default_rng(seed).standard_normal(n)
            values, vectors = eigsh(operator, k=COUNT, which="LA", tol=1e-6, v0=first, ncv=20)
            seconds, products = time.perf_counter() - start, calls
            report("eigsh", seconds, products, values[::-1], vectors.T[::-1])


main()
