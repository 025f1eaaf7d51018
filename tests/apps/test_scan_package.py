"""One app, start to end."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
from packages import ONNX, OTHER_TFLITE, TFLITE, apk, manifest, written, zipped

from edgewise.apps.scan import scan_package, scan_target, targets
from edgewise.archive import Limits, open_file
from edgewise.records import App, Coverage


def scan(tmp_path: Path, data: bytes, name: str = "x.apk", limits: Limits | None = None) -> App:
    return scan_package(written(tmp_path / name, data), limits)


def outcomes(app: App) -> dict[str, tuple[str | None, str]]:
    """Format and outcome by the path inside the app."""
    return {
        model.path.removeprefix(f"{app.path}!/").removeprefix(f"{app.path}/"): (
            model.format, model.status,
        )
        for model in app.models
    }  # fmt: skip


# -- what is found -----------------------------------------------------------------------------


def test_models_are_known_by_content_whatever_they_are_called(tmp_path: Path) -> None:
    entries = {
        "classes.dex": b"dex\n035\0" + bytes(99),
        "assets/m.tflite": TFLITE,
        "assets/music.mp3": OTHER_TFLITE,
        "res/raw/weights": ONNX,
        "assets/readme.tflite": b"This model will follow in the next version.",
        "assets/net.dlc": b"a network of another kind",
        "assets/notes.txt": b"nothing",
    }
    data = apk(entries)
    app = scan(tmp_path, data)
    assert outcomes(app) == {
        "assets/m.tflite": ("tflite", "parsed"),
        "assets/music.mp3": ("tflite", "parsed"),
        "res/raw/weights": ("onnx", "parsed"),
        "assets/readme.tflite": ("tflite", "rejected"),
        "assets/net.dlc": ("snpe", "rejected"),
    }
    assert app.coverage == Coverage(entries=8, examined=8, candidates=5, parsed=3, rejected=2)
    assert (app.kind, app.package, app.version_code, app.error) == ("apk", "a.b", 1, None)
    assert (app.sha256, app.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert app.notes[0] == "classes.dex: not searched for evidence: is no dex file"
    assert "3 models without a framework" in app.notes[1]
    reasons = {model.status: model.reason for model in app.models}
    assert reasons["parsed"] is None and reasons["rejected"]


def test_the_path_of_a_model_can_be_given_to_other_verbs(tmp_path: Path) -> None:
    from edgewise.archive import open_file

    inner = apk({"assets/m.tflite": TFLITE})
    (model,) = scan(tmp_path, zipped({"base.apk": inner, "b.apk": apk(split="b")})).models
    file = open_file(model.path)
    assert (bytes(file.data()), file.sha256()) == (TFLITE, model.sha256)


def test_equal_bytes_are_summarised_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise.analysis import summary

    calls = []
    real = summary.summarise
    monkeypatch.setattr(
        summary,
        "summarise",
        lambda file, *rest, **how: (calls.append(file.name), real(file, *rest, **how))[1],
    )
    app = scan(tmp_path, apk({"a.tflite": TFLITE, "b/b.dat": TFLITE, "c.tflite": OTHER_TFLITE}))
    assert calls == ["a.tflite", "c.tflite"]
    first, second, third = app.models
    assert second.path == f"{app.path}!/b/b.dat"
    assert (first.sha256, first.macs) == (second.sha256, second.macs)
    assert third.sha256 != first.sha256


def test_companions_are_no_models_of_their_own(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, tensor = onnx.helper, onnx.TensorProto
    weights = helper.make_tensor("w", tensor.FLOAT, [4], bytes(16), raw=True)
    weights.ClearField("raw_data")
    weights.data_location = tensor.EXTERNAL
    # Called like a model, so that only the companionship keeps it from being one.
    weights.external_data.add(key="location", value="w.tflite")
    ports = [helper.make_tensor_value_info(name, tensor.FLOAT, [4]) for name in "xy"]
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], [weights])
    model = helper.make_model(graph).SerializeToString()
    app = scan(tmp_path, apk({"a/m.onnx": model, "a/w.tflite": bytes(16), "w.tflite": b"other"}))
    assert outcomes(app) == {"a/m.onnx": ("onnx", "parsed"), "w.tflite": ("tflite", "rejected")}
    assert app.models[0].companions == ("w.tflite",)
    assert app.coverage.candidates == 2


# -- packages in packages ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "extra"),
    [
        ("x.apks", "apks", "toc.pb"),
        ("x.xapk", "xapk", "manifest.json"),
        ("x.apkm", "apkm", "info.json"),
    ],
)
def test_a_split_app_is_who_its_base_says(tmp_path: Path, name: str, kind: str, extra: str) -> None:
    data = zipped({
        extra: b"{}",
        "a_config.apk": zipped({"AndroidManifest.xml": manifest("a.b", "config.de")}),
        "base.apk": apk({"assets/m.tflite": TFLITE, "assets/more.zip": zipped({"m.dat": ONNX})}),
    })  # fmt: skip
    app = scan(tmp_path, data, name)
    assert (app.kind, app.package, app.version_code) == (kind, "a.b", 1)
    assert outcomes(app) == {
        "base.apk!/assets/m.tflite": ("tflite", "parsed"),
        "base.apk!/assets/more.zip!/m.dat": ("onnx", "parsed"),
    }
    assert (app.coverage.entries, app.coverage.examined) == (8, 8)


def test_a_bundle_of_nothing_readable(tmp_path: Path) -> None:
    app = scan(tmp_path, zipped({"toc.pb": b"", "base.apk": b"PK\x03\x04broken"}), "x.apks")
    assert app.error is None
    assert "no APK inside could be read" in app.notes
    assert any("base.apk: archive not opened: broken zip" in note for note in app.notes)


# -- packages that are broken or made to mislead -----------------------------------------------


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "is empty"),
        (b"just a text file\n", "not a zip archive: it begins with b'just a text fi"),
        (TFLITE, "looks like a tflite model: use `edgewise inspect`"),
        (apk({"x": bytes(9999)})[:300], "cut short"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, data: bytes, error: str) -> None:
    app = scan(tmp_path, data)
    assert app.error is not None and error in app.error
    assert app.size_bytes == len(data)
    assert app.sha256 == hashlib.sha256(data).hexdigest()


def test_what_is_not_there(tmp_path: Path) -> None:
    app = scan_package(str(tmp_path / "none.apk"))
    assert app.error == f"{tmp_path}/none.apk: No such file or directory"


def test_an_empty_archive_and_one_under_a_false_name(tmp_path: Path) -> None:
    empty = scan(tmp_path, zipped({}))
    assert (empty.kind, empty.error, empty.notes[0]) == ("zip", None, "the archive is empty")
    false = scan(tmp_path, zipped({"a.txt": b""}))
    assert false.notes[0] == "named .apk, but by its content a zip"


def test_a_damaged_manifest_does_not_end_the_scan(tmp_path: Path) -> None:
    app = scan(tmp_path, zipped({"AndroidManifest.xml": b"\xff" * 40, "m.tflite": TFLITE}))
    assert app.package is None
    assert app.notes[0] == "the manifest has no element <manifest>"
    assert outcomes(app) == {"m.tflite": ("tflite", "parsed")}


def test_encrypted_entries_are_counted_as_not_looked_at(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.tflite": TFLITE, "b.bin": ONNX, "c.bin": ONNX, "d": b"plain"}))
    for name in (b"a.tflite", b"b.bin", b"c.bin"):
        row = data.rindex(b"PK\x01\x02", 0, data.rindex(name))
        data[row + 8] |= 1
        start = data.index(name) + len(name)
        data[start : start + 40] = bytes(range(200, 240))
    app = scan(tmp_path, bytes(data), "x.zip")
    assert outcomes(app) == {"a.tflite": ("tflite", "not_examined")}
    assert app.models[0].reason == "is encrypted"
    assert app.coverage == Coverage(entries=4, examined=1, candidates=1, not_examined=1)
    assert app.notes[0] == f"{app.path}!/b.bin and 1 more: is encrypted"


def test_a_model_with_a_wrong_checksum_is_rejected(tmp_path: Path) -> None:
    data = bytearray(zipped({"m.tflite": TFLITE}))
    data[data.rindex(b"PK\x01\x02") + 16] ^= 1
    (model,) = scan(tmp_path, bytes(data)).models
    assert model.status == "rejected"
    assert model.reason is not None and model.reason.startswith("damaged: its checksum is")


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    bomb = TFLITE + bytes(20 << 20)
    app = scan(tmp_path, apk({"m.tflite": bomb, "other.bin": bytes(20 << 20)}))
    (model,) = app.models
    assert model.status == "not_examined"
    assert model.reason is not None and "the limit ratio is 200" in model.reason


def test_the_depth_of_nesting_is_bounded(tmp_path: Path) -> None:
    data = zipped({"m.tflite": TFLITE})
    for _ in range(4):
        data = zipped({"z.zip": data})
    assert scan(tmp_path, data).coverage.parsed == 1
    deeper = scan(tmp_path, data, limits=Limits(depth=3))
    assert deeper.coverage.parsed == 0
    assert any("the limit depth is 3" in note for note in deeper.notes)


# -- folders -----------------------------------------------------------------------------------


def test_a_folder_of_packages_gives_one_app_each(tmp_path: Path) -> None:
    written(tmp_path / "a.apk", apk())
    written(tmp_path / "sub" / "b.apk", b"broken")
    written(tmp_path / "readme.md", b"text")
    found = targets(str(tmp_path))
    assert [Path(target.path).name for target in found] == ["a.apk", "b.apk"]
    assert [scan_target(target).error is None for target in found] == [True, False]


def test_models_beside_packages_are_one_more_app(tmp_path: Path) -> None:
    written(tmp_path / "a.apk", apk())
    written(tmp_path / "models" / "m.tflite", TFLITE)
    _, loose = (scan_target(target) for target in targets(str(tmp_path)))
    assert (loose.kind, loose.path) == ("folder", str(tmp_path))
    assert outcomes(loose) == {"models/m.tflite": ("tflite", "parsed")}


def test_a_folder_without_anything_is_still_an_answer(tmp_path: Path) -> None:
    written(tmp_path / "readme.md", b"text")
    (app,) = (scan_target(target) for target in targets(str(tmp_path)))
    assert (app.kind, app.coverage) == ("folder", Coverage(entries=1, examined=1))


def test_an_app_taken_apart(tmp_path: Path) -> None:
    written(tmp_path / "AndroidManifest.xml", manifest("c.d"))
    written(tmp_path / "assets" / "m.bin", TFLITE)
    written(tmp_path / "assets" / "inner.apk", apk({"n.bin": ONNX}))
    (target,) = targets(str(tmp_path))
    app = scan_target(target)
    assert (app.kind, app.package) == ("folder", "c.d")
    assert outcomes(app) == {
        "assets/inner.apk!/n.bin": ("onnx", "parsed"),
        "assets/m.bin": ("tflite", "parsed"),
    }
    assert app == scan_package(str(tmp_path))


def test_the_hash_of_a_folder_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "one" / "m.tflite"
    written(path, TFLITE)
    written(tmp_path / "two" / "m.tflite", TFLITE)
    first, copy = (scan_package(str(tmp_path / name)).sha256 for name in ("one", "two"))
    assert first == copy
    written(path, OTHER_TFLITE)
    assert scan_package(str(path.parent)).sha256 != first


# -- real ones ---------------------------------------------------------------------------------


@pytest.mark.corpus
def test_the_corpus(corpus: Path) -> None:
    apps = {Path(t.path).name: scan_target(t) for t in targets(str(corpus / "apks"))}
    assert len(apps) == 15
    assert all(app.error is None for app in apps.values())
    assert {name: outcomes(app) for name, app in apps.items() if app.models} == {
        "smartcropper__v5-plus-v6-model.apk": {
            "assets/models/hed_lite_model_quantize.tflite": ("tflite", "parsed")
        }
    }
    assert "NUL" in apps["androguard__apksig__v1-only-with-nul-in-entry-name.apk"].notes[0]


def test_a_package_in_a_folder_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.apk")
    Path(odd).write_bytes(apk({"a.tflite": TFLITE}))
    (target,) = targets(str(tmp_path))
    app = scan_target(target)
    assert (app.error, app.coverage.parsed) == (None, 1)


def test_what_is_packed_otherwise_is_opened_or_told(tmp_path: Path) -> None:
    """What cannot be opened is a candidate by its name; of anything else a note says so."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("folder/m.dat")
        info.size = len(TFLITE)
        archive.addfile(info, io.BytesIO(TFLITE))
    package = apk({
        "assets/m.tflite.gz": gzip.compress(TFLITE), "assets/m.onnx.xz": lzma.compress(ONNX),
        "assets/models.tar": tar.getvalue(), "assets/text.bz2": bz2.compress(b"text"),
        "assets/m.tflite.zst": b"\x28\xb5\x2f\xfd rest", "assets/text.7z": b"7z\xbc\xaf\x27\x1c",
    })  # fmt: skip
    app = scan_package(written(tmp_path / "a.apk", package))
    assert [(m.format, m.status, m.reason) for m in app.models] == [
        ("tflite", "parsed", None),
        ("onnx", "parsed", None),
        ("tflite", "parsed", None),
        ("tflite", "not_examined", "packed with zstd, which is not opened"),
    ]
    assert [m.path.removeprefix(f"{tmp_path}/a.apk!/assets/") for m in app.models] == [
        "m.tflite.gz!/m.tflite", "m.onnx.xz!/m.onnx", "models.tar!/folder/m.dat", "m.tflite.zst",
    ]  # fmt: skip
    assert [note for note in app.notes if "packed" in note] == [
        f"{tmp_path}/a.apk!/assets/text.7z: packed with 7z, which is not opened",
    ]
    assert open_file(app.models[2].path).data() == TFLITE


def test_a_pointer_to_a_large_file_is_called_one(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (model,) = scan_package(written(tmp_path / "a.apk", apk({"a.onnx": pointer}))).models
    assert model.status == "rejected" and "Git LFS" in (model.reason or "")


def test_entries_that_share_a_name_or_have_a_separator_in_it_can_be_told_apart(
    tmp_path: Path,
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a.tflite", TFLITE)
        archive.writestr("a.tflite", OTHER_TFLITE)
        archive.writestr("b!/c.tflite", TFLITE)
    app = scan_package(written(tmp_path / "a.zip", buffer.getvalue()))
    assert [open_file(model.path).data() for model in app.models] == [
        TFLITE, OTHER_TFLITE, TFLITE,
    ]  # fmt: skip
    assert len({model.path for model in app.models}) == 3


def test_entries_that_tools_would_read_otherwise_are_told(tmp_path: Path) -> None:
    data = bytearray(zipped({"first.txt": b"x", "other.txt": b"y", "last.txt": b"z"}))
    at = data.index(b"first.txt")
    data[at : at + 5] = b"FIRST"
    app = scan_package(written(tmp_path / "a.zip", bytes(data)))
    assert any("another name in their own header" in note for note in app.notes)
    hidden = zipped({"first.txt": b"x", "other.txt": b"y"}, zipfile.ZIP_STORED)
    start = hidden.index(b"PK\x01\x02")
    second = hidden.index(b"PK\x01\x02", start + 4)
    end = hidden.index(b"PK\x05\x06")
    tail = bytearray(hidden[end:])
    struct.pack_into("<HHI", tail, 8, 1, 1, second - start)
    app = scan_package(written(tmp_path / "b.zip", hidden[:second] + bytes(tail)))
    assert any("its directory lacks, such as 'other.txt'" in note for note in app.notes)


def test_a_packed_bomb_ends_at_a_limit(tmp_path: Path) -> None:
    path = written(tmp_path / "bomb.tgz", gzip.compress(bytes(64 << 20)))
    assert "limit ratio" in (scan_package(path).error or "")


def test_a_model_with_labels_appended_is_no_package(tmp_path: Path) -> None:
    path = written(tmp_path / "m.tflite", TFLITE + zipped({"labels.txt": b"cat"}))
    app = scan_package(path)
    assert "looks like a tflite model: use `edgewise inspect`" in (app.error or "")
