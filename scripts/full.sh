#!/usr/bin/env bash
# Both papers at their full scale on one GPU, the tables that matter with three trainings of each net in the end, in pieces
# that may be stopped at any moment:
#
#   scripts/full.sh [SECONDS] [OUT]
#
# It stops after SECONDS (default 590) with status 75, and goes on from there when it is called again, until both are done
# (status 0); any other status is an error that calling again does not mend. Everything it keeps is under OUT (default runs/full,
# seen from the repository): where a machine is lent for a while only, copy that folder back and forth. Data are looked up in
# $BRITTLE_DATA. Python packages come from the environment; what is missing is taken from OUT/wheels, if that is there.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-590}" out="$(realpath -m "${2:-runs/full}")"
mkdir -p "$out"
ends=$(($(date +%s) + seconds))
export BRITTLE_STORE="$out/store" PYTHONPATH="$PWD/src:$out/site${PYTHONPATH:+:$PYTHONPATH}"
. scripts/wheels.sh
device="$(python -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')"
trainings=1
paper() { # name, then its parts
    local left=$((ends - $(date +%s))) status=0
    [ "$left" -gt 20 ] || { echo "time is up; call again to go on"; exit 75; }
    timeout --signal=INT --kill-after=15 "$left" \
        python -m brittle paper "$@" --scale full --seeds "$trainings" --device "$device" \
        --out "$out/$1-full${2:+-$2}-x$trainings" || status=$?
    case "$status" in
        0) ;;
        124 | 130 | 137) echo "stopped; call again to go on"; exit 75 ;;
        *) exit "$status" ;;
    esac
}
paper ilyas2019 figure-2 table-1 gaussian-model
paper li2019
paper ilyas2019
trainings=3
paper ilyas2019 figure-2 table-1
paper li2019 table-1
echo "done: $out"
