"""The property list of an iOS app (`Payload/NAME.app/Info.plist`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from edgewise.apps.manifest.identity import Identity
from edgewise.errors import InputError

_INFO = re.compile(r"Payload/[^/]+\.app/Info\.plist")


def info_name(names: Iterable[str]) -> str:
    """Name of the app's property list. Where there is none, the name that it should have."""
    return next((name for name in names if _INFO.fullmatch(name)), "Payload/….app/Info.plist")


def read_info(data: memoryview) -> Identity:
    """Who the app says it is. `version_code` is the build where that is a whole number.

    Raises:
        InputError: it is no property list.
    """
    info = _parse(bytes(data))
    build = _text(info, "CFBundleVersion")
    notes = [f"{key} {value}" for key in ("MinimumOSVersion",) if (value := _text(info, key))]
    number = int(build) if build is not None and build.isdecimal() else None
    if build is not None and number is None:
        notes.append(f"CFBundleVersion {build}: not a whole number")
    return Identity(
        package=_text(info, "CFBundleIdentifier"),
        version_name=_text(info, "CFBundleShortVersionString"),
        version_code=number,
        label=_text(info, "CFBundleDisplayName") or _text(info, "CFBundleName"),
        notes=tuple(notes),
    )


def _parse(data: bytes) -> dict[str, Any]:
    import plistlib

    try:
        info = plistlib.loads(data)
    except Exception as error:
        raise InputError(f"Info.plist is no property list: {error}") from error
    if not isinstance(info, dict):
        raise InputError("Info.plist is a property list, but no dictionary")
    return info


def _text(info: dict[str, Any], key: str) -> str | None:
    value = info.get(key)
    return str(value) if isinstance(value, str | int | float) and value != "" else None
