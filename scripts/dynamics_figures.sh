#!/bin/sh
# Draws the pictures of the book's page on training dynamics from the runs of studies/dynamics.toml and
# studies/edge_of_stability.toml: scripts/dynamics_figures.sh [RUNS], by default the folder runs.
set -eu
cd "$(dirname "$0")/.."
runs=${1:-runs}
feasible=${FEASIBLE:-feasible}
out=docs/src/figures
mkdir -p "$out"
for method in "soft penalty" snarenet; do
    prefix=edge-$(echo "$method" | tr ' ' '-')-
    "$feasible" figures "$runs/edge-of-stability" --metric sharpness --only "$method" --prefix "$prefix" --out "$out"
done
# The label of the published network is part of that of the deeper one: it is chosen by its file name.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$feasible" figures "$runs/dynamics" --metric sharpness --log --out "$work"
"$feasible" figures "$runs/dynamics" --metric jacobian_effective_rank,layer_gradient_ratio,snr_global --out "$work"
cp "$work"/*-mlp-200-200-dynamics-*.svg "$out"
for method in soft-penalty snarenet; do
    for moment in start end; do
        run=$runs/dynamics/qcqp_${method}_mlp-200-200_s456
        "$feasible" landscape "$run/landscapes/$moment.json" --quantity loss --out "$out" --name "qcqp-$method-$moment"
    done
done
