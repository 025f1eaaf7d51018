"""What every reader starts from: text as a tool printed it, whatever carried it here.

Encodings as found (a PowerShell redirection writes UTF-16), line ends as found (`adb shell` of old
phones sends CR LF, through a Windows pipe CR CR LF), terminal colours, and the prefixes of logcat.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator

#: The longest output that is read.
MOST_BYTES = 64 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_ENDS = re.compile(r"\r*\n|\r")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: logcat's formats threadtime, time and brief, and Android Studio's panel.
_PREFIXES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+(?P<pid>\d+)\s+\d+ [VDIWEFA] [^:]*?\s*: ?",
        r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [VDIWEFA]/[^(]*\(\s*(?P<pid>\d+)\): ?",
        r"[VDIWEFA]/[^(:]*\(\s*(?P<pid>\d+)\): ?",
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+(?P<pid>\d+)-\d+(?:/\S+)?\s+"
        r"(?:[VDIWEFA]/[^:]*: ?|\S+\s+\S+\s+[VDIWEFA](?:  ?|$))",
    )
)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
NUMBER = rf"({_NUMBER})"


def decode(data: bytes) -> str:
    """Text of a file, whatever encoding it is in."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    if len(data) > 3 and data[1] == 0 and data[3] == 0:
        return data.decode("utf-16-le", "replace")
    if len(data) > 3 and data[0] == 0 and data[2] == 0:
        return data.decode("utf-16-be", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def lines(text: str) -> list[str]:
    """Lines without their ends and colours."""
    return _LINE_ENDS.split(_COLOURS.sub("", text))


def by_process(text: str) -> list[str]:
    """The text without logcat's prefixes: one text per process that logged, in order of their
    first lines; the whole text where there are no prefixes."""
    found: dict[str, list[str]] = {}
    whose = ""
    prefixed = 0
    every = lines(text)
    for line in every:
        for pattern in _PREFIXES:
            if match := pattern.match(line):
                whose, line = match["pid"], line[match.end() :]
                prefixed += 1
                break
        found.setdefault(whose, []).append(line)
    if not prefixed:
        return ["\n".join(every)]
    return ["\n".join(each) for each in found.values()]


def number(pattern: str, text: str) -> float | None:
    """The first group of the last match, as a number."""
    found = None
    for found in re.finditer(pattern, text, re.M):  # noqa: B007 - the last one counts
        pass
    return None if found is None else float(found[1])


def whole(pattern: str, text: str) -> int | None:
    """As `number`, for counts."""
    found = number(pattern, text)
    return None if found is None else int(found)


def parts(text: str, begin: str) -> Iterator[str]:
    """The text in pieces that each begin with a line that matches; what stands before the first
    one belongs to it."""
    starts = [match.start() for match in re.finditer(begin, text, re.M)]
    edges = [0, *starts[1:], len(text)]
    for start, end in itertools.pairwise(edges):
        yield text[start:end]
