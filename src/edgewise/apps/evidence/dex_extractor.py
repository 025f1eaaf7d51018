"""Evidence in dex files: which classes are there, and which code gets to them."""

from __future__ import annotations

import re
from collections import defaultdict

from edgewise.apps.evidence import names
from edgewise.apps.evidence.contract import Context, Key, Sightings, Trace
from edgewise.apps.evidence.dex import MAGIC, Dex
from edgewise.apps.evidence.dex_code import Reading, Texts
from edgewise.apps.evidence.owners import is_short
from edgewise.apps.evidence.patterns import Compiled, compiled, has_classes, in_classes, is_class
from edgewise.apps.evidence.signatures import Signature
from edgewise.archive import Source
from edgewise.records import Grade, Reach

NAME = "dex"
#: Dex files that Android runs: at the root of an APK, and in `dex/` of a bundle's module.
_RUN = re.compile(r"(?:[^/]+/dex/)?classes[0-9]*\.dex")
_NATIVE_METHOD = 0x100
_SAMPLED = 200
_SHOWN = 300
#: Detail of classes that should call a native library and have no method to do so.
NO_NATIVE = "no native methods"


def wants(inside: str, head: bytes) -> bool:
    """See `Extractor.wants`: a dex file at another place is data until code loads it."""
    return head.startswith(MAGIC) and _RUN.fullmatch(inside) is not None


def extract(file: Source, inside: str, context: Context, found: Sightings) -> None:
    """See `Extractor.extract`."""
    dex = Dex(file.data())
    found.code_read += 1
    _trailing(dex, inside, found)
    _count_short(dex, found)
    texts = _search(dex, context)
    reading = Reading(dex, context, texts, inside)
    _classes(dex, inside, context, reading, found)
    reading.read()
    _report(dex, reading, inside, found)


def _trailing(dex: Dex, inside: str, found: Sightings) -> None:
    behind = len(dex.trailing)
    if 0 < dex.size < len(dex.data) and behind > 4096 and any(dex.trailing[:4096]):
        found.notes.append(
            f"{inside}: {behind:,} bytes follow the end of the dex: a packer may keep code there"
        )


def _count_short(dex: Dex, found: Sightings) -> None:
    types = dex.class_types
    for index in types[:: max(1, len(types) // _SAMPLED)].tolist():
        name = dex.type_name(int(index))
        found.classes += 1
        found.short_classes += is_short(name.rpartition(".")[2])


def _search(dex: Dex, context: Context) -> Texts:
    """What of interest stands in the strings, by the number of the string."""
    known = compiled(context.signatures)
    index = known.strings
    texts = Texts()
    for hit in dex.search(index.patterns):
        if hit.pattern >= len(index.rules):
            texts.endings.add(hit.string)
            continue
        rule = index.rules[hit.pattern]
        raw = dex.raw_string(hit.string)
        assert rule.accepts is not None
        if is_class(rule):
            if hit.offset == 0 and rule.accepts.match(raw):
                texts.classes.add(hit.string)
        elif rule.literal.decode() in rule.signature.texts:
            texts.messages[hit.string].add(rule.signature)
        else:
            _names_and_hosts(raw, hit.string, known, texts)
    for model in context.models:
        for written in names.written_as(model):
            if (string := dex.find_string(written)) is not None:
                texts.models.add(string)
    for stem in context.stems:
        for written in (stem, f"lib{stem}.so"):
            if (string := dex.find_string(written)) is not None:
                texts.stems[string] = stem
    return texts


def _names_and_hosts(raw: bytes, string: int, known: Compiled, texts: Texts) -> None:
    """Of a string in which a name or a host stands: which of them all, since of literals that
    overlap only one is a hit."""
    for rule in known.names:
        if raw.startswith(rule.literal) and rule.accepts and rule.accepts.fullmatch(raw):
            texts.names[string].add(rule.signature)
    for rule in known.hosts.rules:
        if rule.literal in raw and rule.accepts and rule.accepts.search(raw):
            texts.hosts[string].add(rule.signature)


def _classes(
    dex: Dex, inside: str, context: Context, reading: Reading, found: Sightings
) -> None:  # fmt: skip
    """What is defined here, by signature; whether any of it is native."""
    if not reading.types:
        return
    defined = set(dex.class_types.tolist())
    native = _types_with_native(dex)
    by_signature: defaultdict[Key, list[int]] = defaultdict(list)
    known: dict[Key, Signature] = {}
    for kind, name in reading.types.items():
        for signature in context.signatures:
            if not has_classes(signature, name):
                continue
            if context.owners.is_demo(name, signature.classes):
                continue
            reading.is_of[kind].append(signature)
            if kind in defined:
                key: Key = (signature.kind, signature.name)
                by_signature[key].append(kind)
                known[key] = signature
    for key, types in by_signature.items():
        signature = known[key]
        calls_native = any(kind in native for kind in types)
        detail = "" if calls_native or not _is_native(signature) else NO_NATIVE
        found.traces.append(Trace(signature.kind, signature.name, "class", inside, detail))


def _types_with_native(dex: Dex) -> set[int]:
    bodies = dex.bodies
    return set(bodies.type[(bodies.flags & _NATIVE_METHOD) > 0].tolist())


def _is_native(signature: Signature) -> bool:
    """Whether a thing's Java classes are a door to a native library."""
    return any(export.startswith("Java_") for export in signature.exports)


def _report(dex: Dex, reading: Reading, inside: str, found: Sightings) -> None:
    for (signature, owner), reach in reading.reached.items():
        found.traces.append(
            Trace(signature.kind, signature.name, "class", inside, "", reach, owner, present=False)
        )
    for (signature, owner), members in reading.called.items():
        detail = f"{', '.join(sorted(members))} used"
        found.traces.append(
            Trace(signature.kind, signature.name, "class", inside, detail, "referenced", owner)
        )
    for string, signatures in reading.texts.messages.items():
        _report_text(reading, inside, found, string, signatures, "string")
    for string, signatures in reading.texts.hosts.items():
        _report_text(reading, inside, found, string, signatures, "url")
    for (signature, owner), asked in reading.asked.items():
        detail = f"code asks whether {', '.join(sorted(asked))} exists"
        found.traces.append(
            Trace(signature.kind, signature.name, "string", inside, detail, None, owner)
        )
    for stem, owner in reading.loads:
        found.loads[stem].add(owner)
    found.namings += reading.namings
    addresses = {text for i in reading.texts.endings if names.to_fetch(text := dex.string(i))}
    for text in sorted(addresses):
        found.notes.append(f"{inside} names a model to fetch: {output_safe(text)}")


def _report_text(
    reading: Reading, inside: str, found: Sightings, string: int, signatures: set[Signature],
    grade: Grade,
) -> None:  # fmt: skip
    """A text that stands in the dex: by whom it is used, if code uses it at all."""
    text = reading.dex.string(string)[:_SHOWN]
    users = reading.users[string]
    for signature in signatures:
        owners = {owner for name, owner in users if not in_classes(name, signature.own)}
        if users and not owners:
            continue  # only the SDK itself: what tells is its class
        reach: Reach = "referenced" if owners else "unreferenced"
        for owner in owners or (None,):
            found.traces.append(
                Trace(signature.kind, signature.name, grade, inside, text, reach, owner)
            )


def output_safe(text: str) -> str:
    """A text from a stranger, at a length that a note can have."""
    return text[:_SHOWN]
