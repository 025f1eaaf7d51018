"""Package the demo app: a real binary manifest, resource table, dex and signature.

Uses Debian's aapt, libsmali-java, zipalign, apksigner, android-framework-res and a JDK's keytool.
Every entry is the same in every build; the signature is not, because its key is thrown away.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

APP = Path(__file__).parent / "demo_app"
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
SMALI = Path("/usr/share/java/smali.jar")
MIN_SDK, TARGET_SDK = 24, 34
ENTRY_TIME = (1981, 1, 1, 1, 1, 2)  # what Android's own build writes for every entry
STORED = (".tflite", ".mp3", ".png", ".arsc")  # read in place by the system or the runtime
KEY_PASSWORD = "throw-away"  # the key lives as long as the build's temporary folder


@dataclass(frozen=True)
class Release:
    """One release of the demo app: what it ships, by path in the package."""

    apk: str
    version: str
    code: int
    models: dict[str, str]  # path in the package -> file of the family
    smali: tuple[str, ...] = field(default=("smali",))


FIRST = Release(
    apk="demo.apk",
    version="1.0",
    code=1,
    models={
        "assets/digits-s.tflite": "digits-s.tflite",
        "assets/models/digits-m.onnx": "digits-m.onnx",
        "assets/config/start.dat": "digits-xxs.tflite",
        "res/raw/intro.mp3": "digits-l-int8.tflite",
    },
)
SECOND = Release(
    apk="demo-1.1.apk",
    version="1.1",
    code=2,
    models={
        **FIRST.models,
        "res/raw/intro.mp3": "digits-xl-fp16.tflite",  # swapped for a larger one
        "assets/models/digits-m.tflite": "digits-m.tflite",  # new
    },
    smali=("smali", "smali-1.1"),
)


def build_all(family: Path, target: Path) -> None:
    """Build both releases from the models in `family` into the folder `target`."""
    for release in (FIRST, SECOND):
        with tempfile.TemporaryDirectory() as folder:
            _build(release, family, Path(folder), target / release.apk)


def _build(release: Release, family: Path, work: Path, apk: Path) -> None:
    tree = _lay_out(release, family, work)
    packed = _aapt(release, tree, work)
    _rewrite(packed, _assemble(release, work), work / "plain.apk")
    _run("zipalign", "-p", "-f", "4", work / "plain.apk", work / "aligned.apk")
    _sign(work / "aligned.apk", _key(work), apk)


def _lay_out(release: Release, family: Path, work: Path) -> Path:
    """Put resources and assets where aapt expects them; return their common folder."""
    tree = work / "app"
    shutil.copytree(APP / "res", tree / "res")
    for path, model in release.models.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(family / model, tree / path)
    shutil.copyfile(family / "labels.txt", tree / "assets" / "labels.txt")
    shutil.copyfile(APP / "readme.tflite", tree / "assets" / "readme.tflite")
    (tree / "res" / "drawable").mkdir()
    _icon().save(tree / "res" / "drawable" / "icon.png", optimize=True)
    return tree


def _icon() -> Image.Image:
    """Draw a 48×48 seven in strokes, so that no font is needed."""
    icon = Image.new("RGB", (48, 48), "#1f6f8b")
    ImageDraw.Draw(icon).line([(14, 13), (34, 13), (21, 36)], fill="white", width=5, joint="curve")
    return icon


def _aapt(release: Release, tree: Path, work: Path) -> Path:
    packed = work / "packed.apk"
    _run(
        "aapt", "package", "-f",
        "-M", APP / "AndroidManifest.xml",
        "-S", tree / "res",
        "-A", tree / "assets",
        "-I", FRAMEWORK,
        "-F", packed,
        "--min-sdk-version", MIN_SDK,
        "--target-sdk-version", TARGET_SDK,
        "--version-code", release.code,
        "--version-name", release.version,
    )  # fmt: skip
    return packed


def _assemble(release: Release, work: Path) -> bytes:
    dex = work / "classes.dex"
    sources = [APP / folder for folder in release.smali]
    _run("java", "-jar", SMALI, "assemble", "--api", MIN_SDK, "--output", dex, *sources)
    return dex.read_bytes()


def _rewrite(packed: Path, dex: bytes, plain: Path) -> None:
    """Add the dex and write all entries in name order with a fixed time."""
    with zipfile.ZipFile(packed) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    entries["classes.dex"] = dex
    with zipfile.ZipFile(plain, "w") as target:
        for name, content in sorted(entries.items()):
            info = zipfile.ZipInfo(name, ENTRY_TIME)
            stored = name.endswith(STORED)
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            target.writestr(info, content)


def _key(work: Path) -> Path:
    store = work / "key.p12"
    _run(
        "keytool", "-genkeypair", "-keystore", store, "-storetype", "PKCS12",
        "-storepass", KEY_PASSWORD, "-alias", "demo", "-keyalg", "RSA", "-keysize", "2048",
        "-validity", "10000", "-dname", "CN=Edgewise demo",
    )  # fmt: skip
    return store


def _sign(aligned: Path, key: Path, apk: Path) -> None:
    _run(
        "apksigner", "sign", "--ks", key, "--ks-pass", f"pass:{KEY_PASSWORD}",
        "--v4-signing-enabled", "false", "--out", apk, aligned,
    )  # fmt: skip
    _run("apksigner", "verify", apk)


def _run(*command: object) -> None:
    """Run a tool; its own words are in the error if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
