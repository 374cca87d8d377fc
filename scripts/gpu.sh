#!/usr/bin/env bash
# All that a GPU is wanted for, in pieces that may be stopped at any moment: whether every attack is right there, how fast
# what matters is (benchmarks/gpu.py), then both papers at their full scale (scripts/full.sh):
#
#   scripts/gpu.sh [SECONDS] [OUT]       SECONDS default 590, OUT default runs/full
#   scripts/gpu.sh --dry-run             every question at toy size on the CPU, and what the papers would cost
#
# Status 75: time is up, call again to go on; 0: all is done. What was measured is OUT/gpu.json and OUT/*-full.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
if [ "${1:-}" = --dry-run ]; then
    out="$(mktemp -d)"
    trap 'rm -rf "$out"' EXIT
    python benchmarks/gpu.py --toy --device cpu --out "$out/gpu.json"
    for paper in ilyas2019 li2019; do python -m brittle paper "$paper" --scale full --plan; done
    exit
fi
seconds="${1:-590}" out="$(realpath -m "${2:-runs/full}")"
began="$(date +%s)" status=0
mkdir -p "$out"
. scripts/wheels.sh
PYTHONPATH="$PYTHONPATH:$out/site" python benchmarks/gpu.py --seconds "$seconds" --out "$out/gpu.json" || status=$?
[ "$status" -ne 75 ] || exit 75
left=$((seconds - $(date +%s) + began))
[ "$left" -gt 30 ] || { echo "time is up; call again to go on"; exit 75; }
scripts/full.sh "$left" "$out"
exit "$status"
