#!/usr/bin/env bash
# Both papers at their full scale on one GPU, in pieces that may be stopped at any moment:
#
#   scripts/full.sh [SECONDS] [OUT]
#
# stops after SECONDS (default 590) and goes on from there when it is called again, until both are done. Everything it keeps
# is under OUT (default runs/full): copy that folder back and forth where the machine is lent for a while only. Data are looked
# up in $BRITTLE_DATA. Python packages come from the environment; what is missing is taken from OUT/wheels, if that is there.
set -euo pipefail
seconds="${1:-590}" out="${2:-runs/full}"
cd "$(dirname "$0")/.."
mkdir -p "$out"
ends=$(($(date +%s) + seconds))
export BRITTLE_STORE="$out/store" PYTHONPATH="$PWD/src:$out/site${PYTHONPATH:+:$PYTHONPATH}"
if [ -d "$out/wheels" ] && [ ! -d "$out/site" ]; then
    python -m pip install -q --no-index --no-deps --target "$out/site" "$out"/wheels/*.whl
fi
device="$(python -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')"
paper() { # name, then its parts
    local left=$((ends - $(date +%s))) status=0
    [ "$left" -gt 20 ] || { echo "time is up; call again to go on"; exit 75; }
    timeout --signal=INT --kill-after=15 "$left" \
        python -m brittle.cli paper "$@" --scale full --device "$device" --out "$out/$1-full${2:+-$2}" || status=$?
    [ "$status" -eq 0 ] || { echo "stopped ($status); call again to go on"; exit 75; }
}
paper ilyas2019 figure-2 table-1 gaussian-model
paper li2019
paper ilyas2019
echo "done: $out"
