"""Evidence in scripts and other files of texts: web assets, React Native bundles, settings, the
strings of an app's resources, .NET assemblies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgewise.apps.evidence.addresses import endpoints
from edgewise.apps.evidence.contract import Context, Sightings, Trace
from edgewise.apps.evidence.patterns import compiled
from edgewise.archive import Source
from edgewise.records import Owner, Reach

NAME = "web"
_SCRIPT = re.compile(
    r".*(?:\.(?:js|mjs|cjs|html|htm|jsbundle|hbc)|index\.android\.bundle|main\.jsbundle"
    r"|global-metadata\.dat)$",
    re.I,
)
#: Texts that no script is: endpoints in them count, but nothing tells that code gets there.
_SETTINGS = re.compile(
    r"resources\.arsc|resources\.pb"
    r"|.*\.(?:json|plist|properties|ya?ml|env|ini|cfg|conf|toml|dll)|(?:.*/)?\.env",
    re.I,
)
_SETTINGS_BYTES = 16 << 20
_MOST_VALUES = 100_000
_WIDE = re.compile(rb"(?:[\x21-\x7e]\0){8,}")
#: Scripts end far below; what is larger is data.
_BYTES = 64 << 20
_PAGE = (".html", ".htm")
_IN_PAGE: tuple[Reach, Owner] = ("referenced", "app")


def wants(inside: str, head: bytes) -> bool:
    """See `Extractor.wants`."""
    return _SCRIPT.fullmatch(inside) is not None or _SETTINGS.fullmatch(inside) is not None


def extract(file: Source, inside: str, context: Context, found: Sightings) -> None:
    """See `Extractor.extract`."""
    if _SETTINGS.fullmatch(inside):
        _settings(file, inside, context, found)
        return
    if file.size > _BYTES:
        found.notes.append(f"{inside}: not searched: {file.size:,} bytes of script")
        return
    data = file.data()
    known = compiled(context.signatures)
    page = inside.lower().endswith(_PAGE)
    text = bytes(data)
    if page:
        text = b"\n".join(re.findall(rb"<script[^>]*>.*?</script>|<script[^>]*>", text, re.S))
    if page:
        found.pages[inside] = text.decode("utf-8", "replace")
    for pattern, signature in known.web:
        if (match := pattern.search(text)) is not None:
            version = match[1].decode() if match.lastindex else ""
            reach, owner = _IN_PAGE if page else (None, None)
            found.traces.append(
                Trace(signature.kind, signature.name, "asset", inside, version, reach, owner)
            )
    for signature, address in endpoints(text, known.hosts):
        found.traces.append(
            Trace(signature.kind, signature.name, "url", inside, address, "referenced", "app")
        )


def _settings(file: Source, inside: str, context: Context, found: Sightings) -> None:
    if file.size > _SETTINGS_BYTES:
        return
    texts = _texts(bytes(file.data()), inside.lower())
    for signature, address in endpoints(texts, compiled(context.signatures).hosts):
        found.traces.append(Trace(signature.kind, signature.name, "url", inside, address))


def _texts(data: bytes, name: str) -> bytes:
    """What stands in a file as people would read it."""
    if name.endswith(".plist"):
        return b"\n".join(text.encode("utf-8", "replace") for text in _listed(data))
    if name.endswith(".properties"):
        return data.replace(b"\\:", b":")
    if name.endswith(".dll"):  # its strings are UTF-16
        return b"\n".join(found[0][::2] for found in _WIDE.finditer(data))
    return data


def _listed(data: bytes) -> Iterator[str]:
    """The texts of a property list."""
    import plistlib

    try:
        ahead = [plistlib.loads(data)]
    except Exception:  # noqa: BLE001  whatever a damaged list makes of its reader
        return
    for _ in range(_MOST_VALUES):
        value = ahead.pop() if ahead else None
        if isinstance(value, dict):
            ahead += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            ahead += value
        elif isinstance(value, str):
            yield value
