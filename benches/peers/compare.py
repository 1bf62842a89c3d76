"""Times the peers and the Rust layers in one go and prints a Markdown table with the ratios peer / ours.

    python compare.py                 the peers' scripts, then cargo bench
    python compare.py --ours DIR      criterion's folder of an earlier run in place of cargo bench
    python compare.py --peers FILE    JSON lines of an earlier run in place of the peers' scripts

Ratios mean something only if nothing else runs on the machine, and if both sides ran on the same one.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SCRIPTS = ["qp.py", "qcqp.py", "cones.py"]
FORWARD, BOTH = "forward", "forward and backward"


def run_peers(runs):
    lines = []
    for script in SCRIPTS:
        command = [sys.executable, "-B", str(HERE / script), "--runs", str(runs)]
        # Lines are passed on as they come, so that an interrupted run leaves something.
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print(line, end="", file=sys.stderr, flush=True)
                lines.append(json.loads(line))
        if process.returncode:
            raise SystemExit(f"{script} ended with exit code {process.returncode}")
    return lines


def run_ours(threads):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "RAYON_NUM_THREADS": str(threads)}
    command = ["cargo", "bench", "-p", "feasible-benches", "--bench", "layers", "--bench", "solver"]
    # Its report is for the eye; the medians are read from its folder.
    subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=sys.stderr, check=True)
    return target / "criterion"


def our_median(folder, work, part, size):
    """Milliseconds, or None where the benchmark has no such row. Criterion writes `/` as `_`."""
    path = folder / work / part / size.replace("/", "_") / "new" / "estimates.json"
    if not path.exists():
        return None
    return json.loads(path.read_text())["median"]["point_estimate"] / 1e6


def number(value):
    if value is None:
        return "–"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio(theirs, ours):
    return "–" if theirs is None or ours is None else number(theirs / ours)


def table(lines, folder):
    rows = [
        ["work", "size", "peer", "forward ms", "both ms", "ours forward ms", "ours both ms", "ratio forward",
         "ratio both"],
        ["---", "---", "---"] + ["---:"] * 6,
    ]  # fmt: skip
    for line in lines:
        work, size = line["work"], line["size"]
        forward, both = line["forward_ms"], line["both_ms"]
        our_forward, our_both = (our_median(folder, work, part, size) for part in (FORWARD, BOTH))
        rows.append([
            work, size, line["peer"], number(forward), number(both), number(our_forward), number(our_both),
            ratio(forward, our_forward), ratio(both, our_both),
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def about(lines):
    """The versions, threads and counts that the lines agree on."""
    versions = {}
    for line in lines:
        versions.update(line["versions"])
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    threads = sorted({line["threads"] for line in lines})
    runs = sorted({line["n_runs"] for line in lines})
    return f"Batch 128, f64, threads {threads}, medians of {runs} runs; ours: criterion's median. {listed}."


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ours", type=pathlib.Path, help="criterion's folder of an earlier run")
    parser.add_argument("--peers", type=pathlib.Path, help="JSON lines of an earlier run")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each peer (default 7)")
    options = parser.parse_args()
    for path in (options.ours, options.peers):
        if path and not path.exists():
            parser.error(f"{path} does not exist")
    if options.peers:
        lines = [json.loads(line) for line in options.peers.read_text().splitlines() if line.strip()]
    else:
        lines = run_peers(options.runs)
    if not lines:
        raise SystemExit("no peer was timed; see the messages above")
    folder = options.ours or run_ours(lines[0]["threads"])
    if all(our_median(folder, line["work"], FORWARD, line["size"]) is None for line in lines):
        raise SystemExit(f"{folder} has none of the timed works: it is not the folder that criterion writes")
    print(about(lines) + "\n\n" + table(lines, folder))


if __name__ == "__main__":
    main()
