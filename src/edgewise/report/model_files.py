"""A model's own bytes, of a store whose models still lie where they were found."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from edgewise.archive import open_file
from edgewise.errors import EdgewiseError, UsageError
from edgewise.store import Store

_SHA256 = re.compile("[0-9a-f]{64}")


def model_file(store: Store, sha256: str) -> tuple[str, memoryview]:
    """The name and the bytes of a model, from the first place where they still are these.

    Raises:
        UsageError: the store has no such model, or it is no longer where it was.
        NewerStore, StoreError: the store cannot be read.
    """
    if not _SHA256.fullmatch(sha256):
        raise UsageError(f"{sha256!r} is no SHA-256")
    for path in _paths(store, sha256):
        try:
            content = memoryview(open_file(path).data())
        except EdgewiseError:
            continue
        if hashlib.sha256(content).hexdigest() == sha256:
            return path.rpartition("/")[2], content
    raise UsageError(f"model {sha256} is no longer where the store found it")


def _paths(store: Store, sha256: str) -> Iterator[str]:
    """Where a model was found on this machine's disks: nothing is fetched from elsewhere."""
    _, rows = store.query(
        f"select distinct path from models where sha256 = '{sha256}' order by path"
    )
    return (path for (path,) in rows if "://" not in path)


def has_netron() -> bool:
    """Whether Netron is installed beside this package."""
    return find_spec("netron") is not None


class Netron:
    """Netron's own server on this machine, which shows the model that was opened last."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgewise-netron-")
        self._address: tuple[str, int] | None = None
        self._one_at_a_time = Lock()

    def open(self, name: str, content: memoryview) -> str:
        """Show a model; where."""
        file = Path(self._folder.name) / (re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "model")
        with self._one_at_a_time:
            self._stop()
            file.write_bytes(content)
            host, port = import_module("netron").start(str(file), browse=False)
            self._address = host, port
        return f"http://{host}:{port}/"

    def close(self) -> None:
        """End it and remove the files that it was given."""
        self._stop()
        self._folder.cleanup()

    def _stop(self) -> None:
        if self._address is not None:
            import_module("netron").stop(self._address)
            self._address = None
