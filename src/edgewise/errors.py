"""The exception tree.

::

    EdgewiseError                 anything a user can act on; one line on standard error
    ├── UsageError                wrong or half-given settings                     (exit 2)
    ├── MissingExtra              an optional part is not installed: names the extra
    ├── InputError                a path that was named cannot be processed        (exit 1)
    │   ├── MalformedArchive      not an archive, or one that is broken
    │   ├── RejectedModel         looked like a model, is none: why
    │   └── OpaqueModel           only its format is certain: compiled, encrypted, unknown version
    ├── LimitExceeded             a bound on work, memory or size was hit: which
    ├── WorkerFailed              a worker process crashed, hung or ran out of memory
    ├── RuntimeRefused            an inference runtime would not load or run a model
    ├── DeviceError               a device cannot be reached or answered wrongly
    │   └── DeviceGone            it went away while it was measured on, and did not come back
    └── StoreError                a store cannot be read or written
        └── NewerStore            a store was written by a newer schema than this version knows

Expected bad input raises one of these; anything else is a defect and fails loudly.
"""

from __future__ import annotations


class EdgewiseError(Exception):
    """Something a user can act on. The message says what and where; `hint` what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(EdgewiseError):
    """Wrong or half-given settings."""


class MissingExtra(EdgewiseError):
    """An optional part of Edgewise is not installed. `extra` may be several with commas."""

    def __init__(self, extra: str, needed_for: str) -> None:
        which = "extras" if "," in extra else "extra"
        super().__init__(
            f"{needed_for} needs the {which} '{extra.replace(',', ', ')}'",
            hint=f"pip install {_requirement(extra)}",
        )
        self.extra = extra


def _requirement(extra: str) -> str:
    """What pip is to install: the checkout that runs, or the package by its name."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlparse

    try:
        stated = json.loads(distribution("edgewise").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        stated = {}
    url = urlparse(stated.get("url", ""))
    if url.scheme == "file" and stated.get("dir_info", {}).get("editable"):
        return f"--editable '{unquote(url.path)}[{extra}]'"
    return f"'edgewise[{extra}]'"


class InputError(EdgewiseError):
    """A path that was named cannot be processed."""


class MalformedArchive(InputError):
    """Not an archive, or one that is broken."""


class RejectedModel(InputError):
    """Looked like a model by its name or its first bytes, but is none."""


class OpaqueModel(InputError):
    """Only the format is certain: compiled, encrypted, or a version that cannot be read."""


class LimitExceeded(EdgewiseError):
    """A bound on work, memory or size was hit; the message names the bound and its value."""


class WorkerFailed(EdgewiseError):
    """A worker process crashed, hung or ran out of memory; the message says which."""


class RuntimeRefused(EdgewiseError):
    """An inference runtime would not load or run a model; the message is the runtime's."""


class DeviceError(EdgewiseError):
    """A device cannot be reached or answered wrongly."""


class DeviceGone(DeviceError):
    """A device went away while it was measured on, and did not come back in time."""


class StoreError(EdgewiseError):
    """A store cannot be read or written."""


class NewerStore(StoreError):
    """A store was written by a newer schema than this version of Edgewise knows."""
