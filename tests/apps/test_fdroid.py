"""F-Droid repositories: the signature, the index's hash, each file's hash; one built by its own
server where that is installed."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packages import TFLITE, apk

from edgewise.apps.fetch import fetch
from edgewise.apps.sources.contract import Wanted
from edgewise.apps.sources.download import Settings
from edgewise.errors import InputError

pytest.importorskip("asn1crypto")
pytest.importorskip("cryptography")

APK = apk({"a.tflite": TFLITE})


def signer() -> tuple[Any, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a repository")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(9999))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return key, certificate


def signed_jar(content: bytes, key: Any, certificate: Any) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

    def digest(data: bytes) -> str:
        return base64.b64encode(hashlib.sha256(data).digest()).decode()

    manifest = (
        "Manifest-Version: 1.0\r\n\r\nName: entry.json\r\n"
        f"SHA-256-Digest: {digest(content)}\r\n\r\n"
    ).encode()
    signature = (
        f"Signature-Version: 1.0\r\nSHA-256-Digest-Manifest: {digest(manifest)}\r\n\r\n"
    ).encode()
    block = (
        pkcs7.PKCS7SignatureBuilder().set_data(signature)
        .add_signer(certificate, key, hashes.SHA256())
        .sign(Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])
    )  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", manifest)
        archive.writestr("META-INF/1.SF", signature)
        archive.writestr("META-INF/1.EC", block)
        archive.writestr("entry.json", content)
    return buffer.getvalue()


@pytest.fixture
def repository(web: Any) -> str:
    """Its address, with the fingerprint."""
    index = {
        "packages": {
            "a.b": {
                "metadata": {"categories": ["Science"], "license": "MIT"},
                "versions": {
                    "x": {
                        "added": 1767225600000,
                        "file": {"name": "/a.b_1.apk", "sha256": hashlib.sha256(APK).hexdigest(),
                                 "size": len(APK)},
                        "manifest": {"versionName": "1.0", "versionCode": 1},
                    }
                },
            },
            "broken": None,
        }
    }  # fmt: skip
    body = json.dumps(index).encode()
    entry = {"index": {"name": "/index-v2.json", "sha256": hashlib.sha256(body).hexdigest(),
                       "size": len(body)}}  # fmt: skip
    key, certificate = signer()
    from cryptography.hazmat.primitives.serialization import Encoding

    web.files = {
        "/repo/entry.jar": signed_jar(json.dumps(entry).encode(), key, certificate),
        "/repo/index-v2.json": body,
        "/repo/a.b_1.apk": APK,
    }
    fingerprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return f"fdroid:{web.url}/repo?fingerprint={fingerprint.upper()}"


def rows(tmp_path: Path, address: str) -> list[Any]:
    settings = Settings(retries=0, wait=lambda seconds: None)
    return list(fetch([address], str(tmp_path / "apps"), Wanted(), settings))


def test_a_signed_repository(repository: str, tmp_path: Path) -> None:
    (row,) = rows(tmp_path, repository)
    assert (row.status, row.package) == ("fetched", "a.b")
    assert (tmp_path / "apps" / "a.b_1.apk").read_bytes() == APK
    assert row.listing["category"] == "Science" and row.listing["date"] == "2026-01-01"
    assert [each.status for each in rows(tmp_path, repository)] == ["present"]


def test_another_signer_is_refused(repository: str, web: Any, tmp_path: Path) -> None:
    entry = json.loads(zipfile.ZipFile(io.BytesIO(web.files["/repo/entry.jar"])).read("entry.json"))
    web.files["/repo/entry.jar"] = signed_jar(json.dumps(entry).encode(), *signer())
    with pytest.raises(InputError, match="signed by"):
        rows(tmp_path, repository)


@pytest.mark.parametrize("name", ["entry.json", "META-INF/MANIFEST.MF", "META-INF/1.SF"])
def test_what_was_changed_after_it_was_signed_is_refused(
    repository: str, web: Any, tmp_path: Path, name: str
) -> None:
    source = zipfile.ZipFile(io.BytesIO(web.files["/repo/entry.jar"]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for each in source.namelist():
            data = source.read(each)
            archive.writestr(each, data + b"\n " if each == name else data)
    web.files["/repo/entry.jar"] = buffer.getvalue()
    with pytest.raises(InputError, match=r"changed after|signature is wrong"):
        rows(tmp_path, repository)


def test_an_unsigned_index_and_a_changed_file_are_refused(
    repository: str, web: Any, tmp_path: Path
) -> None:
    web.files["/repo/a.b_1.apk"] = APK[:-1] + b"!"
    (row,) = rows(tmp_path, repository)
    assert row.status == "failed" and "SHA-256" in row.reason
    web.files["/repo/index-v2.json"] = web.files["/repo/index-v2.json"].replace(b"MIT", b"GPL")
    with pytest.raises(InputError, match="SHA-256"):
        rows(tmp_path, repository)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("entry.json", b"{}")
    web.files["/repo/entry.jar"] = buffer.getvalue()
    with pytest.raises(InputError, match="not signed"):
        rows(tmp_path, repository)


@pytest.mark.corpus
@pytest.mark.skipif(shutil.which("fdroid") is None, reason="Debian's fdroidserver is not installed")
def test_a_repository_that_fdroidserver_built(corpus: Path, web: Any, tmp_path: Path) -> None:
    place = tmp_path / "built"
    (place / "repo").mkdir(parents=True)
    package = corpus / "apks" / "androguard__com.teleca.jamendo_35.apk"
    shutil.copy(package, place / "repo" / "com.teleca.jamendo_35.apk")
    subprocess.run(
        ["keytool", "-genkeypair", "-keystore", "keys.p12", "-storetype", "pkcs12", "-alias",
         "repo", "-storepass", "secret1", "-keypass", "secret1", "-keyalg", "RSA",
         "-keysize", "2048",
         "-dname", "CN=test"], cwd=place, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (place / "config.yml").write_text(
        "repo_url: https://example.org/repo\nrepo_name: test\nrepo_description: test\n"
        "repo_keyalias: repo\nkeystore: keys.p12\nkeystorepass: secret1\nkeypass: secret1\n"
        "keydname: CN=test\n"
    )
    (place / "config.yml").chmod(0o600)
    done = subprocess.run(
        ["fdroid", "update", "--create-metadata"], cwd=place, capture_output=True, text=True,
        timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    if not (place / "repo" / "entry.jar").is_file():
        pytest.skip(f"this fdroidserver makes no index of version 2: {done.stderr[-300:]}")
    for path in (place / "repo").rglob("*"):
        if path.is_file():
            web.files[f"/repo/{path.relative_to(place / 'repo')}"] = path.read_bytes()
    (row,) = rows(tmp_path, f"fdroid:{web.url}/repo")
    assert (row.status, row.package) == ("fetched", "com.teleca.jamendo")
    assert (tmp_path / "apps" / row.name).read_bytes() == package.read_bytes()
    with pytest.raises(InputError, match="signed by"):
        rows(tmp_path, f"fdroid:{web.url}/repo?fingerprint={'0' * 64}")


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown url type"):
        rows(tmp_path, "fdroid:somewhere")
