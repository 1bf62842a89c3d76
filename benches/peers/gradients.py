"""Compares the peers' gradients with central differences of solutions to rounding (exact.py).

The loss of a sample is a random linear function of its answer, moved along a random direction of q. A sample counts
if it is not degenerate: every inequality has a multiplier or a slack above MARGIN (relative to the row's norm), and
the same rows are active at the two points of the difference. A gradient is wrong if it misses the difference by more
than WRONG, relative to the larger of the difference and the batch's root mean square.
"""

import json

import numpy as np

import timing
from exact import Exact, NotFound
from peers import CvxpyLayers, CvxpyLayersDense, Moreau, MoreauActiveSet, QpLayer, Qpth
from problems import QCQP_WORKS, QP_WORKS

MARGIN = 1e-4
WRONG = 1e-3
STEP = 1e-5
PEERS = [MoreauActiveSet, Moreau, QpLayer, Qpth, CvxpyLayers, CvxpyLayersDense]


def differences(problem, cotangent, direction, samples):
    """For each sample the derivative along the direction, NaN where the sample does not count, and the answers."""
    exact = Exact(problem)
    derivatives = np.full(samples, np.nan)
    answers = np.full((samples, problem.q.shape[1]), np.nan)
    for i in range(samples):
        try:
            at = exact.solve(i)
            below, above = (exact.refine(i, problem.q[i] + t * direction[i], at) for t in (-STEP, STEP))
        except (NotFound, np.linalg.LinAlgError):
            continue
        if at.margin > MARGIN:
            derivatives[i] = cotangent[i] @ (above.x - below.x) / (2 * STEP)
            answers[i] = at.x
    return derivatives, answers


def main():
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=128, help="samples of the batch to check (default all)")
    options = parser.parse_args()
    known = {}
    for work, size, problem, peer, layer in timing.selected({**QP_WORKS, **QCQP_WORKS}, PEERS, options):
        samples = min(options.samples, len(problem.q))
        rng = np.random.default_rng(5)
        cotangent = rng.normal(size=problem.q.shape)
        direction = rng.normal(size=problem.q.shape)
        if (work, size) not in known:
            known = {(work, size): differences(problem, cotangent, direction, samples)}
        expected, answers = known[work, size]
        try:
            x, gradient = layer.both(cotangent)
        except Exception as error:
            timing.say(f"{peer.name} failed on {work} {size}: {error!r:.300}")
            continue
        counted = ~np.isnan(expected)
        got = np.sum(gradient * direction, axis=1)[:samples]
        typical = np.sqrt(np.mean(expected[counted] ** 2))
        error = np.abs(got - expected)[counted] / np.maximum(np.abs(expected[counted]), typical)
        # A NaN is wrong as well.
        wrong = ~(error <= WRONG)
        line = {
            "work": work,
            "size": size,
            "peer": peer.name,
            "samples": int(counted.sum()),
            "degenerate": int((~counted).sum()),
            "wrong": int(wrong.sum()),
            "worst_error": float(np.max(error)),
            "median_error": float(np.median(error)),
            "answer_error": float(np.abs(x[:samples] - answers)[counted].max()),
            "versions": timing.versions(peer.packages),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
