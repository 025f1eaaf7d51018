"""Each signature finds its own examples, and not what only looks like them."""

from __future__ import annotations

import re

import pytest

from edgewise.apps.evidence.patterns import (
    Compiled,
    Index,
    glob,
    has_classes,
)
from edgewise.apps.evidence.signatures import Example, Signature, read, signatures
from edgewise.errors import UsageError

CASES = [(signature, example) for signature in signatures() for example in signature.example]


def hits(index: Index, text: str) -> bool:
    data = text.encode()
    return any(
        rule.accepts is None or rule.accepts.search(data)
        for found in index.patterns.find(data)
        if found.pattern < len(index.rules) and (rule := index.rules[found.pattern])
    )


def matches(signature: Signature, where: str, value: str) -> bool:
    """Whether a signature finds a value, by the rules that the extractors go by."""
    known = Compiled((signature,))
    match where:
        case "classes":
            return has_classes(signature, value)
        case "exports":
            return any(
                rule.accepts is not None and rule.accepts.match(value.encode())
                for rule in known.exports.rules
            )
        case "native_texts":
            return hits(known.constants, value)
        case "hosts":
            return hits(known.hosts, value)
        case "web":
            return any(pattern.search(value.encode()) for pattern, _ in known.web)
        case "calls":
            return any(pattern.match(value) for pattern, _, _ in known.calls)
        case "files":
            return any(text in value for text in signature.files)
        case "libraries" | "imports" | "manifest":
            return bool(getattr(known, where).of(value))
        case "assets":
            return any(pattern.match(value) for pattern, _ in known.assets)
    raise AssertionError(f"{signature.name}: nothing tests examples of {where}")


@pytest.mark.parametrize(
    ("signature", "example"), CASES, ids=[f"{s.name}-{e.where}" for s, e in CASES]
)
def test_examples(signature: Signature, example: Example) -> None:
    assert matches(signature, example.where, example.value)
    if example.not_value:
        assert not matches(signature, example.where, example.not_value)


def test_every_signature_has_a_source_and_an_example() -> None:
    for signature in signatures():
        assert signature.source and signature.example, signature.name


def test_names_are_unique_within_a_kind() -> None:
    keys = [(signature.kind, signature.name) for signature in signatures()]
    assert len(keys) == len(set(keys))


def test_patterns_are_well_formed() -> None:
    known = Compiled(signatures())
    assert all(rule.literal for rule in (*known.strings.rules, *known.constants.rules))
    for signature in signatures():
        re.compile(signature.version.encode())


@pytest.mark.parametrize(
    "text", ["[[signature]]\nkind = 'framework'\n", "x = [", "[[signature]]\nkind = 'nonsense'\n"]
)
def test_a_wrong_file_is_told_by_its_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml"):
        read(text, "mine.toml")


def test_globs() -> None:
    assert glob("libx*.so").match("libx-2.so")
    assert not glob("libx*.so").match("a/libx.so")
    assert glob("**/ijm_lib/**").match("assets/ijm_lib/a/b.so")
    assert not glob("**/ijm_lib/**").match("assets/my_ijm_lib/a")
