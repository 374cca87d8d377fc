"""Floor 8. Audit records to figures and one self-contained HTML page.

`write_page([read_run(Path("runs/audit"))], Path("audit.html"))`
"""

from .contact_sheet import sheet
from .export import export_audit
from .features import write_features
from .figures import standing
from .gaussian import two_gaussians
from .page import page, write_page
from .paper import read_paper, write_paper
from .reading import Audited, read_run

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
    "write_page",
    "write_paper",
]
