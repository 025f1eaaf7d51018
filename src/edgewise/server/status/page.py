"""The status page as one file: markup, style and script in it, nothing fetched but its data."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files


@functools.cache
def page() -> bytes:
    """The page, UTF-8. Its own policy forbids every other script, style and request."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    text = _asset("page.html")
    for name, content in (("policy", policy), ("style", style), ("script", script)):
        text = text.replace(f"{{{{{name}}}}}", content)
    return text.encode()


def _asset(name: str) -> str:
    return files("edgewise.server.status").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
