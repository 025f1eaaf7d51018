"""What a file or folder is: which kind of package, told by what is inside.

The extension decides only where the content leaves it open (an OBB is a zip of anything).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import cast, get_args

from edgewise.apps.manifest import ANDROID, BUNDLE
from edgewise.archive import DiskFile, opens_as_archive, walk_files
from edgewise.archive.limits import Budget, Limits
from edgewise.archive.zip import Archive
from edgewise.errors import EdgewiseError
from edgewise.records import PackageKind

_IPA = re.compile(r"Payload/[^/]+\.app/")
#: Extensions of packages. A file named so is one to users, even where it cannot be opened.
EXTENSIONS = frozenset(f".{kind}" for kind in get_args(PackageKind) if kind != "folder")
#: Packed archives that packages come in, npm's for one.
PACKED = (".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
#: Kinds that consist of several APKs, of which one says who the app is.
SPLIT = ("apks", "xapk", "apkm")


def kind_of(names: Collection[str], file_name: str) -> PackageKind:
    """The kind of a zip archive with these entries.

    - `aab`: `BundleConfig.pb` or a base module's manifest
    - `aar`: a manifest and `classes.jar`; `apk`: a manifest, or code or resources at the root
    - `ipa`: `Payload/NAME.app/`
    - several APKs: `apkm` with `info.json`, `xapk` with `manifest.json`, else `apks`
    - `obb`: nothing of these, and named so; `zip`: anything else
    """
    if "BundleConfig.pb" in names or BUNDLE in names:
        return "aab"
    if ANDROID in names:
        return "aar" if "classes.jar" in names else "apk"
    if "classes.dex" in names or "resources.arsc" in names:
        return "apk"
    if any(_IPA.match(name) for name in names):
        return "ipa"
    return _split_kind(names, file_name) or ("obb" if _extension(file_name) == ".obb" else "zip")


def _split_kind(names: Collection[str], file_name: str) -> PackageKind | None:
    apks = sum(name.endswith(".apk") for name in names)
    if not apks:
        return None
    if "info.json" in names:
        return "apkm"
    if "manifest.json" in names:
        return "xapk"
    if apks > 1 or "toc.pb" in names:
        return "apks"
    named = _extension(file_name)[1:]
    return cast(PackageKind, named) if named in SPLIT else None


def is_unpacked(folder: Path) -> bool:
    """Whether a folder is one app taken apart, rather than a folder of packages."""
    return (
        (folder / ANDROID).is_file()
        or (folder / BUNDLE).is_file()
        or any((folder / "Payload").glob("*.app/Info.plist"))
    )


def kind_inside(folder: Path) -> PackageKind:
    """The kind of package that an unpacked app was."""
    if (folder / BUNDLE).is_file():
        return "aab"
    return "apk" if (folder / ANDROID).is_file() else "ipa"


def sort_folder(folder: Path, limits: Limits) -> tuple[list[str], list[DiskFile]]:
    """Where the packages below a folder are, and the files that are none; both in order of name.

    A package is what is named like one, and every archive that is one by its content.
    """
    packages: list[str] = []
    loose: list[DiskFile] = []
    for file in walk_files(folder):
        if _extension(file.name) in EXTENSIONS or _is_package(file, limits):
            packages.append(file.location)
        else:
            loose.append(file)
    return packages, loose


def _is_package(file: DiskFile, limits: Limits) -> bool:
    try:
        if not opens_as_archive(file.head(4)):
            return file.name.lower().endswith(PACKED)
        return kind_of(set(Archive(file, Budget(limits)).names()), file.name) != "zip"
    except EdgewiseError:
        return False  # unreadable, and not named like a package: reported as a loose file


def described(head: bytes, name: str) -> Iterator[str]:
    """What a file that is no package seems to be, for an error message."""
    from edgewise.formats import registry

    found = registry.recognise(head, name)
    if found is not None:
        yield f"looks like a {found.NAME} model: use `edgewise inspect`"


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
