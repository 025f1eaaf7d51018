"""The evidence of one app: entries are set aside while it is searched, and looked at afterwards.

Afterwards, because only then the models, the parts of a split app and their names are known.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from edgewise.apps.evidence import names, notes, verdict
from edgewise.apps.evidence.contract import Context, Extractor, Sightings, Trace
from edgewise.apps.evidence.owners import Owners
from edgewise.apps.evidence.patterns import compiled, has_classes, is_class
from edgewise.apps.evidence.registry import extractors
from edgewise.apps.evidence.signatures import Signature, signatures
from edgewise.apps.manifest import Identity
from edgewise.archive import Source
from edgewise.errors import EdgewiseError
from edgewise.records import Evidence, Model, Reach

#: What tables that lie lead to, in the readers of code.
_DAMAGE = (ValueError, IndexError, KeyError, OverflowError, struct.error)
_CLASS_FILE = b"\xca\xfe\xba\xbe"
#: Files that describe a package, and say what packed it.
_DESCRIBING = "META-INF/MANIFEST.MF"
_DESCRIBING_BYTES = 1 << 20
#: Classes of a library that are looked at.
_MOST_CLASSES = 200_000


class _Aside(NamedTuple):
    """An entry for an extractor."""

    extractor: Extractor
    file: Source
    inside: str


@dataclass(frozen=True)
class Findings:
    """What looking at an app's code and manifests has given."""

    evidence: tuple[Evidence, ...]
    models: tuple[Model, ...]
    notes: tuple[str, ...]


class Collector:
    """Takes the entries of an app as they come."""

    def __init__(self, known: tuple[Signature, ...] | None = None) -> None:
        self._signatures = signatures() if known is None else known
        self._compiled = compiled(self._signatures)
        self._aside: list[_Aside] = []
        self._class_files: list[str] = []
        self._stems: set[str] = set()
        self._found = Sightings()

    def entry(self, file: Source, inside: str, head: bytes) -> None:
        """Set an entry aside for the extractors that want it; `inside` is its path in its
        container."""
        for extractor in extractors():
            if extractor.wants(inside, head):
                self._aside.append(_Aside(extractor, file, inside))
                if extractor.NAME == "native":
                    self._stems.add(verdict.stem_of(inside))
        if head.startswith(_CLASS_FILE) and inside.endswith(".class"):
            if len(self._class_files) < _MOST_CLASSES:
                self._class_files.append(inside)
        elif inside == _DESCRIBING and file.size <= _DESCRIBING_BYTES:
            self._describing(file, inside)
        elif self._compiled.any_asset.match(inside):
            self._assets(inside)

    def findings(
        self, models: tuple[Model, ...], identities: Iterable[Identity], where: str
    ) -> Findings:
        """Look at what was set aside. `where` is the app's path, which places are told without."""
        parts = list(identities)
        packages = {part.package for part in parts if part.package}
        context = Context(
            self._signatures, Owners(sorted(packages)), models, frozenset(self._stems)
        )
        self._manifests(parts)
        self._java_classes(context)
        order = {extractor: number for number, extractor in enumerate(extractors())}
        self._aside.sort(key=lambda each: order[each.extractor])
        self._aside.reverse()
        while self._aside:  # taken off one by one: what an entry has inflated goes with it
            self._extract(self._aside.pop(), context, where)
        rows = verdict.evidence(self._found)
        every = (*models, *self._found.models)
        reached = tuple(_reached(model, self._found, rows) for model in every)
        return Findings(rows, reached, tuple(notes.notes(rows, reached, self._found, parts)))

    def _extract(self, aside: _Aside, context: Context, where: str) -> None:
        place = aside.file.path.removeprefix(where).removeprefix("!/").lstrip("/")
        try:
            aside.extractor.extract(aside.file, place, context, self._found)
        except EdgewiseError as error:
            reason = error.message.removeprefix(f"{aside.file.path}: ")
            self._found.notes.append(f"{place}: not searched for evidence: {reason}")
        except _DAMAGE as error:
            # Offsets and counts that contradict each other, in a file made or cut so.
            self._found.notes.append(
                f"{place}: not searched to its end for evidence: damaged ({type(error).__name__})"
            )

    def _assets(self, inside: str) -> None:
        for pattern, signature in compiled(self._signatures).assets:
            if pattern.match(inside):
                self._found.traces.append(Trace(signature.kind, signature.name, "asset", inside))

    def _describing(self, file: Source, inside: str) -> None:
        try:
            data = bytes(file.data())
        except EdgewiseError:
            return
        for signature in self._signatures:
            for text in signature.files:
                if text.encode() in data:
                    version = re.search(signature.version.encode(), data)
                    detail = version[1].decode() if signature.version and version else ""
                    self._found.traces.append(
                        Trace(signature.kind, signature.name, "string", inside, detail)
                    )

    def _manifests(self, parts: list[Identity]) -> None:
        known = compiled(self._signatures).manifest
        declared = {pair for part in parts for pair in part.declared}
        for name, value in sorted(declared):
            for signature in known.of(name):
                detail = f"{name} = {value}" if value else name
                self._found.traces.append(
                    Trace(signature.kind, signature.name, "manifest", "AndroidManifest.xml", detail)
                )

    def _java_classes(self, context: Context) -> None:
        """Classes of a library that was not compiled for Android yet: by their files' names."""
        if not self._class_files:
            return
        index = compiled(self._signatures).strings
        listed = b"\0".join(b"L" + n.removesuffix(".class").encode() + b";"
                            for n in self._class_files)  # fmt: skip
        told: set[Signature] = set()
        for pattern, start in index.patterns.find(b"\0" + listed):
            rule = index.rules[pattern]
            if not is_class(rule) or (b"\0" + listed)[start - 1] != 0 or rule.signature in told:
                continue
            name = listed[start:].split(b";", 1)[0].decode().replace("/", ".")
            if has_classes(rule.signature, name):
                told.add(rule.signature)
        self._found.traces += [Trace(s.kind, s.name, "class", "classes.jar") for s in told]


def _reached(model: Model, found: Sightings, rows: tuple[Evidence, ...]) -> Model:
    """A model with how code gets to it: None where code cannot tell."""
    reach: Reach | None = None
    mine = [n for n in found.namings if names.named(model, (n.text,))]
    if any(naming.loader for naming in mine):
        reach = "loaded"
    elif mine:
        reach = "referenced"
    elif found.code_read and names.can_be_named(model) and not _hidden(rows):
        reach = "unreferenced"
    if reach is None:
        return model
    notes = tuple(
        f"{naming.where} gives its path to {naming.loader}" for naming in mine if naming.loader
    )
    return msgspec.structs.replace(model, reach=reach, notes=(*model.notes, *notes[-1:]))


def _hidden(rows: tuple[Evidence, ...]) -> bool:
    return any(row.kind == "packer" for row in rows)
