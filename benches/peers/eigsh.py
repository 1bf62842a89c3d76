"""Counts products with a matrix until its five largest eigenvalues are found: ours and scipy's eigsh.

    cargo build --release -p feasible-spectrum --example count_products
    DIR/bin/python benches/peers/eigsh.py target/release/examples/count_products [--tolerance 1e-6]

Needs numpy and scipy. Both keep 20 vectors and start from five random directions; counts are medians. The
tolerance is relative to the eigenvalue in both. Ours includes the products for true residuals, and with the
search for copies those too.
"""

import argparse
import pathlib
import statistics
import subprocess
import tempfile

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

N, COUNT, BASIS, SEEDS = 1000, 5, 20, 5


def matrices():
    rng = np.random.default_rng(1)

    def with_spectrum(values):
        q, _ = np.linalg.qr(rng.standard_normal((N, N)))
        a = (q * values) @ q.T
        return (a + a.T) / 2

    g = rng.standard_normal((N, N))
    x = rng.standard_normal((2 * N, N))
    return {
        "semicircle": (g + g.T) / np.sqrt(2 * N),
        "uniform": with_spectrum(rng.uniform(-1, 1, N)),
        "decay 0.9^i": with_spectrum(0.9 ** np.arange(N)),
        "decay 1/i": with_spectrum(1 / (1 + np.arange(N))),
        "covariance": x.T @ x / (2 * N),
        "outliers": with_spectrum(np.r_[100, 70, 50, 30, 20, 10, 5, rng.standard_normal(N - 7)]),
        "cluster": with_spectrum(np.r_[1 + 1e-4 * np.arange(8), rng.uniform(0, 0.9, N - 8)]),
        "repeated": with_spectrum(np.r_[2, 2, 2, 1.5, 1.5, 1.2, rng.uniform(0, 1, N - 6)]),
    }


def scipy_counts(a, exact, tolerance):
    counts, wrong = [], 0
    for seed in range(SEEDS):
        calls = [0]

        def product(x):
            calls[0] += 1
            return a @ x

        start = np.random.default_rng(seed).standard_normal(N)
        operator = LinearOperator((N, N), matvec=product, dtype=float)
        values = eigsh(
            operator, k=COUNT, which="LA", tol=tolerance, v0=start, ncv=BASIS, return_eigenvectors=False
        )
        counts.append(calls[0])
        wrong += not np.allclose(np.sort(values), exact, rtol=100 * tolerance)
    return statistics.median(counts), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    arguments = parser.parse_args()
    print("| spectrum | eigsh | wrong of 5 | ours, one Krylov space | ours, copies searched for | wrong of 5 |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, a in matrices().items():
            file = pathlib.Path(folder) / "matrix.npy"
            np.save(file, a)
            command = [arguments.program, str(COUNT), str(arguments.tolerance), str(BASIS), file]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            exact = np.sort(np.linalg.eigvalsh(a))[-COUNT:]
            counts = {"Trust": [], "Search": []}
            wrong = 0
            for line in output.splitlines():
                copies, _, products, _, _, status, _, total = line.split()[-8:]
                counts[copies].append(int(products))
                good = status == "Converged" and np.isclose(float(total), exact.sum(), rtol=100 * arguments.tolerance)
                wrong += copies == "Search" and not good
            eigsh_count, eigsh_wrong = scipy_counts(a, exact, arguments.tolerance)
            ours = [f"{statistics.median(counts[c]):.0f}" for c in ("Trust", "Search")]
            print(f"| {name} | {eigsh_count:.0f} | {eigsh_wrong} | {ours[0]} | {ours[1]} | {wrong} |")


if __name__ == "__main__":
    main()
