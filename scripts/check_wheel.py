"""Is the wheel whole? It is installed into a fresh environment, and audits a net of the zoo from an empty folder.

`python scripts/check_wheel.py dist/*.whl`. What brittle depends on is taken from the environment that runs this.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def main(wheel: Path) -> None:
    kept = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("brittle/")}
    written = [path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*") if path.is_file()]
    missing = {name for name in written if "__pycache__" not in name} - kept
    if missing:
        raise SystemExit(f"{wheel.name} lacks {', '.join(sorted(missing))}")
    with tempfile.TemporaryDirectory() as place:
        env, work = Path(place, "env"), Path(place, "work")
        venv.create(env)
        work.mkdir()
        python, brittle = env / "bin" / "python", env / "bin" / "brittle"
        run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel], work)
        (site,) = env.glob("lib/*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        found = Path(run([python, "-c", "import brittle; print(brittle.__file__)"], work).strip())
        if not found.is_relative_to(site):
            raise SystemExit(f"what would be tried is {found}, not the wheel")
        asked = "audit zoo:digits-linf --threat Linf:0.1 -n 10 --effort smoke --out run --json"
        verdict = json.loads(run([brittle, *asked.split()], work))["verdict"]["level"]
        if not list(work.glob("run/*.html")):
            raise SystemExit("the audit of the installed wheel wrote no page")
    print(f"{wheel.name}: {len(kept)} files, {wheel.stat().st_size / 1e6:.1f} MB; installed, it audits: {verdict}")


def run(command: list[str | Path], folder: Path) -> str:
    """What the command prints, with nothing of this environment's variables."""
    env = {"PATH": os.defpath, "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
