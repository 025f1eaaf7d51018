"""Write into README and docs what their commands print now, where that is another thing than shown.

    python tools/retell.py [PAGE…]

Each page's commands run in order in a copy of the demo's data, as `tests/test_examples.py` runs
them. What is shown in part (with a line `…`) is named and left to its author.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from doc_blocks import (  # noqa: E402
    DATA,
    NEEDS,
    PAGES,
    VARY,
    Command,
    blocks,
    differs,
    in_block,
    name,
    words,
)

#: Verbs that run until they are told to end, or want a service.
_LEFT = {"serve", "ui", "load"}
_SURROUNDINGS = os.environ | {"COLUMNS": "100", "PYTHONPATH": str(ROOT / "src")}


def main(pages: list[Path]) -> None:
    """Retell these pages."""
    for page in pages:
        with tempfile.TemporaryDirectory() as folder:
            data = shutil.copytree(DATA, Path(folder) / "data")
            for block in blocks(page):
                if block.file is not None:
                    (data / block.file).write_text(block.text, encoding="utf-8")
                elif not block.title.startswith(NEEDS):
                    for command in in_block(block):
                        _retell(page, command, data)


def _retell(page: Path, command: Command, data: Path) -> None:
    if not command.line.startswith("edgewise ") or words(command.line)[1] in _LEFT:
        return
    asked = [sys.executable, "-m", "edgewise", *words(command.line)[1:]]
    done = subprocess.run(asked, cwd=data, env=_SURROUNDINGS, capture_output=True, text=True)
    if not command.shown or command.title == VARY or differs(command.shown, done.stdout) is None:
        return
    shown = "\n".join(command.shown)
    text = page.read_text(encoding="utf-8")
    if "…" in command.shown or text.count(shown) != 1:
        print(f"{name(page)}: {command.line}: {differs(command.shown, done.stdout)}")
        return
    printed = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
    page.write_text(text.replace(shown, printed), encoding="utf-8")
    print(f"{name(page)}: {command.line}: retold")


if __name__ == "__main__":
    main([Path(each).resolve() for each in sys.argv[1:]] or PAGES)
