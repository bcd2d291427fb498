#!/bin/sh
# Builds the tests of the CUDA kernels and runs them on a GPU: comparison with the CPU kernels, timings, and compute-sanitizer
# where it works. Exits with 1 on any difference; without nvcc or a GPU it says so and exits with 0.
#   BASELINE   another custom_ops, of an earlier version, to be timed too
cd "$(dirname "$0")" || exit 1
NVCC=${NVCC:-nvcc}
BUILD=${BUILD:-../../build/gpu-check}
if ! command -v "$NVCC" >/dev/null; then
  echo "gpu-check: $NVCC was not found, so nothing was built or compared."
  exit 0
fi
"$NVCC" --version | grep release
started=$(date +%s)
make --no-print-directory --silent -j "$(nproc)" programs NVCC="$NVCC" BUILD="$BUILD" BASELINE="$BASELINE" || exit 1
echo "gpu-check: built in $(($(date +%s) - started)) s"
cd "$BUILD" || exit 1

status=0
./kernels_test 24
case $? in
  0) ;;
  77)
    echo "gpu-check: the programs were built, but nothing was run."
    exit 0
    ;;
  *) status=1 ;;
esac

# Memory errors of all chosen layers, races in some. Where the tool does not work, that is no failure of the kernels.
for tool in memcheck racecheck; do
  if ! command -v compute-sanitizer >/dev/null; then
    echo "gpu-check: no compute-sanitizer here, so $tool was not run."
    continue
  fi
  [ "$tool" = memcheck ] && step=1 || step=4
  timeout 45 compute-sanitizer --tool "$tool" ./kernels_test 0 "$step" >"$tool.txt" 2>&1
  returned=$?
  if [ "$returned" = 0 ] && grep -Eq "ERROR SUMMARY: 0 errors|RACECHECK SUMMARY: 0 hazards" "$tool.txt"; then
    echo "gpu-check: $tool is clean"
  elif grep -q "not supported" "$tool.txt"; then
    echo "gpu-check: $tool refuses this device: $(grep -m 1 'not supported' "$tool.txt")"
  elif grep -Eq "Invalid |Misaligned|Race reported|hazard|FAILED|SUMMARY: [1-9]" "$tool.txt"; then
    echo "gpu-check: $tool complains:"
    head -n 40 "$tool.txt"
    status=1
  elif [ "$returned" = 124 ]; then
    echo "gpu-check: $tool was stopped after 45 s; it had no complaint until then"
  else
    echo "gpu-check: $tool does not work here:"
    head -n 10 "$tool.txt"
  fi
done

if [ -n "$BASELINE" ]; then
  echo
  echo "Before, with $BASELINE:"
  ./timings_baseline || status=1
  echo
  echo "Now:"
fi
./timings || status=1
[ "$status" = 0 ] && echo "gpu-check: passed in $(($(date +%s) - started)) s" || echo "gpu-check: FAILED"
exit "$status"
