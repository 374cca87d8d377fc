"""Floor 8. Audit records to figures and one self-contained HTML page.

`write_page([read_run(Path("runs/audit"))], Path("audit.html"))`
"""

from .contact_sheet import sheet
from .export import export_audit
from .features import write_features
from .gaussian import two_gaussians
from .index import write_index
from .page import page, write_page
from .paper import read_paper, write_paper
from .reading import Audited, read_run
from .svg import standing

__all__ = [
    "Audited",
    "export_audit",
    "page",
    "read_paper",
    "read_run",
    "sheet",
    "standing",
    "two_gaussians",
    "write_features",
    "write_index",
    "write_page",
    "write_paper",
]
