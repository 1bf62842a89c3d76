"""Writes the small problems of the Maros and Meszaros test set as JSON, in the form `feasible solve` reads.

    python generate.py proxsuite-0.8.0.tar.gz [FOLDER]

The argument is the source distribution of proxsuite, whose tests carry the set as .mat files; README.md says
how to get it. FOLDER is this script's own unless given. Needs numpy and scipy.

A row of equal bounds becomes an equality, except where it is the bound of a variable: those stay in `G` with
`l = u`, since both forms should be tried. A row that bounds nothing is left out.
"""

import io
import json
import pathlib
import sys
import tarfile

import numpy as np
import scipy.io

FOLDER = "test/data/maros_meszaros_data/"

# Largest number of variables, and of rows other than the variables' bounds. The DUALC family has few variables,
# so that its many rows cost little.
VARIABLES, ROWS, ENTRIES = 150, 300, 45_000
MORE = {"DUALC8"}

# The same numbers as another problem, or not convex.
LEFT_OUT = {"S268", "VALUES"}

# What the .mat files write for an absent bound, with room for the arithmetic that shifted it.
ABSENT = 1e19

# Values of the optimum as the authors published them, with eight digits (I. Maros and C. Meszaros, A repository of
# convex quadratic programming problems, Optimization Methods and Software 11, 1999, table of the solver BPMPD).
PUBLISHED = """
CVXQP1_S 1.1590718e+04   CVXQP2_S 8.1209405e+03   CVXQP3_S 1.1943432e+04   DPKLO1   3.7009622e-01
DUAL1    3.5012966e-02   DUAL2    3.3733676e-02   DUAL3    1.3575584e-01   DUAL4    7.4609084e-01
DUALC1   6.1552508e+03   DUALC2   3.5513077e+03   DUALC5   4.2723233e+02   DUALC8   1.8309359e+04
GENHS28  9.2717369e-01   HS118    6.6482045e+02   HS21    -9.9960000e+01   HS268    5.7310705e-07
HS35     1.1111111e-01   HS35MOD  2.5000000e-01   HS51     8.8817842e-16   HS52     5.3266476e+00
HS53     4.0930233e+00   HS76    -4.6818182e+00   LOTSCHD  2.3984159e+03   QADLITTL 4.8031886e+05
QAFIRO  -1.5907818e+00   QISRAEL  2.5347838e+07   QPCBLEND -7.8425409e-03  QPCBOEI2 8.1719623e+06
QPTEST   4.3718750e+00   QSCAGR7  2.6865949e+07   QSHARE2B 1.1703692e+04   TAME     0.0000000e+00
ZECEVIC2 -4.1250000e+00
"""


def number(value):
    """The shortest text that reads back as the same number."""
    if abs(value) >= ABSENT:
        return '"Infinity"' if value > 0 else '"-Infinity"'
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def vector(values):
    return "[" + ",".join(number(value) for value in values) + "]"


def matrix(rows):
    return "[\n" + ",\n".join(vector(row) for row in rows) + "]"


def convert(data):
    """The problem's fields, in order, and the constant of its objective."""
    n = int(data["n"].item())
    p, a = data["P"].toarray(), data["A"].toarray()
    q, l, u = (data[name].ravel() for name in "qlu")
    if not np.array_equal(a[-n:], np.eye(n)):
        raise SystemExit("the last rows are not the variables' bounds")
    # Hessians of products are formed twice, in different orders.
    p = (p + p.T) / 2
    is_bound = np.arange(len(l)) >= len(l) - n
    equal = (l == u) & ~is_bound
    used = ((l > -ABSENT) | (u < ABSENT)) & ~equal
    fields = {"problem": '"qp"'}
    diagonal = np.array_equal(p, np.diag(np.diag(p)))
    fields["P"] = vector(np.diag(p)) if diagonal else matrix(p)
    fields["q"] = vector(q)
    if equal.any():
        fields["A"], fields["b"] = matrix(a[equal]), vector(u[equal])
    if used.any():
        fields["G"], fields["l"], fields["u"] = matrix(a[used]), vector(l[used]), vector(u[used])
    return fields, float(data["r"].item())


def small(data):
    n, m = int(data["n"].item()), int(data["m"].item())
    return n <= VARIABLES and m - n <= ROWS and n * m <= ENTRIES


def main(archive, folder):
    words = PUBLISHED.split()
    published = dict(zip(words[::2], map(float, words[1::2])))
    index = {}
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            path = pathlib.PurePosixPath(member.name)
            if FOLDER not in member.name or path.suffix != ".mat" or path.stem in LEFT_OUT:
                continue
            # Compressed: a problem of a few variables takes a few kilobytes.
            if member.size > 30_000:
                continue
            data = scipy.io.loadmat(io.BytesIO(tar.extractfile(member).read()))
            if not (small(data) or path.stem in MORE):
                continue
            fields, constant = convert(data)
            text = ",\n".join(f'"{name}": {value}' for name, value in fields.items())
            (folder / f"{path.stem}.json").write_text("{" + text + "}\n")
            index[path.stem] = {"constant": constant, "optimum": published.pop(path.stem)}
    if published:
        raise SystemExit(f"not in the archive, or too large: {', '.join(published)}")
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in index.items())
    (folder / "optima.json").write_text("{\n" + rows + "\n}\n")
    size = sum(file.stat().st_size for file in folder.glob("*.json"))
    print(f"{len(index)} problems, {size} bytes")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    own = pathlib.Path(__file__).resolve().parent
    main(sys.argv[1], pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else own)
