"""Signatures made ready for searching: what each extractor looks for, compiled once.

Each index maps a literal that is searched for to the signatures it belongs to and the rule that a
hit must pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from typing import NamedTuple

from edgewise.apps.evidence import names
from edgewise.apps.evidence.matching import Patterns
from edgewise.apps.evidence.signatures import Signature, signatures

#: A label of a host, or the place where code puts one in (`%s`, `{region}`, `${0}`).
_LABEL = rb"(?:[A-Za-z0-9-]+|%(?:[0-9]\$)?[s@]|\$?\{[A-Za-z0-9_.]*\})"
#: What may stand before and behind a host for it to be an endpoint.
_SCHEME = rb"(?:(?:https?|wss?|grpcs?)://|^)"
_HOST_END = rb"(?=$|[/:?#\"'`\s\\)\x00-\x1f])"


class Rule(NamedTuple):
    """A literal with the signature it stands for, and the source of what decides about the whole
    text: few are ever needed, so that they are compiled when they are."""

    literal: bytes
    signature: Signature
    source: bytes | None = None

    @property
    def accepts(self) -> re.Pattern[bytes] | None:
        """Decides about the whole text; None where the literal is all."""
        return None if self.source is None else _compiled(self.source)


class Names:
    """Patterns of names: most are exact and found at once."""

    def __init__(self, patterns: Iterable[tuple[str, Signature]]) -> None:
        self._exact: dict[str, list[Signature]] = {}
        self._globs: list[tuple[re.Pattern[str], Signature]] = []
        for pattern, signature in patterns:
            if "*" in pattern:
                self._globs.append((glob(pattern), signature))
            else:
                self._exact.setdefault(pattern, []).append(signature)

    def of(self, name: str) -> list[Signature]:
        """The signatures that a name tells of."""
        found = list(self._exact.get(name, ()))
        return found + [signature for pattern, signature in self._globs if pattern.match(name)]


class Index:
    """Rules found by their literals; `more` are literals without a rule, numbered after them."""

    def __init__(self, rules: Iterable[Rule], more: Iterable[bytes] = ()) -> None:
        self.rules = tuple(rules)
        self.patterns = Patterns([*(rule.literal for rule in self.rules), *more])


class Compiled:
    """All that is searched for, of a set of signatures."""

    def __init__(self, known: tuple[Signature, ...]) -> None:
        self.known = known

    @cached_property
    def strings(self) -> Index:
        """In strings of dex files: descriptors of classes, their names as text, texts, hosts; and
        endings of models that may be fetched."""
        rules = [*self._classes(), *self._names(), *self._texts(), *self._hosts()]
        return Index(rules, names.FETCHED)

    @cached_property
    def names(self) -> tuple[Rule, ...]:
        """Names of classes as text."""
        return tuple(self._names())

    @cached_property
    def any_asset(self) -> re.Pattern[str]:
        """Any path that tells something: decided at once for almost every entry."""
        return re.compile("|".join(f"(?:{each.pattern})" for each, _ in self.assets) or "(?!)")

    @cached_property
    def exports(self) -> Index:
        """In names of symbols."""
        return Index(
            Rule(pattern.rstrip("*").encode(), signature, _whole(pattern))
            for signature in self.known
            for pattern in signature.exports
        )

    @cached_property
    def constants(self) -> Index:
        """In data of native libraries."""
        texts = (
            Rule(text.encode(), signature) for signature in self.known
            for text in signature.native_texts
        )  # fmt: skip
        return Index([*texts, *self._hosts()])

    @cached_property
    def hosts(self) -> Index:
        """In scripts and other texts."""
        return Index(self._hosts())

    @cached_property
    def libraries(self) -> Names:
        """Names of native libraries."""
        return Names((p, s) for s in self.known for p in s.libraries)

    @cached_property
    def imports(self) -> Names:
        """Names of libraries that others ask for."""
        return Names((p, s) for s in self.known for p in s.imports)

    @cached_property
    def assets(self) -> tuple[tuple[re.Pattern[str], Signature], ...]:
        """Paths of entries."""
        return tuple((glob(p), s) for s in self.known for p in s.assets)

    @cached_property
    def manifest(self) -> Names:
        """Names in manifests."""
        return Names((p, s) for s in self.known for p in s.manifest)

    @cached_property
    def web(self) -> tuple[tuple[re.Pattern[bytes], Signature], ...]:
        """In scripts."""
        return tuple((re.compile(p.encode()), s) for s in self.known for p in s.web)

    @cached_property
    def calls(self) -> tuple[tuple[re.Pattern[str], bool, Signature], ...]:
        """`Class.member`, and whether an argument must not be 0."""
        return tuple(
            (glob(pattern.removesuffix("=1")), pattern.endswith("=1"), signature)
            for signature in self.known
            for pattern in signature.calls
        )

    @cached_property
    def loaders(self) -> tuple[tuple[re.Pattern[str], Signature], ...]:
        """`Class.member` that load a model."""
        return tuple((glob(p), s) for s in self.known for p in s.loaders)

    def _classes(self) -> Iterator[Rule]:
        for signature in self.known:
            for name in {*signature.classes, *_call_classes(signature)}:
                # The longest part that is certain; `accepts` is asked with the whole descriptor.
                literal = b"L" + name.rstrip("*").replace(".", "/").encode()
                yield Rule(literal, signature, _descriptor(name))

    def _names(self) -> Iterator[Rule]:
        for signature in self.known:
            for name in signature.classes:
                literal = name.rstrip("*").encode()
                rest = rb"[\w.$]+$" if name.endswith((".", "*")) else rb"(?:\$[\w$]+)?$"
                yield Rule(literal, signature, re.escape(literal) + rest)

    def _texts(self) -> Iterator[Rule]:
        for signature in self.known:
            for text in signature.texts:
                yield Rule(text.encode(), signature, b"")

    def _hosts(self) -> Iterator[Rule]:
        for signature in self.known:
            for host in signature.hosts:
                yield Rule(_literal(host), signature, _host(host))


def is_class(rule: Rule) -> bool:
    """Whether a rule of `strings` is about a descriptor."""
    return rule.literal[:1] == b"L" and b"/" in rule.literal


@cache
def compiled(known: tuple[Signature, ...] | None = None) -> Compiled:
    """The compiled form of some signatures, or of all."""
    return Compiled(signatures() if known is None else known)


def in_classes(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a class (`org.example.Main`) is among some: see `signatures`."""
    return any(_in(name, pattern) for pattern in patterns)


def _in(name: str, pattern: str) -> bool:
    if pattern.endswith("."):
        return name.startswith(pattern)
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern or name.startswith(pattern + "$")


def has_classes(signature: Signature, name: str) -> bool:
    """Whether a class is what a signature is about."""
    return in_classes(name, signature.classes) and not in_classes(name, signature.not_classes)


def _call_classes(signature: Signature) -> Iterator[str]:
    for call in (*signature.calls, *signature.loaders):
        name = call.removesuffix("=1").rpartition(".")[0]
        yield name.partition("*")[0] + "*" if "*" in name else name


def _descriptor(name: str) -> bytes:
    literal = re.escape(b"L" + name.rstrip("*").replace(".", "/").encode())
    if name.endswith((".", "*")):
        return literal + rb"[^;]*;$"
    return literal + rb"(?:\$[^;/]*)?;$"


def glob(pattern: str) -> re.Pattern[str]:
    """A whole text: `*` is anything but a slash, `**` anything, a leading `**/` also nothing."""
    lead = "(?:.*/)?" if pattern.startswith("**/") else ""
    rest = pattern.removeprefix("**/")
    parts = (re.escape(part).replace(r"\*", "[^/]*") for part in rest.split("**"))
    return re.compile(f"{lead}{'.*'.join(parts)}$", re.S)


def _whole(pattern: str) -> bytes:
    literal = re.escape(pattern.rstrip("*").encode())
    return literal if pattern.endswith("*") else literal + rb"$"


def _literal(host: str) -> bytes:
    return max(host.split("*"), key=len).encode()


def _host(host: str) -> bytes:
    parts = [re.escape(part.encode()) for part in host.split("*")]
    # The first label may be put before the rest when the code runs.
    rest = rb"|^" + _LABEL.join(parts[1:]) if host.startswith("*.") else b""
    return b"(?m)(?:" + _SCHEME + _LABEL.join(parts) + rest + b")" + _HOST_END


@cache
def _compiled(source: bytes) -> re.Pattern[bytes]:
    return re.compile(source)
