"""One app, start to end: from a path to the record of what is inside."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec

from edgewise.apps import package
from edgewise.apps.discover import Search, coverage
from edgewise.apps.evidence import signatures
from edgewise.apps.evidence.collect import Collector, Findings
from edgewise.apps.manifest import Identity, identify
from edgewise.apps.summaries import Summaries
from edgewise.archive import (
    Archive,
    Budget,
    Bundle,
    DiskFile,
    Limits,
    Source,
    open_archive,
    open_file,
    opens_as_archive,
    opens_as_bundle,
    walk_files,
)
from edgewise.archive.remote import is_url, storage
from edgewise.errors import EdgewiseError, InputError, MalformedArchive, MissingExtra
from edgewise.formats import registry
from edgewise.formats.candidates import is_candidate
from edgewise.records import App, Model, PackageKind

#: Manifests of a bundle's modules.
_MODULE = re.compile(r"[^/]+/manifest/AndroidManifest\.xml")
#: How the file is called that says where a package came from.
LISTING = ".listing.json"
_LISTING_BYTES = 1 << 20
_WORTH_A_THREAD = 1 << 18


@dataclass(frozen=True, slots=True)
class Target:
    """Something to scan that gives one app: a package, or the files of a folder.

    `error` is set where it was found that it cannot be.
    """

    path: str
    files: tuple[DiskFile, ...] | None = None
    error: str | None = None


def targets(path: str, limits: Limits | None = None) -> list[Target]:
    """What there is to scan at a path.

    - a file or a URL: itself
    - a URL that ends in `/`: the packages below it, as far as its kind can be listed
    - a folder that is an app taken apart (it has a manifest): the folder, as one app
    - any other folder: every package below it, and its other files together as one more app if
      models are among them, or if there is no package at all
    """
    folder = Path(path)
    if is_url(path) and path.endswith("/"):
        return _targets_at(path)
    if not folder.is_dir():
        return [Target(path)]
    try:
        return _targets_in(path, folder, limits or Limits())
    except EdgewiseError as error:
        return [Target(path, error=str(error))]


def _targets_at(url: str) -> list[Target]:
    """The packages below a place of object storage."""
    try:
        system, place = storage().core.url_to_fs(url)
        found = sorted(system.find(place))
    except MissingExtra as error:
        return [Target(url, error=str(error))]
    except ImportError as error:
        hint = "install the package that fsspec needs for this kind of URL"
        return [Target(url, error=f"{url}: {error} ({hint})")]
    except Exception as error:  # noqa: BLE001  every kind of storage raises its own
        return [Target(url, error=f"{url}: cannot be listed: {error}")]
    endings = (*package.EXTENSIONS, *package.PACKED)
    names = [name for name in found if name.lower().endswith(endings)]
    return [Target(system.unstrip_protocol(name)) for name in names]


def _targets_in(path: str, folder: Path, limits: Limits) -> list[Target]:
    if package.is_unpacked(folder):
        return [Target(path, tuple(walk_files(folder)))]
    packages, loose = package.sort_folder(folder, limits)
    found = [Target(path) for path in packages]
    if not packages or any(_may_be_model(file) for file in loose):
        found.append(Target(path, tuple(loose)))
    return found


def scan_package(path: str, limits: Limits | None = None) -> App:
    """Scan one package, or a folder as one app. `error` is set where it cannot be opened."""
    try:
        files = tuple(walk_files(path)) if Path(path).is_dir() else None
    except EdgewiseError as error:
        return App(path=path, error=str(error))
    return scan_target(Target(path, files), limits)


def scan_target(
    target: Target, limits: Limits | None = None, summaries: Summaries | None = None
) -> App:
    """Scan one target. `error` is set where it cannot be opened. `summaries` has models that were
    read before."""
    budget = Budget(limits)
    if target.error is not None:
        return App(path=target.path, error=target.error)
    try:
        if target.files is not None:
            return _scan_files(target.path, target.files, budget, summaries)
        return _scan_file(open_file(target.path, limits), budget, summaries)
    except EdgewiseError as error:
        return App(path=target.path, error=str(error))


def _scan_file(file: Source, budget: Budget, summaries: Summaries | None) -> App:
    known: dict[str, Any] = {
        "path": file.path, "size_bytes": file.size, "listing": _listing(file),
    }  # fmt: skip
    try:
        _refuse_model(file)
        archive = open_archive(file, budget)
    except EdgewiseError as error:
        # What is no package is not read for minutes only to be told apart from others.
        small = file.size <= budget.limits.entry_bytes
        known["sha256"] = file.sha256() if small else None
        known["notes"] = (
            () if small else ("not hashed: too large for something that is no package",)
        )
        return App(**known, error=str(_explained(file, error)))
    sha256 = _hashed_meanwhile(file)
    names = frozenset(archive.names())
    kind = package.kind_of(names, file.name)
    collector = Collector()
    parts: list[Identity] = []
    if kind in package.SPLIT:
        search = Search(
            budget, lambda inner: parts.extend(_identity_of_part(inner)), collector.entry,
            summaries,
        )  # fmt: skip
        search.archive(archive)
        identity = _base(parts)
    else:
        search = Search(budget, on_entry=collector.entry, summaries=summaries)
        search.archive(archive)
        identity = identify(kind, names, archive.get)
        parts = [identity, *_modules(kind, names, archive)]
    findings = collector.findings(search.models, parts, file.path)
    notes = (*_naming(kind, file.name, archive), *identity.notes, *search.notes)
    return _app({**known, "sha256": sha256()}, kind, identity, search, findings, notes)


def _modules(
    kind: PackageKind, names: Collection[str], archive: Archive | Bundle
) -> Iterator[Identity]:
    """What the manifests of a bundle's other modules declare."""
    if kind == "aab":
        for name in sorted(names):
            if _MODULE.fullmatch(name) and not name.startswith("base/"):
                yield identify(kind, (name,), archive.get)


def _listing(file: Source) -> dict[str, str]:
    """What the place that a package was fetched from says of it, which `fetch` writes beside it."""
    beside = file.sibling(f"{file.name}{LISTING}") if isinstance(file, DiskFile) else None
    if beside is None or beside.size > _LISTING_BYTES:
        return {}
    try:
        return msgspec.json.decode(bytes(beside.data()), type=dict[str, str])
    except (msgspec.DecodeError, EdgewiseError):
        return {}


def _refuse_model(file: Source) -> None:
    """A model that has an archive appended (TFLite's metadata) is no package.

    Raises:
        MalformedArchive: by its first bytes it is a model.
    """
    head = file.head(registry.HEAD_BYTES)
    if opens_as_archive(head) or opens_as_bundle(head):
        return
    if registry.recognise(head, "") is not None:
        raise MalformedArchive(f"{file.path}: not an app package")


def _hashed_meanwhile(file: Source) -> Callable[[], str]:
    """Hash a large file on another thread; the result waits for it.

    Hashing is a third of the work on a large package. On a small one a thread costs more than the
    hash.
    """
    file.region()  # fails here, if it does
    if file.size < _WORTH_A_THREAD:
        return file.sha256
    thread = Thread(target=file.sha256, daemon=True)
    thread.start()

    def result() -> str:
        thread.join()
        return file.sha256()  # known by now

    return result


def _scan_files(
    path: str, files: Sequence[DiskFile], budget: Budget, summaries: Summaries | None
) -> App:
    folder = Path(path)
    collector = Collector()
    search = Search(budget, on_entry=collector.entry, summaries=summaries)
    search.files(files, path)
    identity = Identity()
    if package.is_unpacked(folder):
        inside = {file.path: file for file in files}
        names = [Path(file).relative_to(folder).as_posix() for file in inside]
        identity = identify(
            package.kind_inside(folder), names, lambda name: inside.get(str(folder / name))
        )
    known: dict[str, Any] = {
        "path": path,
        "sha256": _listing_hash(folder, files, search.models),
        "size_bytes": sum(file.size for file in files),
    }
    findings = collector.findings(search.models, [identity], path)
    notes = (*identity.notes, *search.notes)
    return _app(known, "folder", identity, search, findings, notes)


def _app(
    known: dict[str, Any], kind: PackageKind, identity: Identity, search: Search,
    findings: Findings, notes: Iterable[str],
) -> App:  # fmt: skip
    return App(
        **known,
        kind=kind,
        package=identity.package,
        version_name=identity.version_name,
        version_code=identity.version_code,
        label=identity.label,
        min_sdk=identity.min_sdk,
        target_sdk=identity.target_sdk,
        models=findings.models,
        evidence=findings.evidence,
        signatures=signatures.version(),
        coverage=coverage(findings.models, search),
        notes=(*notes, *findings.notes),
    )


def _identity_of_part(archive: Archive | Bundle) -> list[Identity]:
    """Who an APK directly inside a package says it is. Other archives say nothing."""
    if archive.depth != 1:
        return []
    names = frozenset(archive.names())
    kind = package.kind_of(names, archive.path)
    return [identify(kind, names, archive.get)] if kind == "apk" else []


def _base(parts: list[Identity]) -> Identity:
    """The identity of a split app: that of the part which is no split."""
    if not parts:
        return Identity(notes=("no APK inside could be read",))
    return next((part for part in parts if part.split is None), parts[0])


def _naming(kind: PackageKind, name: str, archive: Archive | Bundle) -> list[str]:
    if not len(archive):
        return ["the archive is empty"]
    if isinstance(archive, Bundle):
        return [f"{archive.kind}, opened as a zip would be"]
    extension = Path(name).suffix.lower()
    if extension in package.EXTENSIONS and extension != f".{kind}":
        return [f"named {extension}, but by its content a {kind}"]
    return []


def _explained(file: Source, error: EdgewiseError) -> EdgewiseError:
    """Add what a file that is no package seems to be."""
    head = file.head(512)
    if not isinstance(error, MalformedArchive) or opens_as_archive(head):
        return error
    hint = next(package.described(head, file.name), "expected an app package")
    return InputError(error.message, hint=hint)


def _listing_hash(folder: Path, files: Iterable[DiskFile], models: Iterable[Model]) -> str:
    """Stands for a folder's content: names and sizes of its files, and the models' hashes.

    Reading every byte of a folder for a hash could take minutes and would change nothing found.
    """
    digest = hashlib.sha256()
    for file in files:
        name = Path(file.path).relative_to(folder).as_posix()
        digest.update(f"{name}\0{file.size}\n".encode(errors="surrogateescape"))
    for model in models:
        digest.update(f"{model.sha256}\n".encode())
    return digest.hexdigest()


def _may_be_model(file: DiskFile) -> bool:
    try:
        return is_candidate(file)
    except EdgewiseError:
        return True  # so that it is reported
