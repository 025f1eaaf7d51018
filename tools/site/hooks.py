"""What MkDocs calls: pages that are made of the code, and links that lead out of `docs/`.

Nothing made here is kept in the repository: a page says what the code declares when it is built.
"""

from __future__ import annotations

import ast
import logging
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "src")]

from mkdocs.structure.files import File, Files  # noqa: E402

from edgewise.cli.main import VERBS  # noqa: E402
from site_pages import catalogue, figures, interface, notebook, records, verbs  # noqa: E402

#: Files of the root that are pages of the site as they stand.
_ROOTS = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
#: Files of code, and what the site has in their place; links to others become plain text.
_CODE = {
    **{f"src/{module.replace('.', '/')}.py": f"{interface.FOLDER}/contracts.md#{group}"
       for group, module in interface.CONTRACTS.items()},
    "src/edgewise/records": records.PAGE,
    "src/edgewise/errors.py": f"{interface.FOLDER}/errors.md",
    "src/edgewise/cli/main.py": f"{verbs.FOLDER}/index.md",
    "src/edgewise/formats/registry.py": "reference/formats.md",
    "src/edgewise/runtimes/registry.py": "reference/runtimes.md",
    "src/edgewise/devices/registry.py": "reference/devices.md",
    "src/edgewise/energy/meters/registry.py": "reference/meters.md",
    "src/edgewise/energy/data": "reference/energy.md",
    "src/edgewise/apps/sources/registry.py": "reference/sources.md",
    "src/edgewise/apps/evidence/signatures": "reference/signatures.md",
    "src/edgewise/network/data": "reference/networks.md",
    "src/edgewise/analysis/deployability.toml": "reference/delegates.md",
    "src/edgewise/selection/policies/registry.py": "reference/policies.md",
    notebook.SOURCE: notebook.PAGE,
}  # fmt: skip
_IN_CODE = ("src/", "tests/", "tools/", "benchmarks/", "examples/", "deploy/")
_TOY = re.compile(r"<!-- toy: (\S+) (\w+) ?(\w*) -->")
#: What a browser loads by itself, from another host. Links are followed by readers alone.
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)[^>]*\ssrc=\"?(?:https?:)?//[^>]*>"
    r"|<link(?![^>]*rel=\"?(?:canonical|next|prev))[^>]*\shref=\"?(?:https?:)?//[^>]*>"
)
_LINK = re.compile(r"\[([^\]\n]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
#: Warnings of plug-ins while no warning is wanted: entry points of whoever builds are not ours.
logging.getLogger("griffe").setLevel(logging.ERROR)


def on_config(config: Any) -> Any:
    """List every verb below the page of verbs: the command line knows them."""

    def listed(entries: list[Any]) -> None:
        index = f"{verbs.FOLDER}/index.md"
        if index in entries:
            entries += [{verb: f"{verbs.FOLDER}/{verb}.md"} for verb in VERBS]
        for entry in entries:
            for below in entry.values() if isinstance(entry, dict) else ():
                if isinstance(below, list):
                    listed(below)

    listed(config["nav"])
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    for room in (verbs, records, catalogue, figures, interface, notebook):
        for path, content in room.made():
            files.append(File.generated(config, path, content=content))
    for name, path in _ROOTS.items():
        content = _moved((ROOT / name).read_text(encoding="utf-8"), "", path)
        files.append(File.generated(config, path, content=content))
    to_download = str(ROOT / notebook.SOURCE)
    files.append(File.generated(config, notebook.SOURCE, abs_src_path=to_download))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to files of the root to their pages; name the verbs that a page is about."""
    path = page.file.src_uri
    if page.file.generated_by is None:
        markdown = _TOY.sub(_toy, _moved(markdown, posixpath.dirname(f"docs/{path}"), path))
    asked = page.meta.get("verbs", "")
    if named := [verb.strip() for verb in asked.split(",") if verb.strip()]:
        if unknown := {*named} - {*VERBS}:
            raise ValueError(f"{path} names verbs that there are not: {', '.join(unknown)}")
        root = posixpath.relpath(".", posixpath.dirname(path) or ".")
        shown = ", ".join(f"[`{verb}`]({root}/{verbs.FOLDER}/{verb}.md)" for verb in named)
        markdown += f"\n\nAll options and fields: {shown}.\n"
    return markdown


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Docstrings mark code by `::`, which is no Markdown."""
    return html.replace("<p>::</p>", "").replace("::</p>", ":</p>")


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that would have a reader's browser fetch something from elsewhere."""
    if found := _FETCHED.search(output):
        raise ValueError(f"{page.file.src_uri} fetches from elsewhere: {found.group()}")
    return output


def _moved(markdown: str, folder: str, page: str) -> str:
    """Links of a file in `folder` of the repository as the page at `page` of the site has them."""

    def there(found: re.Match[str]) -> str:
        words, given, anchor = found.groups()
        target = posixpath.normpath(posixpath.join(folder, given))
        if target.startswith(_IN_CODE):
            inside = _CODE.get(target)
            if inside is None:
                return words
        else:
            inside = _ROOTS.get(target) or (target[5:] if target.startswith("docs/") else None)
        if inside is None:
            return found[0]
        to = posixpath.relpath(inside, posixpath.dirname(page) or ".")
        return f"[{words}]({to}{anchor or ''})"

    return _LINK.sub(there, markdown)


def _toy(found: re.Match[str]) -> str:
    """The text that a constant of a test's module holds, as a block of code."""
    file, name, language = found.groups()
    for each in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        match each:
            case ast.Assign([ast.Name(target)], ast.Constant(str(code))) if target == name:
                return f"```{language or 'python'}\n{code.strip()}\n```"
    raise ValueError(f"{file} has no {name}")
