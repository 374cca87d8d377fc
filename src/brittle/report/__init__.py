"""Floor 8. Audit records to figures and one self-contained HTML page.

`write_page([read_run(Path("runs/audit"))], Path("audit.html"))`
"""

from .page import page, write_page
from .paper import read_paper, write_paper
from .reading import FORMAT, Audited, read_run

__all__ = ["FORMAT", "Audited", "page", "read_paper", "read_run", "write_page", "write_paper"]
