"""The signature of a JAR as F-Droid signs its index: who signed, and that nothing was changed.

Format: the JAR file specification, "Signed JAR File"; RFC 5652 for the signature block.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_MOST_BYTES = 64 << 20
_BLOCK = re.compile(r"META-INF/[^/]+\.(RSA|EC|DSA)", re.I)
_DIGEST = re.compile(r"(SHA-?256|SHA-?512|SHA-?384)-Digest$")
_FOLDED = re.compile(r"\r?\n ")


def signed_entry(jar: Path, name: str, fingerprint: str | None) -> bytes:
    """An entry of a signed JAR.

    Args:
        jar: the file.
        name: of the entry.
        fingerprint: SHA-256 of the signer's certificate in hex, None where any signer will do.

    Raises:
        InputError: it is not signed, signed by somebody else, or was changed afterwards.
        MissingExtra: what checks signatures is not installed.
    """
    try:
        with zipfile.ZipFile(jar) as archive:
            names = archive.namelist()
            if len(names) != len(set(names)):
                raise InputError(f"{jar.name}: two entries of one name")
            block = next((each for each in names if _BLOCK.fullmatch(each)), None)
            if block is None:
                raise InputError(f"{jar.name}: is not signed")
            read = {each: _read(archive, each) for each in (
                name, "META-INF/MANIFEST.MF", f"{block.rpartition('.')[0]}.SF", block)}  # fmt: skip
    except (zipfile.BadZipFile, KeyError, OSError, NotImplementedError) as error:
        raise InputError(f"{jar.name}: is no signed JAR: {error}") from error
    content, manifest, signed, signature = read.values()
    certificate = _check_block(jar.name, signature, signed)
    found = hashlib.sha256(_der(certificate)).hexdigest()
    if fingerprint is not None and found != fingerprint:
        raise InputError(f"{jar.name}: signed by {found}, not by {fingerprint}")
    main = _sections(signed)[0]
    if not _matches(main, "-Manifest", manifest):
        raise InputError(f"{jar.name}: its manifest was changed after it was signed")
    section = next((each for each in _sections(manifest) if each.get("Name") == name), {})
    if not _matches(section, "", content):
        raise InputError(f"{jar.name}: {name} was changed after it was signed")
    return content


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise InputError(f"{name}: too large for a signed index")
    return archive.read(name)


def _sections(manifest: bytes) -> list[dict[str, str]]:
    """The attributes of a manifest by section, the main one first."""
    text = _FOLDED.sub("", manifest.decode("utf-8", "replace")).replace("\r\n", "\n")
    return [
        {key: value for key, _, value in (line.partition(": ") for line in part.splitlines())}
        for part in re.split(r"\n\n+", text.strip("\n"))
    ]


def _matches(section: dict[str, str], suffix: str, content: bytes) -> bool:
    for key, value in section.items():
        found = _DIGEST.fullmatch(key.removesuffix(suffix)) if key.endswith(suffix) else None
        if found is None:
            found = re.fullmatch(rf"(SHA-?(?:256|384|512))-Digest{suffix}", key)
        if found is not None:
            digest = hashlib.new(found[1].replace("-", "").lower(), content).digest()
            return base64.b64encode(digest).decode() == value.strip()
    return False


def _check_block(name: str, block: bytes, signed: bytes) -> Certificate:
    """Check the signature over the `.SF` file; the signer's certificate."""
    try:
        from asn1crypto import cms
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature
    except ImportError as error:
        raise MissingExtra("fetch", "checking the signature of an F-Droid repository") from error
    try:
        data = cms.ContentInfo.load(block)["content"]
        (signer,) = data["signer_infos"]
        serial = signer["sid"].chosen["serial_number"].native
        certificates = [x509.load_der_x509_certificate(each.chosen.dump())
                        for each in data["certificates"]]  # fmt: skip
        certificate = next(each for each in certificates if each.serial_number == serial)
        _verify(signer, certificate, signed)
    except InvalidSignature as error:
        raise InputError(f"{name}: its signature is wrong") from error
    except (ValueError, TypeError, KeyError, StopIteration, AttributeError) as error:
        raise InputError(f"{name}: its signature cannot be read: {error}") from error
    return certificate


def _verify(signer: Any, certificate: Certificate, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    kinds = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
    algorithm = signer["digest_algorithm"]["algorithm"].native
    if algorithm not in kinds:
        raise ValueError(f"the digest {algorithm}")
    message = signed
    if len(attributes := signer["signed_attrs"]):
        digest = next(
            each["values"][0].native for each in attributes
            if each["type"].native == "message_digest"
        )  # fmt: skip
        if digest != hashlib.new(algorithm, signed).digest():
            raise InvalidSignature
        message = attributes.untag().dump(force=True)
    key, signature = certificate.public_key(), signer["signature"].native
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), kinds[algorithm])
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(kinds[algorithm]))
    else:
        raise ValueError("a key that is neither RSA nor elliptic")


def _der(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
