"""What tells that something is in an app: data, beside this file, read once.

Each `*.toml` here has `[[signature]]` tables with the fields of `Signature`. A pattern of classes
ends in `.` for a package and all below it, in `*` for a class and what begins like it; else it is
one class with its inner ones. `docs/evidence.md` explains every field. A new signature is a new
table: no code.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from edgewise.errors import UsageError
from edgewise.records import EvidenceKind


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a signature must find, and what it must not: one thing of one kind each.

    `where` is what `value` is: the name of a field of `Signature`.
    """

    where: str
    value: str
    not_value: str = ""


class Signature(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """How one thing is told.

    Attributes:
        kind, name: of the evidence.
        source: where the patterns are written down.
        example: what it must match; tested.
        classes: in dex files and jars: the code is there.
        not_classes: of those, what is something else.
        family: classes that belong to the same product: their use of it is no use by the app.
            `classes` where it is empty.
        calls: `Class.member`: called, or read, by code outside the family. An argument `=1` must
            not be a constant 0.
        loaders: `Class.member` with `*`: given a model's path, the model is loaded.
        texts: in strings of dex files: left when the classes were renamed.
        libraries: names of native libraries, exact or with `*`.
        exports: symbols that a native library defines, exact or with `*` at the end.
        native_texts: in read-only data of native libraries.
        imports: libraries that a native library asks the linker for.
        version: a regular expression over read-only data, its first group the version.
        symbol_version: a prefix of symbol versions, the rest of which is the version.
        manifest: names of `<meta-data>` or of libraries that the manifest asks for.
        assets: paths of entries, with `*` and `**`.
        web: regular expressions over scripts, whose first group may be the version.
        hosts: endpoints: a host, with `*` for any label, and a path that must follow.
        files: texts in files that describe the package (`META-INF/MANIFEST.MF`).
    """

    kind: EvidenceKind
    name: str
    source: str
    example: tuple[Example, ...]
    classes: tuple[str, ...] = ()
    not_classes: tuple[str, ...] = ()
    family: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    loaders: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    native_texts: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    version: str = ""
    symbol_version: str = ""
    manifest: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    web: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[str, ...]:
        """Classes whose use of it is not the app's."""
        return self.family or self.classes


class _File(msgspec.Struct, forbid_unknown_fields=True):
    signature: list[Signature]


def read(text: str, name: str) -> list[Signature]:
    """The signatures of a file.

    Raises:
        UsageError: it is no TOML, or a table is wrong; says which.
    """
    try:
        return msgspec.convert(tomllib.loads(text), _File).signature
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"signatures {name}: {error}") from error


@cache
def signatures() -> tuple[Signature, ...]:
    """All signatures of this package, and those of files in `$EDGEWISE_SIGNATURES`."""
    import os

    folders = [Path(__file__).parent]
    if extra := os.environ.get("EDGEWISE_SIGNATURES"):
        folders.append(Path(extra))
    found: list[Signature] = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            found += read(path.read_text(encoding="utf-8"), str(path))
    return tuple(found)


@cache
def version() -> str:
    """Stands for what the signatures say: changes whenever one does."""
    import hashlib

    encoded: Any = msgspec.json.encode(signatures())
    return hashlib.sha256(encoded).hexdigest()[:12]
