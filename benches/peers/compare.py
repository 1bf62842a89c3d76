"""Times the peers and ours in one go and prints a Markdown table with the ratios peer / ours.

    python compare.py                 the peers' scripts, then cargo bench
    python compare.py --only qp,nls   of these parts alone: qp, qcqp, cones, nls (default all)
    python compare.py --list          what would be run, and the benchmark that each row is joined with; runs nothing
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
# A part is a script of the peers here and the benchmarks with its works.
BENCHMARKS = {
    "qp": ["layers", "solver"],
    "qcqp": ["layers", "solver"],
    "cones": ["cones"],
    "nls": ["nls"],
}
# Works that we have several ways for: each is a row.
WAYS = {"least squares": ["least squares", "least squares over tensors"]}
FORWARD, BOTH = "forward", "forward and backward"


def run_peers(parts, runs):
    lines = []
    for part in parts:
        command = [sys.executable, "-B", str(HERE / f"{part}.py"), "--runs", str(runs)]
        # Lines are passed on as they come, so that an interrupted run leaves something.
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print(line, end="", file=sys.stderr, flush=True)
                lines.append(json.loads(line))
        if process.returncode:
            # Hours may be behind it: what was timed is compared.
            print(f"{part}.py ended with exit code {process.returncode}; what it timed is kept", file=sys.stderr)
    return lines


def bench_command(parts):
    names = dict.fromkeys(name for part in parts for name in BENCHMARKS[part])
    return ["cargo", "bench", "-p", "feasible-benches", *(word for name in names for word in ("--bench", name))]


def run_ours(parts, threads):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "RAYON_NUM_THREADS": str(threads)}
    # Its report is for the eye; the medians are read from its folder.
    subprocess.run(bench_command(parts), cwd=REPOSITORY, env=environment, stdout=sys.stderr, check=True)
    return target / "criterion"


def benchmarks_of(work, size, peer):
    """Our benchmarks of a row: those whose times add up to the forward pass, and those of both passes.

    `cones.rs` has a group for each size and times the backward pass by itself. A peer with implicit derivatives is
    compared with ours.
    """
    if work.startswith("cones, "):
        group = f"{work.removeprefix('cones, ')}, {size}"
        return [(group, FORWARD)], [(group, FORWARD), (group, "backward")]
    both = "forward and implicit backward" if "implicit" in peer else BOTH
    return [(work, FORWARD, size)], [(work, both, size)]


def our_median(folder, benchmarks):
    """Milliseconds, or None where one of the benchmarks was not run. Criterion writes `/` as `_`."""
    total = 0.0
    for names in benchmarks:
        path = folder.joinpath(*(name.replace("/", "_") for name in names), "new", "estimates.json")
        if not path.exists():
            return None
        total += json.loads(path.read_text())["median"]["point_estimate"] / 1e6
    return total


def ours_of(folder, line, way):
    return [our_median(folder, names) for names in benchmarks_of(way, line["size"], line["peer"])]


def ways_of(line):
    return WAYS.get(line["work"], [line["work"]])


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
    for line, way in ((line, way) for line in lines for way in ways_of(line)):
        forward, both = line["forward_ms"], line["both_ms"]
        our_forward, our_both = ours_of(folder, line, way)
        rows.append([
            way, line["size"], line["peer"], number(forward), number(both), number(our_forward),
            number(our_both), ratio(forward, our_forward), ratio(both, our_both),
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
    return (
        f"Batch 128 unless the size says another, f64, threads {threads}, medians of {runs} runs; ours: criterion's "
        f"median, of cone programs the sum of those of the two passes. {listed}."
    )


def works():
    """Every work and size of a part. Needs what the peers' scripts need."""
    import nls
    from problems import CONE_WORKS, QCQP_WORKS, QP_WORKS

    return {"qp": QP_WORKS, "qcqp": QCQP_WORKS, "cones": CONE_WORKS, "nls": nls.WORKS}


def listing(parts):
    every = works()
    lines = [" ".join(bench_command(parts))]
    for part in parts:
        lines.append(f"{part}.py")
        for work, size in every[part]:
            peers = ["unrolled", "implicit"] if part == "nls" else [""]
            for peer in peers:
                for way in WAYS.get(work, [work]):
                    _, both = benchmarks_of(way, size, peer)
                    ours = " + ".join("/".join(name) for name in both)
                    lines.append(f"  {work} {size}{peer and ', ' + peer}: {ours}")
    return "\n".join(lines)


def parts_of(text):
    parts = text.split(",")
    unknown = [part for part in parts if part not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not of {', '.join(BENCHMARKS)}")
    return parts


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=parts_of, default=list(BENCHMARKS), help="parts, with commas between them")
    parser.add_argument("--list", action="store_true", help="say what would be run, and run nothing")
    parser.add_argument("--ours", type=pathlib.Path, help="criterion's folder of an earlier run")
    parser.add_argument("--peers", type=pathlib.Path, help="JSON lines of an earlier run")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each peer (default 7)")
    options = parser.parse_args()
    for path in (options.ours, options.peers):
        if path and not path.exists():
            parser.error(f"{path} does not exist")
    if options.list:
        print(listing(options.only))
        return
    if options.peers:
        lines = [json.loads(line) for line in options.peers.read_text().splitlines() if line.strip()]
    else:
        lines = run_peers(options.only, options.runs)
    if not lines:
        raise SystemExit("no peer was timed; see the messages above")
    folder = options.ours or run_ours(options.only, lines[0]["threads"])
    if all(ours_of(folder, line, way)[0] is None for line in lines for way in ways_of(line)):
        raise SystemExit(f"{folder} has none of the timed works: it is not the folder that criterion writes")
    print(about(lines) + "\n\n" + table(lines, folder))


if __name__ == "__main__":
    main()
