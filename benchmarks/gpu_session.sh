#!/usr/bin/env bash
# Everything to be learnt on a GPU machine, into one folder: first whether TensorRT runs there at all, then the checks,
# then the benchmark. A step that fails or runs too long stops no other.
#
#   benchmarks/gpu_session.sh [STEP ...]      steps: machine probe bundles checks prepare benchmark; default: all
#
# OUT           folder for what is found [gpu-results]
# WORK          folder for bundles, on a fast disk [OUT/work]
# PYTHON        the interpreter [python3]
# NETWORKS      what to measure, with commas [all]
# BATCHES       [1,4,8]
# MORE          further options of benchmarks.gpu [--skip CPU]
# *_LIMIT       seconds for a step: PROBE_LIMIT BUNDLES_LIMIT CHECKS_LIMIT PREPARE_LIMIT BENCHMARK_LIMIT
#
# Needs the project's sources; Python with numpy, click, rich and pillow, onnxruntime, cuda-bindings, TensorRT, pytest;
# and PyTorch with onnx and onnxscript, to export and to compare with. Bundles made elsewhere do without the last:
# STYLEGAN_EDGE_GPU_BUNDLES names the folder that `python -m tests.gpu.bundles FOLDER` wrote.
# Where TensorRT has an interpreter of its own, without PyTorch: `bundles prepare` first with the one that has PyTorch,
# then the other steps with PYTHON set; each benchmark measures what its interpreter can import.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-gpu-results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=${WORK:-$out/work}
mkdir -p "$work"
python=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
failed=()

step() { # name, seconds, command...
  local name=$1 limit=$2; shift 2
  echo "== $name"
  timeout --kill-after=10 "$limit" "$@" 2>&1 | tee "$out/$name.txt"
  code=${PIPESTATUS[0]}
  if [ "$code" -ne 0 ]; then
    echo "== $name: exit code $code" | tee -a "$out/$name.txt"
    failed+=("$name")
  fi
}

machine() {
  nvidia-smi
  "$python" -V
  "$python" -m pip list 2>/dev/null | grep -i -E '^(numpy|torch|triton|onnx|cuda|tensorrt|nvidia|pytest|click|rich|pillow)'
  "$python" -m stylegan_edge doctor
}
export -f machine
export python

if [ -z "${STYLEGAN_EDGE_GPU_BUNDLES:-}" ] && [ -e "$work/checks/complete" ]; then
  export STYLEGAN_EDGE_GPU_BUNDLES="$work/checks" # of an earlier call
fi
for name in "${@:-all}"; do
  case $name in all|machine) step machine 60 bash -c machine ;; esac
  case $name in all|bundles)
    if [ -z "${STYLEGAN_EDGE_GPU_BUNDLES:-}" ]; then
      step bundles "${BUNDLES_LIMIT:-200}" "$python" -m tests.gpu.bundles "$work/checks"
      if [ "$code" -eq 0 ]; then
        touch "$work/checks/complete"
        export STYLEGAN_EDGE_GPU_BUNDLES="$work/checks"
      fi
    fi ;;
  esac
  case $name in all|probe) step probe "${PROBE_LIMIT:-200}" "$python" -m benchmarks.gpu_probe --out "$out/probe.json" ;; esac
  case $name in all|checks)
    STYLEGAN_EDGE_GPU_JSON="$out/checks.json" step checks "${CHECKS_LIMIT:-590}" \
      "$python" -m pytest -m gpu tests/gpu -v -W default --durations=10 --junitxml="$out/checks.xml" ;;
  esac
  case $name in all|prepare)
    step prepare "${PREPARE_LIMIT:-590}" \
      "$python" -m benchmarks.gpu --prepare "$work/networks" ${NETWORKS:+--sizes "$NETWORKS"} ;;
  esac
  case $name in all|benchmark)
    # shellcheck disable=SC2086
    step benchmark "${BENCHMARK_LIMIT:-3000}" "$python" -m benchmarks.gpu --bundles "$work/networks" \
      --out "$out/results.json" ${NETWORKS:+--sizes "$NETWORKS"} --batches "${BATCHES:-1,4,8}" ${MORE---skip CPU} ;;
  esac
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
