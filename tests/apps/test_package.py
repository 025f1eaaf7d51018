"""What a package is, told by what is inside."""

from __future__ import annotations

from pathlib import Path

import pytest
from packages import apk, written, zipped

from edgewise.apps.package import is_unpacked, kind_of, sort_folder
from edgewise.archive import Limits
from edgewise.records import PackageKind


@pytest.mark.parametrize(
    ("kind", "names", "file_name"),
    [
        ("apk", ["AndroidManifest.xml", "classes.dex"], "x.zip"),
        ("apk", ["AndroidManifest.xml"], "x"),
        ("apk", ["classes.dex"], "x.zip"),
        ("apk", ["resources.arsc", "res/x.xml"], "x.zip"),
        ("aar", ["AndroidManifest.xml", "classes.jar", "R.txt"], "x.apk"),
        ("aab", ["BundleConfig.pb", "base/dex/classes.dex"], "x.zip"),
        ("aab", ["base/manifest/AndroidManifest.xml"], "x.apk"),
        ("ipa", ["Payload/A.app/Info.plist", "Payload/A.app/A"], "x.zip"),
        ("apks", ["toc.pb", "standalones/standalone.apk"], "x.zip"),
        ("apks", ["base.apk", "config.de.apk"], "x.zip"),
        ("apks", ["universal.apk"], "x.apks"),
        ("xapk", ["manifest.json", "a.b.apk", "Android/obb/a.b/main.1.a.b.obb"], "x"),
        ("apkm", ["info.json", "base.apk"], "x.zip"),
        ("obb", ["assets/a.bin"], "main.1.a.b.OBB"),
        ("zip", ["assets/a.bin"], "x.apk"),
        ("zip", ["one.apk"], "x.zip"),
        ("zip", [], "x.apk"),
    ],
)
def test_kinds(kind: PackageKind, names: list[str], file_name: str) -> None:
    assert kind_of(frozenset(names), file_name) == kind


@pytest.mark.parametrize(
    "name",
    ["AndroidManifest.xml", "base/manifest/AndroidManifest.xml", "Payload/A.app/Info.plist"],
)
def test_a_folder_with_a_manifest_is_an_app_taken_apart(tmp_path: Path, name: str) -> None:
    assert not is_unpacked(tmp_path)
    written(tmp_path / name, b"")
    assert is_unpacked(tmp_path)


def test_packages_in_a_folder_are_known_by_content_or_name(tmp_path: Path) -> None:
    for name, data in {
        "a.apk": apk(), "b/no-extension": apk(), "c.apk": b"not even a zip", "d.zip": zipped({}),
        "e.docx": zipped({"word/document.xml": b""}), "f.bin": b"PK\x03\x04 but broken", "g": b"",
    }.items():  # fmt: skip
        written(tmp_path / name, data)
    packages, loose = sort_folder(tmp_path, Limits())
    relative = [str(Path(path).relative_to(tmp_path)) for path in packages]
    assert relative == ["a.apk", "c.apk", "d.zip", "b/no-extension"]
    assert [file.name for file in loose] == ["e.docx", "f.bin", "g"]
