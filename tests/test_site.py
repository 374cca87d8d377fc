"""The documentation site: it builds without a warning, and nothing is missing in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import brittle

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as `make site` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def pages(site: Path) -> dict[str, str]:
    return {str(page.parent.relative_to(site)): page.read_text() for page in site.rglob("index.html")}


def test_every_public_name_has_its_entry_as_what_it_is(site: Path) -> None:
    told = "".join(pages(site).values())
    kinds = {name: kind for kind, name in re.findall(r'doc-object doc-(\w+)">\s*<h3 id="brittle\.(\w+)"', told)}
    missing = sorted(set(brittle.__all__) - set(kinds))
    assert not missing, f"write `::: brittle.{missing[0]}` into a page of docs/api"
    assert "module" not in kinds.values(), "a function is taken for its file: see scripts/site_api.py"


def test_every_page_is_in_the_navigation(site: Path) -> None:
    docs = ROOT / "docs"
    written = {str(page.relative_to(docs).with_suffix("")) for page in docs.rglob("*.md")}
    home = (site / "index.html").read_text()
    navigation = home[: home.index("<article")]
    for page in written | {"CONTRIBUTING", "CHANGELOG"}:
        assert f'href="{page}/"' in navigation, page


def test_the_readme_is_the_home_page(site: Path) -> None:
    home = (site / "index.html").read_text()
    for heading in re.findall(r"^#+ (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"<h\d[^>]*>{re.escape(heading)}<", home), heading
    assert not (ROOT / "docs" / "index.md").exists(), "one copy is enough"


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for name, page in pages(site).items():
        fetched = re.findall(r'<(?:script|img|iframe|source)[^>]* src="?([^"\s>]+)', page)
        fetched += re.findall(r'<link[^>]* rel="?(?:stylesheet|icon|preconnect)"?[^>]*href="?([^"\s>]+)', page)
        assert not [url for url in fetched if "//" in url], name


def test_formulas_are_drawn(site: Path) -> None:
    drawn = pages(site)["tutorials/gaussian-model"]
    assert "<math" in drawn
    assert not [name for name, page in pages(site).items() if name.startswith("api") and "<math" in page], "$VARIABLES"
    assert not re.search(r"\\[(\[]|\$", drawn[drawn.index("<article") : drawn.index("</article")])


def test_a_link_to_a_file_of_the_repository_leads_to_it(site: Path) -> None:
    page = pages(site)["li2019"]
    assert 'href="../scripts/full.sh"' in page
    assert (site / "scripts/full.sh").read_bytes() == (ROOT / "scripts/full.sh").read_bytes()
    assert 'href="../results/li2019-laptop"' not in page, "a folder is nothing that a site can show"
