"""Who an app says it is: package, version, label and platform versions, from its manifest.

Android has the manifest in three encodings: compiled (`binary.py`, in APKs), protobuf
(`protobuf.py`, in bundles) and text (`plain.py`, in libraries and unpacked apps). iOS has a
property list (`ios.py`). What a manifest only refers to is looked up in the resources beside it.

apkInspector was tried for the compiled form and not kept: its import sets up the whole process's
logging, it reads strings above 127 bytes wrongly, knows attributes by name only (Android goes by
resource id, names may be stripped), and leaves references unresolved, for which the string pools
have to be read anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from edgewise.apps.manifest.identity import Elements, Identity, Resolver, identity_of
from edgewise.archive import File
from edgewise.errors import EdgewiseError, InputError
from edgewise.records import PackageKind

#: The compiled and the text form have the same name.
ANDROID = "AndroidManifest.xml"
BUNDLE = "base/manifest/AndroidManifest.xml"
#: Manifests are read whole; real ones end below 1 MB.
_MANIFEST_BYTES = 16 << 20
#: First byte of a protobuf manifest: the tag of its root element.
_PROTOBUF = b"\x0a"

Lookup = Callable[[str], File | None]

__all__ = ["ANDROID", "BUNDLE", "Identity", "identify"]


def identify(kind: PackageKind, names: Collection[str], lookup: Lookup) -> Identity:
    """Read the manifest that a package of this kind has.

    Args:
        kind: what the package is.
        names: names of its entries.
        lookup: the entry of a name.

    Returns:
        What could be read. A manifest that is missing or damaged leaves fields None, and a note.
    """
    name = _manifest_name(kind, names)
    if name is None:
        return Identity()
    try:
        file = lookup(name)
        if file is None:
            return Identity(notes=(f"no {name}: not an installable app",))
        if file.size > _MANIFEST_BYTES:
            raise InputError(f"{name}: {file.size:,} bytes; the limit is {_MANIFEST_BYTES:,}")
        return _read(kind, file.data(), lookup)
    except EdgewiseError as error:
        return Identity(notes=(f"manifest not readable: {error.message}",))


def _manifest_name(kind: PackageKind, names: Collection[str]) -> str | None:
    match kind:
        case "apk" | "aar":
            return ANDROID
        case "aab":
            modules = (name for name in names if name.endswith("/manifest/AndroidManifest.xml"))
            return BUNDLE if BUNDLE in names else next(modules, BUNDLE)
        case "ipa":
            from edgewise.apps.manifest.ios import info_name

            return info_name(names)
        case _:
            return ANDROID if ANDROID in names else None


def _read(kind: PackageKind, data: memoryview, lookup: Lookup) -> Identity:
    if kind == "ipa":
        from edgewise.apps.manifest.ios import read_info

        return read_info(data)
    elements, resolve = _android(kind, data, lookup)
    return identity_of(elements, resolve)


def _android(kind: PackageKind, data: memoryview, lookup: Lookup) -> tuple[Elements, Resolver]:
    start = bytes(data[:16]).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        from edgewise.apps.manifest import plain

        return plain.elements(data), plain.resolver()
    if kind == "aab" or data[:1] == _PROTOBUF:
        from edgewise.apps.manifest import protobuf

        table = "base/resources.pb" if kind == "aab" else "resources.pb"
        return protobuf.elements(data), protobuf.resolver(lookup(table))
    from edgewise.apps.manifest import binary, resources

    return binary.elements(data), resources.resolver(lookup("resources.arsc"))
