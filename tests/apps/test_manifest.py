"""Who an app says it is, in every encoding of manifests."""

from __future__ import annotations

import plistlib
from pathlib import Path

import compiled
import pytest
from compiled import DECIMAL, FLOAT, REFERENCE, STRING, Element
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.apps.manifest import Identity, identify
from edgewise.apps.package import kind_of
from edgewise.archive import Archive, Budget, DiskFile
from edgewise.archive.region import Region
from edgewise.records import PackageKind


class Held:
    """Bytes as a file."""

    def __init__(self, data: bytes) -> None:
        self.path = self.name = "held"
        self.size = len(data)
        self._region = Region(memoryview(data))

    def data(self) -> memoryview:
        return self._region.view


def identity(files: dict[str, bytes], kind: PackageKind = "apk") -> Identity:
    held = {name: Held(data) for name, data in files.items()}
    return identify(kind, held.keys(), held.get)  # type: ignore[arg-type]


def app(manifest: bytes, resources: bytes | None = None) -> Identity:
    files = {"AndroidManifest.xml": manifest}
    return identity(files if resources is None else {**files, "resources.arsc": resources})


ELEMENTS: list[Element] = [
    ("manifest", {
        "versionCode": (DECIMAL, 42), "versionName": (STRING, "1.2β"), "package": (STRING, "a.b"),
    }),
    ("uses-permission", {}),
    ("uses-sdk", {"minSdkVersion": (DECIMAL, 21), "targetSdkVersion": (DECIMAL, 34)}),
    ("application", {"label": (STRING, "Grüße 🎉 " + "long " * 60)}),
]  # fmt: skip
WANTED = Identity("a.b", "1.2β", 42, "Grüße 🎉 " + "long " * 60, 21, 34)


# -- compiled ----------------------------------------------------------------------------------


@pytest.mark.parametrize("utf8", [True, False])
def test_a_compiled_manifest(utf8: bool) -> None:
    assert app(compiled.manifest(ELEMENTS, utf8=utf8)) == WANTED


def test_attributes_are_known_by_id_where_names_are_stripped() -> None:
    assert app(compiled.manifest(ELEMENTS, names=False)) == WANTED


def test_attributes_are_known_by_name_where_ids_are_missing() -> None:
    assert app(compiled.manifest(ELEMENTS, ids=False)) == WANTED


def test_a_name_does_not_outweigh_an_id() -> None:
    elements: list[Element] = [("manifest", {"versionName": (STRING, "1.0")})]
    data = compiled.manifest(elements).replace(b"\x0bversionName", b"\x0bversionCode")
    assert (app(data).version_name, app(data).version_code) == ("1.0", None)


def test_unknown_chunks_and_a_wrong_magic_are_read_past() -> None:
    junk = compiled.chunk(0x0BAD, b"", b"junk" * 9)
    assert app(compiled.manifest(ELEMENTS, between=junk, magic=0)) == WANTED


def test_only_the_root_and_its_children_say_who_the_app_is() -> None:
    data = compiled.manifest([("x", {}), ("y", {})])
    assert app(data).notes == ("the manifest has no element <manifest>",)


def test_numbers_that_are_none() -> None:
    found = app(compiled.manifest([
        ("manifest", {"versionCode": (STRING, "7"), "versionName": (FLOAT, 0x3FC00000)}),
        ("uses-sdk", {"minSdkVersion": (STRING, "Baklava")}),
    ]))  # fmt: skip
    assert (found.version_code, found.version_name, found.min_sdk) == (7, "1.5", None)
    assert found.notes == ("minSdkVersion is 'Baklava', not a number",)


def test_a_long_version_code_is_noted() -> None:
    found = app(compiled.manifest([
        ("manifest", {"versionCode": (DECIMAL, 5), "versionCodeMajor": (DECIMAL, 1)})
    ]))  # fmt: skip
    assert found.version_code == 5
    assert found.notes == ("versionCodeMajor 1: the long version code is 4294967301",)


# -- resources ---------------------------------------------------------------------------------


def labelled(value: int) -> bytes:
    return compiled.manifest([("manifest", {}), ("application", {"label": (REFERENCE, value)})])


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"": {0: (STRING, "no"), 2: (STRING, "default")}}, "default"),
        ({"de": {2: (STRING, "deutsch")}, "": {2: (STRING, "default")}}, "default"),
        ({"de": {2: (STRING, "deutsch")}, "en": {2: (STRING, "english")}}, "english"),
        ({"de": {2: (STRING, "deutsch")}, "fr": {2: (STRING, "français")}}, "deutsch"),
        ({"": {2: (REFERENCE, 0x7F010000), 0: (STRING, "further")}}, "further"),
        ({"": {2: (DECIMAL, 12)}}, "12"),
    ],
)
def test_a_label_from_the_resources(
    values: dict[str, dict[int, compiled.Typed]], label: str
) -> None:
    assert app(labelled(0x7F010002), compiled.table(values)).label == label


@pytest.mark.parametrize(
    "resources",
    [
        None,
        compiled.table({"": {0: (STRING, "x")}}),
        compiled.table({"": {2: (REFERENCE, 0x7F010002)}}),
    ],
)
def test_what_is_not_in_the_resources_is_noted(resources: bytes | None) -> None:
    found = app(labelled(0x7F010002), resources)
    assert found.label is None
    assert found.notes == ("label is @0x7f010002, which is not in the app's resources",)


# -- the others --------------------------------------------------------------------------------

TEXT = """<?xml version="1.0"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="a.b"
  android:versionCode="42" android:versionName="1.2β">
  <uses-sdk android:minSdkVersion="21" android:targetSdkVersion="34"/>
  <application android:label="@string/app"/>
</manifest>"""


def test_a_text_manifest() -> None:
    found = identity({"AndroidManifest.xml": TEXT.encode("utf-8-sig")}, "aar")
    assert (found.package, found.version_name, found.version_code) == ("a.b", "1.2β", 42)
    assert (found.min_sdk, found.target_sdk, found.label) == (21, 34, None)
    assert found.notes == ("label is @string/app, which is not in the app's resources",)


def test_entities_are_not_expanded() -> None:
    bomb = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">]><manifest package="&a;"/>'
    found = identity({"AndroidManifest.xml": bomb.encode()})
    assert found.notes == ("manifest not readable: the manifest declares entities",)


def message(*fields: tuple[int, bytes | str]) -> bytes:
    """A protobuf message of fields that hold bytes."""
    data = b""
    for number, value in fields:
        content = value.encode() if isinstance(value, str) else value
        length = bytes([len(content) & 0x7F | 0x80, len(content) >> 7])
        data += bytes([number << 3 | 2]) + length + content
    return data


def element(name: str, attributes: dict[str, str], *children: bytes) -> bytes:
    found = [(4, message((2, key), (3, value))) for key, value in attributes.items()]
    return message((1, message((3, name), *found, *((5, child) for child in children))))


def resource(name: str, *values: tuple[str, bytes]) -> bytes:
    configured = [
        (6, message((1, message((3, locale)) if locale else b""), (2, message((4, item)))))
        for locale, item in values
    ]
    return message((2, name), *configured)


def test_a_bundle() -> None:
    manifest = element(
        "manifest", {"package": "a.b", "versionCode": "42", "versionName": "1.2β"},
        element("uses-sdk", {"minSdkVersion": "21"}),
        element("application", {"label": "@string/app"}),
    )  # fmt: skip
    text = message((2, message((1, "Label"))))
    strings = message(
        (2, "string"),
        (3, resource("app", ("", message((1, message((3, "string/real"))))))),
        (3, resource("real", ("de", message((2, message((1, "deutsch"))))), ("", text))),
    )
    table = message((2, message((3, message((2, "integer"))), (3, strings))))
    files = {"base/manifest/AndroidManifest.xml": manifest, "base/resources.pb": table}
    assert identity(files, "aab") == Identity("a.b", "1.2β", 42, "Label", 21)


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_an_ios_app(form: plistlib.PlistFormat) -> None:
    info = {
        "CFBundleIdentifier": "a.b", "CFBundleShortVersionString": "1.2", "CFBundleVersion": "42",
        "CFBundleName": "Name", "MinimumOSVersion": "15.0",
    }  # fmt: skip
    data = plistlib.dumps(info, fmt=form)
    found = identity(
        {"Payload/A.app/X.lproj/Info.plist": b"", "Payload/A.app/Info.plist": data}, "ipa"
    )
    assert found == Identity("a.b", "1.2", 42, "Name", notes=("MinimumOSVersion 15.0",))


def test_a_build_that_is_no_number() -> None:
    data = plistlib.dumps({"CFBundleVersion": "1.2.3"})
    found = identity({"Payload/A.app/Info.plist": data}, "ipa")
    assert found.notes == ("CFBundleVersion 1.2.3: not a whole number",)


# -- nothing ends a scan -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["apk", "aab", "ipa"])
def test_a_missing_manifest_is_noted(kind: PackageKind) -> None:
    assert "not an installable app" in identity({}, kind).notes[0]


def test_a_zip_needs_none() -> None:
    assert identity({}, "zip") == Identity()


@pytest.mark.parametrize("kind", ["apk", "aab", "ipa"])
@pytest.mark.parametrize(
    "data", [b"", b"\0" * 64, b"\x0a\xff\xff\xff\xff", b"<manifest", b"\xff" * 99]
)
def test_a_damaged_manifest_is_noted(kind: PackageKind, data: bytes) -> None:
    names = ("AndroidManifest.xml", "base/manifest/AndroidManifest.xml", "Payload/A.app/Info.plist")
    found = identity(dict.fromkeys(names, data), kind)
    assert found.package is None
    assert len(found.notes) == 1


def test_a_huge_manifest_is_not_read() -> None:
    assert "the limit is" in identity({"AndroidManifest.xml": bytes((16 << 20) + 1)}).notes[0]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damage_leaves_fields_empty(data: st.DataObject) -> None:
    files = {
        "AndroidManifest.xml": bytearray(compiled.manifest([
            ("manifest", {"package": (STRING, "a.b")}),
            ("application", {"label": (REFERENCE, 0x7F010000)}),
        ])),
        "resources.arsc": bytearray(compiled.table({"": {0: (STRING, "Label")}})),
    }  # fmt: skip
    for _ in range(data.draw(st.integers(1, 6))):
        held = files[data.draw(st.sampled_from(sorted(files)))]
        place = data.draw(st.integers(0, len(held) - 1))
        held[place] = data.draw(st.sampled_from([0, 1, 4, 127, 128, 255]))
    found = identity({name: bytes(held) for name, held in files.items()})
    assert found.package is None or isinstance(found.package, str)


#: As `aapt dump badging` of Android's build tools prints them.
BADGING = {
    "androguard__AndroidManifest_ShortName.apk": ("com.android.galaxy4", "1.0", 1, None, 14, 14),
    "androguard__CertChain.apk": (None, None, None, None, None, None),
    "androguard__Invalid.apk": ("re.androguard.android.invalid", "1.0", 1, "Invalid", 8, 15),
    "androguard__a2dp.Vol_137.apk": ("a2dp.Vol", "2.12.9.2", 137, "A2DP Volume", 15, 25),
    "androguard__app-prod-debug.apk": ("com.greenaddress.abcore", "0.62", 2162, "ABCore", 21, 27),
    "androguard__com.teleca.jamendo_35.apk": (
        "com.teleca.jamendo", "1.0.4 [BETA]", 35, "Jamendo", 4, 8,
    ),
    "smartcropper__v5.apk": ("me.pqpo.smartcropper", "1.0", 1, "SmartCropper", 14, 22),
    "tnn__benchmark.apk": ("com.tencent.tnn.benchmark", "1.0.0", 1000, "TNN", 15, 26),
}  # fmt: skip


@pytest.mark.corpus
@pytest.mark.parametrize("name", BADGING)
def test_real_apps_are_who_aapt_says(corpus: Path, name: str) -> None:
    archive = Archive(DiskFile(corpus / "apks" / name), Budget())
    names = frozenset(archive.names())
    found = identify(kind_of(names, name), names, archive.get)
    assert BADGING[name] == (
        found.package, found.version_name, found.version_code, found.label, found.min_sdk,
        found.target_sdk,
    )  # fmt: skip
