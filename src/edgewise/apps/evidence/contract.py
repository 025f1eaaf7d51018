"""What an extractor of evidence is given, and where it puts what it finds.

An extractor is a module (or object) with a `NAME`, `wants` and `extract`. Ours are listed in
`registry.py`; another package adds one by the entry point `edgewise.extractors`. It sees one entry
of an app at a time; what needs all of them (is the library loaded? is the class defined in another
dex?) is decided afterwards, in `verdict.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from edgewise.apps.evidence.owners import Owners
from edgewise.apps.evidence.signatures import Signature
from edgewise.archive import Source
from edgewise.records import EvidenceKind, Grade, Model, Owner, Reach

#: What evidence is about.
Key = tuple[EvidenceKind, str]


class Trace(NamedTuple):
    """One sighting. `present` is False for a use of something that may not be there."""

    kind: EvidenceKind
    name: str
    grade: Grade
    where: str
    detail: str = ""
    reach: Reach | None = None
    owner: Owner | None = None
    present: bool = True

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.kind, self.name


class Library(NamedTuple):
    """A native library: what it is called and needs, and whose it is by its exports."""

    where: str
    names: frozenset[str]
    abi: str
    size: int
    needed: tuple[str, ...]
    #: What it asks of other libraries, by (kind, name) of evidence.
    imported: frozenset[Key]
    owner: Owner | None
    #: What it is, to the detail; whether it bears the thing's own name.
    holds: dict[Key, str]
    named: frozenset[Key]


class Naming(NamedTuple):
    """Code that names a text: which, where, whose; `loader` where it flows to one."""

    text: str
    where: str
    owner: Owner | None
    loader: str | None = None


@dataclass
class Context:
    """What is known of the app when its entries are looked at."""

    signatures: tuple[Signature, ...]
    owners: Owners
    models: tuple[Model, ...] = ()
    #: Stems of native libraries (`tensorflowlite_jni`), which code loads by name.
    stems: frozenset[str] = frozenset()


@dataclass
class Sightings:
    """What the extractors of one app have found so far."""

    traces: list[Trace] = field(default_factory=list)
    libraries: list[Library] = field(default_factory=list)
    #: Who loads a library, by its stem.
    loads: defaultdict[str, set[Owner]] = field(default_factory=lambda: defaultdict(set))
    namings: list[Naming] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Scripts in web pages, by the page.
    pages: dict[str, str] = field(default_factory=dict)
    #: Code that was read: without any, nothing can be said of reach.
    code_read: int = 0
    #: Names of classes seen, and how many of them are as short as obfuscators make them.
    classes: int = 0
    short_classes: int = 0


class Extractor(Protocol):
    """See the module."""

    NAME: str

    def wants(self, inside: str, head: bytes) -> bool:
        """Whether an entry is looked at, by its path in its container and its first bytes."""
        ...

    def extract(self, file: Source, inside: str, context: Context, found: Sightings) -> None:
        """Look at one entry, and put what is found into `found`.

        Raises:
            EdgewiseError: it cannot be read; a note says so and the others go on.
        """
        ...
