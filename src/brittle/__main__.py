"""`python -m brittle`, the same as `brittle`."""

from brittle.cli import main

main()
