"""Which entries are models: every entry's head is sniffed, every candidate parsed strictly.

A candidate ends in one of four outcomes: parsed, opaque, rejected, not examined. Archives inside
the package are opened in place and searched too, whatever they are called.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import PurePosixPath

import msgspec

from edgewise.apps.summaries import InMemory, Summaries
from edgewise.archive import (
    Archive,
    Budget,
    Bundle,
    Source,
    open_archive,
    opens_as_archive,
    opens_as_bundle,
    packed_as,
)
from edgewise.errors import EdgewiseError, LimitExceeded
from edgewise.formats import registry
from edgewise.formats.embedded import BEHIND, embedded, may_hold_models
from edgewise.formats.registry import Format
from edgewise.formats.unread import no_reader, unread_format
from edgewise.records import Coverage, Model, Status


class Search:
    """A search through the containers of one app. What it finds is in its attributes.

    Attributes:
        models: every candidate with its outcome, in the order found.
        entries, examined: how many there are, and of how many the first bytes were read.
        notes: what kept entries from being looked at, and what is odd about the archives.
    """

    def __init__(
        self,
        budget: Budget,
        on_archive: Callable[[Archive | Bundle], None] = lambda archive: None,
        on_entry: Callable[[Source, str, bytes], None] = lambda file, inside, head: None,
        summaries: Summaries | None = None,
    ) -> None:
        """`on_archive` is shown every archive inside the app when it is opened, `on_entry` every
        entry with its path in its container and its first bytes. `summaries` has models read
        before."""
        self._budget = budget
        self._on_archive = on_archive
        self._on_entry = on_entry
        self._summaries = summaries or InMemory()
        self.entries = self.examined = 0
        self._unreadable: defaultdict[str, list[str]] = defaultdict(list)
        self._oddities: list[str] = []
        self._found: list[Model] = []

    @property
    def models(self) -> tuple[Model, ...]:
        """Companions of a model (its weights in a file beside it) are no models of their own."""
        companions = {
            _beside(model.path, name) for model in self._found for name in model.companions
        }
        return tuple(model for model in self._found if model.path not in companions)

    @property
    def notes(self) -> tuple[str, ...]:
        """See the class."""
        return (*self._oddities, *(_note(why, paths) for why, paths in self._unreadable.items()))

    def archive(self, archive: Archive | Bundle) -> None:
        """Search an archive and those in it."""
        self.entries += len(archive)
        place = f"{archive.path}: " if archive.depth else ""
        self._oddities += [f"{place}{note}" for note in archive.notes]
        for entry in archive:
            self._examine(entry, entry.entry_name, archive.depth)
        self._oddities += [f"{place}{note}" for note in archive.oddities()]

    def files(self, files: Iterable[Source], folder: str) -> None:
        """Search files of a folder, and the archives among them."""
        for file in files:
            self.entries += 1
            self._examine(file, file.path.removeprefix(folder).lstrip("/"), 0)

    def _examine(self, file: Source, inside: str, depth: int) -> None:
        try:
            head = file.head(registry.HEAD_BYTES)
        except EdgewiseError as error:
            self._pass_over(file, error)
            return
        self.examined += 1
        self._on_entry(file, inside, head)
        fmt = registry.recognise(head, file.name)
        if fmt is not None:
            model = self._model(file, fmt)
            self._found.append(model)
            if model.status in ("parsed", "opaque"):
                if any(note.endswith(BEHIND) for note in model.notes):
                    self._inside(file, start=1)
                return  # what is packed in it is its own
        elif _is_closed(head) and may_hold_models(head) and self._inside(file):
            return
        elif (unread := unread_format(head, file.path)) is not None:
            self._found.append(_without_summary(file, unread, "not_examined", no_reader(unread)))
            return
        if opens_as_archive(head) or (fmt is None and opens_as_bundle(head)):
            self._open(file, depth)
        elif fmt is None and (packing := packed_as(head)) is not None:
            self._leave_packed(file, packing)

    def _inside(self, file: Source, start: int = 0) -> bool:
        """Models that lie in an entry of no format, or behind a first: whether there are any."""
        found = len(self._found)
        with suppress(EdgewiseError):  # whoever opens the entry says why it cannot be read
            for part, fmt in embedded(file, start):
                self._found.append(self._model(part, fmt))
        return len(self._found) > found

    def _model(self, file: Source, fmt: Format) -> Model:
        """The summary of a candidate with its layers. Equal bytes are read once."""
        from edgewise.analysis.summary import summarise

        try:
            key = (file.sha256(), fmt.NAME)
            if (before := self._summaries.get(*key)) is not None:
                return msgspec.structs.replace(before, path=file.path)
            model = summarise(file, fmt, layers=True, weights=self._summaries.weights)
        except LimitExceeded as error:
            return _without_summary(file, fmt.NAME, "not_examined", _reason(file, error))
        except EdgewiseError as error:
            return _without_summary(file, fmt.NAME, "rejected", _reason(file, error))
        if not model.companions:  # with them, the outcome depends on what is beside the file
            self._summaries.put(*key, model)
        return model

    def _open(self, file: Source, depth: int) -> None:
        try:
            archive = open_archive(file, self._budget, depth + 1)
        except EdgewiseError as error:
            self._unreadable[f"archive not opened: {_reason(file, error)}"].append(file.path)
            return
        self._on_archive(archive)
        self.archive(archive)

    def _leave_packed(self, file: Source, packing: str) -> None:
        """An entry packed as is not read here: `m.tflite.gz` is a candidate by its name."""
        inside = file.path.rpartition(".")[0]
        self._not_examined(file, inside, f"packed with {packing}, which is not opened")

    def _pass_over(self, file: Source, error: EdgewiseError) -> None:
        """An entry that cannot be read: a candidate if its name says so, else a note."""
        self._not_examined(file, file.path, _reason(file, error))

    def _not_examined(self, file: Source, path: str, reason: str) -> None:
        """A candidate where `path`, what it stands for, is named like a model; else a note."""
        fmt = registry.recognise(b"", path.rpartition("/")[2])
        name = fmt.NAME if fmt is not None else unread_format(None, path)
        if name is not None:
            self._found.append(_without_summary(file, name, "not_examined", reason))
        else:
            self._unreadable[reason].append(file.path)


def coverage(models: tuple[Model, ...], search: Search) -> Coverage:
    """What was looked at."""
    outcomes = Counter(model.status for model in models)
    return Coverage(
        entries=search.entries,
        examined=search.examined,
        candidates=len(models),
        parsed=outcomes["parsed"],
        opaque=outcomes["opaque"],
        rejected=outcomes["rejected"],
        not_examined=outcomes["not_examined"],
    )


def _is_closed(head: bytes) -> bool:
    """Whether a file with these first bytes is no container that is opened."""
    return not (opens_as_archive(head) or opens_as_bundle(head))


def _without_summary(file: Source, name: str, status: Status, reason: str) -> Model:
    return Model(path=file.path, format=name, size_bytes=file.size, status=status, reason=reason)


def _reason(file: Source, error: EdgewiseError) -> str:
    return error.message.removeprefix(f"{file.path}: ")


def _beside(path: str, name: str) -> str:
    """Path of the file of a name relative to the folder of another."""
    container, inside, entry = path.rpartition("!/")
    return f"{container}{inside}{PurePosixPath(entry).parent / name}"


def _note(why: str, paths: list[str]) -> str:
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}: {why}"
