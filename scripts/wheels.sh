# Read by gpu.sh and full.sh: what is missing in the environment is taken from $out/wheels, if that is there.
if [ -d "$out/wheels" ] && [ ! -e "$out/site/.whole" ]; then
    python -m pip install -q --no-index --no-deps --upgrade --target "$out/site" "$out"/wheels/*.whl
    touch "$out/site/.whole"
fi
