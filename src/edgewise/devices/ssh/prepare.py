"""What a board needs: this package, and the runtimes at the versions that are installed here."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shlex
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from edgewise.devices.ssh.client import Ssh
from edgewise.errors import DeviceError

#: Below the home folder there.
FOLDER = ".cache/edgewise"
_MARKER = f"{FOLDER}/board.json"
#: Rooms that a worker needs nothing of; what is left is 3 MB.
_LEFT_OUT = ("demo", "report")
_NEEDED = ("msgspec", "numpy")
#: For `place`, which prepares photos there.
_USEFUL = ("pillow",)
_RUNTIMES = ("ai-edge-litert", "onnxruntime", "openvino", "ncnn", "MNN")
_LEAST = (3, 11)
_INSTALL_S = 1800.0


@functools.cache
def package() -> tuple[bytes, str]:
    """This package as an archive that is the same every time, and its content address."""
    root = Path(__file__).resolve().parents[2]
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for file in sorted(root.rglob("*")):
            name = file.relative_to(root)
            if name.parts[0] in _LEFT_OUT or "__pycache__" in name.parts or not file.is_file():
                continue
            entry = tarfile.TarInfo(str(PurePosixPath("edgewise", *name.parts)))
            entry.size = file.stat().st_size
            with file.open("rb") as stream:
                archive.addfile(entry, stream)
    data = content.getvalue()
    return data, hashlib.sha256(data).hexdigest()[:16]


def read_marker(ssh: Ssh) -> dict[str, str]:
    """What `prepare` left there: the Python to use, the package's address; empty: nothing.

    Raises:
        DeviceError: the board cannot be reached.
    """
    said = ssh.run(f"cat {_MARKER} 2>/dev/null || true")
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def put_package(ssh: Ssh, python: str) -> str:
    """Have this version of the package there; its folder below the home folder.

    Raises:
        DeviceError: it cannot be copied.
    """
    data, address = package()
    folder = f"{FOLDER}/{address}"
    if ssh.run(f"test -d {folder}/edgewise && echo there || true").strip() != "there":
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            file.write(data)
            file.flush()
            ssh.put(Path(file.name), f"{FOLDER}/{address}.tar")
        code = (
            f"import tarfile; tarfile.open('{FOLDER}/{address}.tar').extractall("
            f"'{folder}.part', filter='data')"
        )
        ssh.run(
            f"rm -rf {folder}.part && {shlex.quote(python)} -c {shlex.quote(code)} && "
            f"mv {folder}.part {folder} && rm {FOLDER}/{address}.tar"
        )
    return folder


def prepare(ssh: Ssh, python: str | None = None) -> Iterator[str]:
    """Put the worker and the runtimes there, telling what is done. With `python`, one that has the
    runtimes already is used; else a virtual environment is made below the home folder.

    Raises:
        DeviceError: something is missing there, with what to do about it.
    """
    base = python or "python3"
    version = _version(ssh, base)
    yield f"Python {'.'.join(map(str, version))} there"
    if python is None:
        folder = f"{FOLDER}/venv"
        pins = [
            f"{name}=={found}"
            for name in (*_NEEDED, *_RUNTIMES, *_USEFUL)
            if (found := _here(name))
        ]
        yield f"installing {', '.join(pins)}"
        _install(ssh, base, folder, pins)
        python = ssh.run(f"echo $HOME/{folder}/bin/python").strip()
    folder = put_package(ssh, python)
    marker = json.dumps({"python": python})
    ssh.run(f"printf %s {shlex.quote(marker)} >{_MARKER}")
    yield f"the worker is in ~/{folder}, its Python is {python}"


def _here(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _version(ssh: Ssh, python: str) -> tuple[int, ...]:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        said = ssh.run(f"{shlex.quote(python)} -c {shlex.quote(code)}")
        version = tuple(map(int, said.split()[-2:]))
    except (DeviceError, ValueError) as error:
        raise DeviceError(
            f"no Python there: {error}", hint="apt-get install python3-venv"
        ) from error
    if version < _LEAST:
        least = ".".join(map(str, _LEAST))
        raise DeviceError(f"Python there is {'.'.join(map(str, version))}, {least} is needed")
    return version


def _install(ssh: Ssh, python: str, folder: str, pins: list[str]) -> None:
    """The pinned packages: each runtime that has no wheel for the board is left out, not all."""
    ssh.run(f"test -x {folder}/bin/python || {shlex.quote(python)} -m venv {folder}", seconds=120)
    pip = f"{folder}/bin/python -m pip install --quiet --only-binary :all:"
    failed = []
    for pin in pins:
        try:
            ssh.run(f"{pip} {shlex.quote(pin)}", seconds=_INSTALL_S)
        except DeviceError as error:
            if pin.partition("==")[0] in _NEEDED:
                raise DeviceError(
                    f"{pin} cannot be installed there: {error.message}",
                    hint="without network there: install it by hand, then give its --python",
                ) from error
            failed.append(pin)
    if len(failed) == sum(pin.partition("==")[0] in _RUNTIMES for pin in pins):
        raise DeviceError(f"no runtime can be installed there: {', '.join(failed)}")
