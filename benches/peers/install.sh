#!/bin/sh
# Installs the peers into a virtual environment outside the repository.
#   sh benches/peers/install.sh DIR
# torch's wheel on PyPI for Linux brings CUDA: about 5 GB. Where an index with CPU wheels can be reached, name it in
# PIP_EXTRA_INDEX_URL first.
set -e
dir=${1:?usage: sh install.sh DIR}
here=$(dirname "$0")
python3 -m venv "$dir"
"$dir/bin/pip" install -q --upgrade pip wheel "setuptools<80"
"$dir/bin/pip" install -q -r "$here/requirements.txt"
# Its build imports numpy without asking for it, and cvxpy, which it requires, is there already.
"$dir/bin/pip" install -q --no-build-isolation --no-deps qpth==0.0.18
# Theseus is built against SuiteSparse, whose headers Debian has in libsuitesparse-dev.
"$dir/bin/pip" install -q cython pybind11
"$dir/bin/pip" install -q --no-build-isolation scikit-sparse==0.4.16
"$dir/bin/pip" install -q --no-build-isolation theseus-ai==0.2.3
