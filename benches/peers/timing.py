"""Medians after a warm-up, printed as JSON lines; importing this sets the number of threads."""

import os

THREADS = int(os.environ.get("PEER_THREADS", "2"))
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = str(THREADS)

import argparse
import importlib.metadata
import json
import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore")


# A slow peer is timed less often: no further run starts once the timed ones have taken so long.
ENOUGH_SECONDS = 30


def median_ms(run, runs):
    """The median, and how many runs it is of."""
    run()
    times = []
    while len(times) < runs and sum(times) < ENOUGH_SECONDS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times), len(times)


def versions(packages):
    return {package: importlib.metadata.version(package) for package in packages}


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=7, help="timed runs after the warm-up (default 7)")
    parser.add_argument("--only", default="", help="works whose name and size contain this")
    parser.add_argument("--peers", default="", help="peers whose name contains this")
    return parser


def say(text):
    print(text, file=sys.stderr, flush=True)


def selected(works, peers, options):
    """Every (work, size, problem, peer) that was asked for and can be run; says why another cannot."""
    missing = {}
    for (work, size), make in works.items():
        if options.only not in f"{work} {size}":
            continue
        problem = make()
        for peer in peers:
            if options.peers not in peer.name or peer.name in missing:
                continue
            why = peer.cannot(problem)
            if why:
                say(f"{peer.name} does not run {work} {size}: {why}")
                continue
            try:
                yield work, size, problem, peer, peer(problem)
            except ImportError as error:
                missing[peer.name] = error
                say(f"{peer.name} is skipped, it is not installed: {error}")


def time_all(works, peers, description):
    options = arguments(description).parse_args()
    for work, size, _, peer, layer in selected(works, peers, options):
        try:
            forward, forward_runs = median_ms(layer.forward, options.runs)
            both, both_runs = median_ms(layer.both, options.runs) if peer.differentiates else (None, None)
            line = {
                "work": work,
                "size": size,
                "peer": peer.name,
                "forward_ms": forward,
                "both_ms": both,
                "n_runs": min(forward_runs, both_runs or forward_runs),
                "threads": THREADS,
                "versions": versions(peer.packages),
            }
        except Exception as error:
            say(f"{peer.name} failed on {work} {size}: {error!r:.300}")
            continue
        print(json.dumps(line), flush=True)
