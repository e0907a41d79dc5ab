#!/usr/bin/env bash
# Tests and benchmarks on a machine with a GPU, PyTorch and JAX, but no network.
#
#     benchmarks/gpu.sh [WHEELS]
#
# installs the wheels of a folder (see README.md) into a temporary one, then
# runs one part after the other, the most important first, within 8 minutes.
# Every part has a time limit and writes its results at once; none stops the
# others, and time that a part leaves over goes to those that follow.
#
#     OUT=DIR                where results go, at most 8 files
#     BACKENDS="torch jax"
#     WORKERS=8              processes of the tests
#     LIMIT_SCALE=1          multiplies all time limits
#     TINY=1                 small sizes and few tests, to try it on a CPU
set -u
wheels=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.." || exit 1

OUT=${OUT:-outputs/gpu}
BACKENDS=${BACKENDS:-torch jax}
WORKERS=${WORKERS:-8}
LIMIT_SCALE=${LIMIT_SCALE:-1}
TINY=${TINY:-}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT" || exit 1
OUT=$(cd "$OUT" && pwd)
rm -f "$OUT"/*.log "$OUT"/bench_*.json "$OUT/summary.json"

if [ -n "$wheels" ]; then
    site=$(mktemp -d)
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --upgrade \
        --target "$site" "$wheels"/*.whl || exit 1
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TF_CPP_MIN_LOG_LEVEL=2
# Processes share the card, and what one has compiled is there for the next.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$(mktemp -d)}
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
# Other plugins that a machine has may warn, which pytest takes for an error.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

SUMMARY=("$PYTHON" benchmarks/gpu_summary.py "$OUT")
planned=0 # seconds after which the part in hand has to end

# part NAME LIMIT LOG COMMAND...
part() {
    local name=$1 log=$3 began=$SECONDS status=skipped limit
    planned=$((planned + $2 * LIMIT_SCALE))
    limit=$((planned - SECONDS))
    shift 3
    printf '\n== %s, at most %s s\n' "$name" "$limit" >>"$OUT/$log"
    if [ "$limit" -ge 10 ]; then
        # Interrupted, pytest still prints what has failed.
        env --default-signal=INT timeout -s INT -k 10 "$limit" "$@" \
            >>"$OUT/$log" 2>&1 </dev/null
        status=$?
    fi
    "${SUMMARY[@]}" --part "$name" "$status" $((SECONDS - began)) "$limit" "$log"
}

# tests BACKEND NAME LIMIT ARGUMENTS...
tests() {
    local backend=$1 name=$2 limit=$3
    shift 3
    # Warnings of versions that are new to these tests are not raised.
    part "$backend: tests of $name" "$limit" "$backend.log" \
        env KERAS_BACKEND="$backend" OMP_NUM_THREADS=1 \
        XLA_FLAGS=--xla_gpu_autotune_level=0 "$PYTHON" -m pytest \
        -p xdist.plugin -p no:cacheprovider -v -n "$WORKERS" \
        --dist worksteal -W default -m "not slow" "$@"
}

# bench BACKEND LIMIT SECTIONS...
bench() {
    local backend=$1 limit=$2
    shift 2
    part "$backend: bench.py $*" "$limit" "$backend.log" \
        env KERAS_BACKEND="$backend" "$PYTHON" benchmarks/bench.py "$@" \
        --quick ${TINY:+--tiny} --output "$OUT/bench_${backend}_$1.json"
}

"${SUMMARY[@]}" --environment || exit 1
operators="tests/ops tests/kernels tests/drifts"
[ -n "$TINY" ] && operators="tests/ops/moments_test.py tests/ops/means_test.py"

planned=15 # for the wheels
for backend in $BACKENDS; do
    # The reference of the first step is in full float32.
    JAX_DEFAULT_MATMUL_PRECISION=float32 tests "$backend" \
        "first step, mixed precision" 40 \
        tests/models tests/generators -k "first_step or mixed"
done
for backend in $BACKENDS; do
    limit=60
    [ "$backend" = jax ] && limit=100
    bench "$backend" "$limit" operators large step sampling
done
for backend in $BACKENDS; do
    limit=60
    [ "$backend" = jax ] && limit=160
    tests "$backend" "operators" "$limit" $operators
done
for backend in $BACKENDS; do # with the time that is left
    bench "$backend" 0 drifts
done
"${SUMMARY[@]}"
