"""Packages whose evidence is known, and decoys that must give none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewise.apps.scan import scan_package
from edgewise.records import App, Evidence

pytestmark = pytest.mark.corpus

_SPLITS = {f"s18_splits_{kind}": f"s18_splits.{kind}" for kind in ("aab", "apkm", "apks", "xapk")}
_FILES = {**_SPLITS, "s19_sdk_aar": "s19_sdk.aar", "s20_ipa": "s20_app.ipa"}
NAMES = [
    "s01_tflite_used", "s02_tflite_unreferenced", "s03_ort_native_only", "s04_noop_stub",
    "s05_obfuscated", "s06_one_abi", "s07_framework_no_model", "s08_model_no_framework",
    "s09_cloud_urls", "s10_cloud_sdks", "s11_mlkit_install_time", "s12_tfjs_web",
    "s13_accelerators", "s14_llm", "s15_packed", "s16_opencv_dnn", "s17_many_native",
    "s18_splits_aab", "s18_splits_apkm", "s18_splits_apks", "s18_splits_base_only",
    "s18_splits_xapk", "s19_sdk_aar", "s20_ipa", "d01_texts", "d02_prefixes", "d03_libs",
    "d04_files", "d05_urls", "d06_opencv_no_dnn", "d07_forname",
]  # fmt: skip


def scanned(known: Path, name: str) -> tuple[App, dict[str, Any]]:
    folder = known / "apps"
    truth = json.loads((folder / f"{name}.truth.json").read_text())
    return scan_package(str(folder / _FILES.get(name, f"{name}.apk"))), truth


def told(row: Evidence | dict[str, Any]) -> tuple[str | None, ...]:
    fields = ("kind", "name", "grade", "reach", "owner")
    if isinstance(row, Evidence):
        return tuple(getattr(row, field) for field in fields)
    return tuple(row[field] for field in fields)


@pytest.mark.parametrize("name", NAMES)
def test_all_evidence_is_found_and_none_besides(known: Path, name: str) -> None:
    app, truth = scanned(known, name)
    assert app.error is None
    assert app.package == truth["package"]
    assert sorted(map(told, app.evidence), key=str) == sorted(map(told, truth["evidence"]), key=str)


@pytest.mark.parametrize("name", NAMES)
def test_all_models_are_found_and_none_besides(known: Path, name: str) -> None:
    app, truth = scanned(known, name)
    found = [model for model in app.models if model.status != "rejected"]
    assert len(found) == len(truth["models"]), [model.path for model in found]
    loaded = sum("(loaded)" in model for model in truth["models"])
    assert loaded == 0 or sum(model.reach == "loaded" for model in found) == loaded


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s06_one_abi", "libpytorch_jni_lite.so is there for armeabi-v7a only"),
        ("s07_framework_no_model", "executorch without a model"),
        ("s07_framework_no_model", "https://models.example.org/v3/net.pte"),
        ("s08_model_no_framework", "without a framework"),
        ("s11_mlkit_install_time", "models come at install time from Google Play services: ocr"),
        ("s15_packed", "absent means nothing"),
        ("s18_splits_base_only", "without its splits"),
    ],
)
def test_what_it_adds_up_to_is_said(known: Path, name: str, said: str) -> None:
    app, _ = scanned(known, name)
    assert any(said in note for note in app.notes), app.notes


@pytest.mark.parametrize(
    ("name", "grade", "detail"),
    [
        ("s01_tflite_used", "native_lib", "2.14.0"),
        ("s03_ort_native_only", "native_lib", "1.17.1"),
        ("s04_noop_stub", "class", "stub"),
        ("s12_tfjs_web", "asset", "4.10.0"),
        ("s16_opencv_dnn", "native_lib", "4.8.0"),
    ],
)
def test_details_carry_versions(known: Path, name: str, grade: str, detail: str) -> None:
    app, _ = scanned(known, name)
    framework = [row for row in app.evidence if row.kind == "framework" and row.grade == grade]
    assert any(detail in row.detail for row in framework), framework


def test_models_say_whether_code_gets_to_them(known: Path) -> None:
    app, _ = scanned(known, "s01_tflite_used")
    reach = {model.path.rpartition("/")[2]: model.reach for model in app.models}
    assert reach == {"mixcnn.tflite": "loaded", "unused.tflite": "unreferenced"}


@pytest.mark.parametrize(
    ("name", "note"), [("dex_trailer", "follow the end of the dex"), ("dexdat", None)]
)
def test_odd_packages_of_bug_reports(known: Path, name: str, note: str | None) -> None:
    app = scan_package(str(known / "fields" / f"{name}.apk"))
    assert app.error is None
    assert app.evidence == ()
    assert note is None or any(note in said for said in app.notes), app.notes


def test_a_packer_is_told_by_the_packages_own_description(known: Path) -> None:
    app = scan_package(str(known / "fields" / "dexprotector.apk"))
    assert [(row.kind, row.name, row.detail) for row in app.evidence] == [
        ("packer", "dexprotector", "12.3.19")
    ]
