"""Evidence in native libraries: what they are called, export, ask for and say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from edgewise.apps.evidence import names
from edgewise.apps.evidence.addresses import address_at
from edgewise.apps.evidence.contract import Context, Key, Library, Naming, Sightings, Trace
from edgewise.apps.evidence.elf import MACHINES, MAGIC, Elf
from edgewise.apps.evidence.macho import MAGICS, MachO
from edgewise.apps.evidence.matching import Patterns
from edgewise.apps.evidence.patterns import Index, compiled
from edgewise.apps.evidence.signatures import Signature
from edgewise.archive import Source
from edgewise.records import Grade, Model, Owner

NAME = "native"
_ABI = re.compile(r"(?:^|/)(?:lib|jni|libs|bin)/([^/]+)/[^/]+$")
#: How far a pattern of a version is looked for.
_VERSION_BYTES = 64 << 20
#: MLC's compiled models: `llama_q4f16_0_<hash of the model>_…` (its `system_lib_prefix`).
_COMPILED = re.compile(rb"\0((?:[a-z0-9]+_)+q[0-9]+(?:f|bf)[0-9]+(?:_[0-9a-z]+)?_[0-9a-f]{32})_")


def wants(inside: str, head: bytes) -> bool:
    """See `Extractor.wants`: whatever it is called and wherever it lies."""
    if head.startswith(MAGIC):
        return True
    return head.startswith(MAGICS) and not inside.endswith(".class")


class _Binary(NamedTuple):
    """What both formats give."""

    soname: str | None
    machine: str
    needed: tuple[str, ...]
    #: Hits in names of symbols: rule number, text, whether it is defined here.
    exports: tuple[tuple[int, bool], ...]
    versions: tuple[str, ...]
    constants: tuple[memoryview, ...]
    names: memoryview


def extract(file: Source, inside: str, context: Context, found: Sightings) -> None:
    """See `Extractor.extract`."""
    data = file.data()
    known = compiled(context.signatures)
    binary = _elf(data, known.exports) if bytes(data[:4]) == MAGIC else _macho(data, known.exports)
    abi = _abi(inside, binary.machine)
    library_names = frozenset(filter(None, (inside.rpartition("/")[2], binary.soname)))
    told = _told(binary, library_names, context)
    hosts = _constants(binary, context, told)
    owner = _owner(binary, context)
    holds: dict[Key, str] = {}
    for signature, why in told.items():
        version = _version(binary, signature)
        detail = "; ".join(filter(None, (version, _how(why, library_names, signature))))
        holds[signature.kind, signature.name] = detail
        in_assets = signature.kind == "packer" and not _ABI.search(inside)
        grade: Grade = "asset" if in_assets else "native_lib"
        found.traces.append(Trace(signature.kind, signature.name, grade, inside, detail))
    for signature, text in hosts:
        found.traces.append(Trace(signature.kind, signature.name, "url", inside, text))
    rules = known.exports.rules
    imported = {rules[number].signature for number, defined in binary.exports if not defined}
    found.libraries.append(
        Library(
            inside, library_names, abi, len(data), binary.needed,
            frozenset((s.kind, s.name) for s in imported), owner, holds,
            frozenset((s.kind, s.name) for s, why in told.items() if "name" in why),
        )
    )  # fmt: skip
    found.namings += _namings(binary, inside, context, owner)
    found.models += _compiled_models(file, binary)


def _elf(data: memoryview, index: Index) -> _Binary:
    elf = Elf(data)
    import numpy as np

    offsets, defined = elf.symbols
    order = np.argsort(offsets, kind="stable")
    ordered, shown = offsets[order], defined[order]
    exports = []
    for pattern, start in index.patterns.find(elf.names):
        row = int(np.searchsorted(ordered, start))
        if row >= len(ordered) or ordered[row] != start:
            continue  # it stands within a longer name
        rule = index.rules[pattern]
        if rule.accepts is not None and rule.accepts.match(elf.name_at(start).encode()):
            last = int(np.searchsorted(ordered, start, "right"))
            exports.append((pattern, bool(shown[row:last].any())))
    return _Binary(
        elf.soname, MACHINES.get(elf.machine, str(elf.machine)), elf.needed, tuple(exports),
        tuple(elf.versions()), tuple(elf.constants()), elf.names,
    )  # fmt: skip


def _macho(data: memoryview, index: Index) -> _Binary:
    macho = MachO(data)
    exports = []
    for pattern, start in index.patterns.find(macho.names):
        before = start - 1 if start and macho.names[start - 1] == ord("_") else start
        rule = index.rules[pattern]
        text = bytes(macho.names[start : start + 1024]).split(b"\0", 1)[0]
        own = before in macho.defined or start in macho.defined
        if own and rule.accepts is not None and rule.accepts.match(text):
            exports.append((pattern, True))
    return _Binary(
        None, macho.machine, tuple(macho.needed), tuple(exports), (), tuple(macho.constants()),
        macho.names,
    )  # fmt: skip


def _told(
    binary: _Binary, library_names: frozenset[str], context: Context
) -> defaultdict[Signature, set[str]]:
    """The signatures that a library bears, and by what: `name`, `export`, `import`."""
    known = compiled(context.signatures)
    told: defaultdict[Signature, set[str]] = defaultdict(set)
    for name in library_names:
        for signature in known.libraries.of(name):
            told[signature].add("name")
    for number, defined in binary.exports:
        if defined:
            told[known.exports.rules[number].signature].add("export")
    for name in binary.needed:
        for signature in known.imports.of(name):
            told[signature].add("import")
    return told


def _constants(
    binary: _Binary, context: Context, told: defaultdict[Signature, set[str]]
) -> set[tuple[Signature, str]]:
    """Add what its data tells to `told`; the endpoints in it."""
    index = compiled(context.signatures).constants
    hosts: set[tuple[Signature, str]] = set()
    for data in binary.constants:
        for pattern, start in index.patterns.find(data):
            rule = index.rules[pattern]
            if rule.accepts is None:
                told[rule.signature].add("text")
            elif (text := address_at(data, start, rule.accepts)) is not None:
                hosts.add((rule.signature, text))
    return hosts


def _version(binary: _Binary, signature: Signature) -> str | None:
    if signature.symbol_version:
        for version in binary.versions:
            if version.startswith(signature.symbol_version):
                return version.removeprefix(signature.symbol_version)
    if not signature.version:
        return None
    pattern = re.compile(signature.version.encode())
    for data in binary.constants:
        first = pattern.match(b"\0" + bytes(data[:128]))
        found = first or pattern.search(data[:_VERSION_BYTES])
        if found is not None:
            return found[1].decode()
    return None


def _how(why: set[str], library_names: frozenset[str], signature: Signature) -> str | None:
    if why == {"text"}:
        return "linked in, told by its texts"
    if why == {"name"} and (signature.exports or signature.native_texts):
        return "told by its name only"
    return None


def _abi(inside: str, machine: str) -> str:
    match = _ABI.search(inside)
    return match[1] if match and machine != "hexagon" else machine


def _owner(binary: _Binary, context: Context) -> Owner | None:
    """Whose a library is, by the Java classes that it has methods of."""
    for match in re.finditer(rb"\0Java_([A-Za-z0-9_]+)", b"\0" + bytes(binary.names[: 1 << 22])):
        name = match[1].decode().replace("_1", "\1").replace("_", ".").replace("\1", "_")
        return context.owners.owner(name)
    return None


def _namings(
    binary: _Binary, inside: str, context: Context, owner: Owner | None
) -> Iterator[Naming]:
    """Models that a library names."""
    written = sorted({text for model in context.models for text in names.written_as(model)})
    if not written:
        return
    patterns = Patterns([text.encode() for text in written])
    seen: set[int] = set()
    for data in binary.constants:
        for pattern, _ in patterns.find(data):
            if pattern not in seen:
                seen.add(pattern)
                yield Naming(written[pattern], inside, owner)


def _compiled_models(file: Source, binary: _Binary) -> list[Model]:
    """Networks that were compiled into a library: code, of which only that it is one is certain."""
    found = sorted({m[1].decode() for m in _COMPILED.finditer(b"\0" + bytes(binary.names))})
    return [
        Model(
            path=f"{file.path}@{name}", format="tvm", status="opaque", name=name,
            reason="compiled to machine code: only its exports tell that it is there",
        )
        for name in found
    ]  # fmt: skip
