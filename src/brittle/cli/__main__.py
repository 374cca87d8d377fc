"""`python -m brittle.cli`, the same as `brittle`."""

from . import main

main()
