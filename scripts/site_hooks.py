"""What MkDocs is told beside mkdocs.yml: pages and files that lie outside of docs/, and formulas as MathML."""

import html
import os
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {"index.md": "README.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """README and its like are pages, and every file of the repository that a page links to is part of the site."""
    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for page in files.documentation_pages():
        for _, path, _ in LINK.findall(page.content_string):
            target = _target(page.src_uri, path)
            if (ROOT / target).is_file() and _place(target) not in files.src_uris:
                files.append(File.generated(config, _place(target), abs_src_path=str(ROOT / target)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that are right in the repository become those of the site. A folder is named, not linked."""

    def moved(link: re.Match[str]) -> str:
        text, path, anchor = link.groups("")
        target = _target(page.file.src_uri, path)
        if (ROOT / target).is_dir():
            return text if target in text else f"{text} (`{target}`)"
        if not (ROOT / target).is_file():
            return link[0]
        return f"[{text}]({posixpath.relpath(_place(target), posixpath.dirname(page.file.src_uri) or '.')}{anchor})"

    return LINK.sub(moved, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw by themselves."""

    def drawn(formula: re.Match[str]) -> str:
        return convert(html.unescape(formula[2]), display="block" if formula[1] == "div" else "inline")

    return FORMULA.sub(drawn, content)


def _target(page: str, path: str) -> str:
    """Where a link of a page leads, from the repository's root."""
    return os.path.normpath(posixpath.join(posixpath.dirname(OUTSIDE.get(page, f"docs/{page}")), path))


def _place(target: str) -> str:
    """Where a file of the repository lies in the site."""
    pages = {source: page for page, source in OUTSIDE.items()}
    return pages.get(target, target.removeprefix("docs/"))
