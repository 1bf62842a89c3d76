#!/usr/bin/env bash
# Everything that must pass before a change goes in. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'TEXT'
usage: bash scripts/test.sh [--quick] [--help]

Checks formatting, lints, tests (unit, integration and documentation) and the
documentation, on the CPU backends flex and ndarray and on wgpu.

  --quick   leave wgpu out: no Vulkan driver needed, and far less to compile
  --help    show this text

The build goes to $CARGO_TARGET_DIR, else $FEASIBLE_TARGET_DIR, else
~/.cache/feasible/target, and is kept between runs. The first run on two cores
compiles for about half an hour; later runs only what changed.
wgpu runs on a GPU's Vulkan driver where there is one, else on Mesa's software
driver, which is installed with apt-get when it is missing.
TEXT
}

backends="flex ndarray wgpu"
while (($#)); do
    case "$1" in
        --quick) backends="flex ndarray" ;;
        -h | --help) usage; exit 0 ;;
        *) echo "test.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

if ! command -v cargo >/dev/null; then
    echo "test.sh: cargo is not installed or not on PATH; see https://rustup.rs" >&2
    exit 1
fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${FEASIBLE_TARGET_DIR:-$cache/feasible/target}}"
mkdir -p "$CARGO_TARGET_DIR"

step_name="" step_start=0 all_start=$SECONDS
begin() {
    step_name="$1" step_start=$SECONDS
    printf '\n==> %s\n' "$step_name"
}
end() { printf '    %s: %d s\n' "$step_name" $((SECONDS - step_start)); }
step() {
    begin "$1"
    shift
    "$@"
    end
}
on_exit() {
    local code=$?
    if ((code != 0)); then
        printf '\nFAILED: %s, after %d s\n' "${step_name:-setup}" $((SECONDS - all_start)) >&2
    fi
}
trap on_exit EXIT

# --- wgpu's driver -----------------------------------------------------------

has_gpu() { compgen -G '/dev/dri/renderD*' >/dev/null || compgen -G '/dev/nvidia[0-9]*' >/dev/null; }
driver_manifests() { compgen -G '/usr/share/vulkan/icd.d/*.json' || compgen -G '/etc/vulkan/icd.d/*.json'; }
software_manifest() { compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' | head -n 1 || true; }

# A machine without a GPU needs Mesa's software driver, whatever other drivers lie there.
has_usable_driver() {
    if has_gpu; then driver_manifests >/dev/null; else [[ -n "$(software_manifest)" ]]; fi
}

install_software_driver() {
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        echo "No Vulkan driver was found, and there is no apt-get to install Mesa's with." >&2
        echo "Install your system's Mesa Vulkan drivers (lavapipe), or run with --quick." >&2
        return 1
    fi
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            echo "Installing mesa-vulkan-drivers needs root, and there is no sudo." >&2
            echo "Have it installed, or run with --quick." >&2
            return 1
        fi
        as_root=(sudo)
    fi
    # "${a[@]+...}": an empty array counts as unset before bash 4.4.
    ${as_root[@]+"${as_root[@]}"} apt-get update -q
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends mesa-vulkan-drivers
}

prepare_vulkan() {
    # Elsewhere wgpu brings its own way to the system's graphics.
    [[ "$(uname -s)" == Linux ]] || return 0
    # Somebody has chosen a driver.
    if [[ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]]; then return 0; fi
    has_usable_driver || install_software_driver
    if has_gpu; then return 0; fi
    local manifest
    manifest="$(software_manifest)"
    if [[ -z "$manifest" ]]; then
        echo "Mesa's software driver is still missing from /usr/share/vulkan/icd.d." >&2
        return 1
    fi
    # Drivers of absent hardware cost time to probe and may print errors. Both
    # names are set because older loaders know only the second.
    export VK_DRIVER_FILES="$manifest" VK_ICD_FILENAMES="$manifest"
    echo "wgpu runs on the software driver $manifest"
}

# --- the shared target folder -------------------------------------------------

# Only incremental folders go: they are the bulk of what is stale, and without
# them the next build compiles the workspace's own crates afresh, no dependency.
trim_target() {
    local limit_gib=25 size_gib
    # Another build may remove files while they are counted; that is no failure.
    size_gib=$(($({ du -sk "$CARGO_TARGET_DIR" 2>/dev/null || true; } | cut -f1) / 1024 / 1024))
    echo "$CARGO_TARGET_DIR: $size_gib GiB"
    if ((size_gib >= limit_gib)); then
        echo "that is $limit_gib GiB or more: removing its incremental folders"
        find "$CARGO_TARGET_DIR" -maxdepth 3 -type d -name incremental -prune -exec rm -rf {} +
    fi
}

# What the documentation sends a newcomer to has to run to its end.
run_examples() {
    local example
    for example in examples/*.rs; do
        [[ "$example" == examples/lib.rs ]] && continue
        # The tests' build has built them; `cargo run` would see other features and build anew.
        "$CARGO_TARGET_DIR/debug/examples/$(basename "$example" .rs)" >/dev/null
    done
}

check_scripts() {
    local script
    for script in scripts/*.sh .ci/run; do
        bash -n "$script"
    done
}

# Every cargo step has the same packages and features, so that each dependency
# is compiled once a profile. The features are those of the packages that nothing
# else depends on, and of the ones whose own code asks for a backend.
features=""
for backend in $backends; do
    for package in feasible-core feasible-lab feasible-cli feasible-tests; do
        features+="$package/$backend,"
    done
done
build=(--workspace --features "${features%,}")

step "target folder" trim_target
step "scripts" check_scripts
step "dependencies" cargo fetch --locked
step "format" cargo fmt --all --check
# Only the tests need it; a missing driver is said before the long wait.
if [[ "$backends" == *wgpu* ]]; then step "Vulkan driver" prepare_vulkan; fi
step "lints" cargo clippy "${build[@]}" --all-targets -- -D warnings
# Else snapshots are looked for in the checkout that compiled the tests, where several share one
# target folder.
export INSTA_WORKSPACE_ROOT="$PWD"
# The backends' tests check that they were compiled in.
export FEASIBLE_TEST_BACKENDS="$backends"
step "tests" cargo test "${build[@]}"
step "examples" run_examples
export RUSTDOCFLAGS="-D warnings"
step "documentation" cargo doc "${build[@]}" --no-deps

printf '\nPASSED in %d s\n' $((SECONDS - all_start))
