"""Models by path: on disk they stay where they are, in packages they are spooled and removed."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgewise.archive import open_file
from edgewise.bench import sources
from edgewise.errors import InputError
from edgewise.formats.candidates import is_readable, model_files


def test_a_file_on_disk_is_used_in_place(digits: Path) -> None:
    with ExitStack() as until:
        found = sources.localise(open_file(str(digits / "digits-s.onnx")), until)
    assert found.local == digits / "digits-s.onnx"
    assert (found.format, len(found.sha256)) == ("onnx", 64)


def test_a_model_in_a_package_is_private_and_removed(tmp_path: Path, digits: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.apk", "w", zipfile.ZIP_DEFLATED) as package:
        package.write(digits / "digits-s.tflite", "assets/m.dat")
    path = f"{tmp_path}/app.apk!/assets/m.dat"
    with ExitStack() as until:
        found = sources.localise(open_file(path), until)
        assert found.path == path
        assert found.local.read_bytes() == (digits / "digits-s.tflite").read_bytes()
        assert found.local.parent.stat().st_mode & 0o077 == 0
    assert not found.local.exists()
    assert not found.local.parent.exists()


def test_a_package_is_no_model(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.apk", "w") as package:
        package.writestr("readme", "x")
    with ExitStack() as until, pytest.raises(InputError, match=r"app\.apk!/assets"):
        sources.localise(open_file(str(tmp_path / "app.apk")), until)


def test_a_folder_is_searched(digits: Path) -> None:
    names = {file.name for file in model_files(str(digits), is_readable)}
    assert {"digits-s.tflite", "digits-s.onnx"} <= names
    assert "family.toml" not in names


def test_external_data_comes_along(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    numpy_helper, helper = pytest.importorskip("onnx.numpy_helper"), onnx.helper
    import numpy as np

    weight = numpy_helper.from_array(np.ones((64, 64), "float32"), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", 1, [1, 64])],
        [helper.make_tensor_value_info("y", 1, [1, 64])], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(
        model, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.bin",
        size_threshold=0,
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as package:
        for name in ("m.onnx", "m.bin"):
            package.write(tmp_path / name, f"assets/{name}")
    with ExitStack() as until:
        found = sources.localise(open_file(f"{tmp_path}/app.zip!/assets/m.onnx"), until)
        (companion,) = found.companions
        assert companion == found.local.parent / "m.bin"
        assert companion.stat().st_size == 64 * 64 * 4
