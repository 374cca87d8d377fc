"""`python with_hubs.py WORDS...` is `brittle WORDS...` beside the libraries of hubs.txt.

Their torchvision has no operators of its own (`nms` and the like), which no classifier asks for; RobustBench looks for
`autoattack`, which the package of its authors calls otherwise.
"""

import sys
from pathlib import Path
from unittest.mock import patch

import pyautoattack

sys.path.insert(0, str(Path(__file__).parents[1] / ".venv" / "hubs"))
sys.modules["autoattack"] = pyautoattack
with patch("torch.library.register_fake", lambda *args, **settings: lambda function: function):
    import torchvision  # noqa: F401

if __name__ == "__main__":
    from brittle.cli import main

    main()
