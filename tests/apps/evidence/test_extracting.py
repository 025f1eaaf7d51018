"""Evidence of a few small packages that come with the tests, and damage in what they hold."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import pytest

from edgewise.apps.evidence import dex_extractor, native
from edgewise.apps.evidence.addresses import endpoints
from edgewise.apps.evidence.contract import Context, Sightings
from edgewise.apps.evidence.dex import Dex
from edgewise.apps.evidence.elf import Elf
from edgewise.apps.evidence.owners import Owners
from edgewise.apps.evidence.patterns import compiled
from edgewise.apps.evidence.signatures import signatures
from edgewise.apps.scan import scan_package
from edgewise.archive import DiskFile
from edgewise.errors import EdgewiseError

DATA = Path(__file__).parent / "data"
NAMES = sorted(path.name.removesuffix(".truth.json") for path in DATA.glob("*.truth.json"))


def entry(package: str, name: str) -> bytes:
    with zipfile.ZipFile(DATA / f"{package}.apk") as archive:
        return archive.read(name)


@pytest.mark.parametrize("name", NAMES)
def test_evidence_is_the_known_one(name: str) -> None:
    truth = json.loads((DATA / f"{name}.truth.json").read_text())["evidence"]
    found = scan_package(str(DATA / f"{name}.apk")).evidence
    fields = ("kind", "name", "grade", "reach", "owner")
    assert sorted(tuple(map(str, (row[f] for f in fields))) for row in truth) == sorted(
        tuple(map(str, (getattr(row, f) for f in fields))) for row in found
    )


def test_the_tables_of_a_dex() -> None:
    dex = Dex(memoryview(entry("s10_cloud_sdks", "classes.dex")))
    names = {dex.type_name(int(kind)) for kind in dex.class_types}
    assert "com.amazonaws.services.rekognition.AmazonRekognitionClient" in names
    index = dex.find_string("detectLabels")
    assert index is not None and dex.string(index) == "detectLabels"
    assert dex.find_string("no such string") is None
    methods = {dex.method_name(int(number)) for number in dex.bodies.method}
    assert {"<init>", "go", "onCreate", "detectLabels"} <= methods


def test_the_tables_of_a_library() -> None:
    elf = Elf(memoryview(entry("s17_many_native", "lib/arm64-v8a/libncnn.so")))
    offsets, defined = elf.symbols
    exported = {
        elf.name_at(int(at)) for at, here in zip(offsets, defined, strict=True) if here
    }  # fmt: skip
    assert "ncnn_net_create" in exported
    assert (elf.soname, elf.machine) == ("libncnn.so", 183)
    assert any(b"1.0.20240410" in bytes(part) for part in elf.constants())


class Held(DiskFile):
    """Bytes as a file."""

    def __init__(self, data: bytes) -> None:
        self.path = self.name = "classes.dex"
        self.size, self._data = len(data), data

    def data(self) -> memoryview:
        return memoryview(self._data)


@pytest.mark.parametrize(
    ("extractor", "package", "name"),
    [
        (dex_extractor, "s10_cloud_sdks", "classes.dex"),
        (native, "s17_many_native", "lib/arm64-v8a/libMNN.so"),
        (native, "s17_many_native", "lib/armeabi-v7a/libMNN.so"),
    ],
)
def test_damage_is_refused_or_read_around(extractor: object, package: str, name: str) -> None:
    data, chance = entry(package, name), random.Random(7)
    context = Context(signatures(), Owners(["org.example"]))
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 4, 16))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        if chance.random() < 0.3:
            del changed[chance.randrange(len(changed)) :]
        try:
            extractor.extract(Held(bytes(changed)), name, context, Sightings())  # type: ignore[attr-defined]
        except (EdgewiseError, ValueError, IndexError, OverflowError):
            continue  # what `collect` takes for damage


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'fetch("https://api.openai.com/v1/x",a)', [("openai", "https://api.openai.com/v1/x")]),
        (b"wss://api.openai.com/v1/realtime", [("openai", "wss://api.openai.com/v1/realtime")]),
        (b"https://firebaseml.googleapis.com/v1beta2", []),  # where models are fetched
        (b"https://%s.openai.azure.com/a", [("azure-openai", "https://%s.openai.azure.com/a")]),
        (b".openai.azure.com/a", [("azure-openai", ".openai.azure.com/a")]),
        (b"https://api.openai.com.evil.example/", []),
        (b"https://notapi.openai.com/", []),
        (b"see openai.com", []),
    ],
)  # fmt: skip
def test_endpoints_in_scripts(text: bytes, found: list[tuple[str, str]]) -> None:
    told = [(signature.name, address) for signature, address in
            endpoints(text, compiled().hosts)]  # fmt: skip
    assert told == found


@pytest.mark.parametrize(
    ("packages", "name", "owner"),
    [
        (["org.example.app"], "org.example.app.Main", "app"),
        (["org.example.app"], "org.example.other.Helper", "app"),
        (["org.example.app"], "com.acme.sdk.Tracker", "sdk"),
        (["org.example.app"], "a.b.c", "app"),
        (["com.google.android.youtube"], "com.google.mlkit.vision.X", "sdk"),
        ([], "com.anybody.Main", "app"),
        ([], "com.google.firebase.X", "sdk"),
    ],
)
def test_owners(packages: list[str], name: str, owner: str) -> None:
    assert Owners(packages).owner(name) == owner


def test_a_demo_below_a_frameworks_package_is_an_app() -> None:
    owners = Owners(["org.tensorflow.lite.examples.digits"])
    assert owners.is_demo("org.tensorflow.lite.examples.digits.Main", ("org.tensorflow.lite.",))
    assert not owners.is_demo("org.tensorflow.lite.Interpreter", ("org.tensorflow.lite.",))
    assert not Owners(["org.tensorflow.lite"]).is_demo(
        "org.tensorflow.lite.Interpreter", ("org.tensorflow.lite.",)
    )
