"""Where a meter's files are: in a folder, in a recording of one, or below another folder."""

from __future__ import annotations

from pathlib import Path

from edgewise.energy.meters.contract import Files


class Folder:
    """The files of this machine below a folder; see `Files`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str) -> str:
        """See `Files.read`."""
        return (self._root / path).read_text(errors="replace")

    def names(self, folder: str = "") -> list[str]:
        """See `Files.names`."""
        try:
            return sorted(each.name for each in (self._root / folder).iterdir())
        except OSError:
            return []


class Below:
    """The files below a folder of others; see `Files`."""

    def __init__(self, files: Files, home: str) -> None:
        self._files, self._home = files, home

    def read(self, path: str) -> str:
        """See `Files.read`."""
        return self._files.read(f"{self._home}/{path}")

    def names(self, folder: str = "") -> list[str]:
        """See `Files.names`."""
        return self._files.names(f"{self._home}/{folder}" if folder else self._home)
