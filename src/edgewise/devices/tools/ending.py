"""Why a tool's process ended badly: from its exit status, the shell's words and its own."""

from __future__ import annotations

import re
import signal

#: Exit status of a run whose connection was lost (adb itself then exits with 0).
LOST = -1
_WORDS = {
    "Segmentation fault": 139, "Killed": 137, "Aborted": 134, "Illegal instruction": 132,
    "Bus error": 135, "Trace/breakpoint trap": 133, "Floating point exception": 136,
    "Terminated": 143, "Bad system call": 159, "Hangup": 129,
}  # fmt: skip
_MEANING = {
    4: "an instruction that this processor does not have: the binary was built for newer cores",
    9: "most likely out of memory",
}
_SHELL = re.compile(
    r"^(?:/[\w/.-]*/)?(?:sh|mksh|bash)(?:\[\d+\])?: (?:<stdin>\[\d+\]: )?(.+)$", re.M
)
_LINKER = re.compile(r"^.*CANNOT LINK EXECUTABLE.*$", re.M)
_SAID = re.compile(r"^(?:ERROR|FATAL|E|F): *(.+)$", re.M)
#: What says more than the line before it does.
_VAGUE = re.compile(
    r"^(Benchmarking failed|Restored original execution plan|Failed to allocate ten)"
)
_TELLING = (
    re.compile(r"^(?:ERROR: )?(Failed to apply \S+ delegate)\b.*$", re.M),
    re.compile(r"^(?:ERROR: )?(Disallowed CPU fallback detected)\b.*$", re.M),
    re.compile(r"^(?:ERROR: )?(Encountered unresolved custom op: [^.\n]+)", re.M),
    re.compile(r"^(?:ERROR: )?(Could not open '[^'\n]*')", re.M),
    re.compile(r"^(?:ERROR: )?(Signature not specified or incorrect)\b.*$", re.M),
)


def reason(text: str, exit_status: int | None) -> str:
    """One sentence on a run that has no result."""
    if exit_status == LOST:
        return "the device went away during the run: the connection was lost"
    said = _said(text)
    status = exit_status if exit_status is not None else _from_words(text)
    if status is not None and status > 128:
        name = signal_words(status)
        return f"{name}: {said}" if said and status == 134 else name
    if said is not None:
        return said
    if status:
        return f"the tool ended with exit status {status}"
    if text and not text.endswith("\n"):
        return "the output ends within a line: the device went away, or the log was cut"
    return (
        "the output ends without a result: the tool crashed (SIGSEGV), was killed, or the log was "
        "cut; its exit status would tell"
    )


def signal_words(status: int) -> str:
    """The signal behind a shell's exit status above 128, and what it most likely means."""
    number = status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}: {_MEANING[number]}" if number in _MEANING else name


def _from_words(text: str) -> int | None:
    """The shell's words for a signal, on the last lines."""
    for line in reversed(text.rstrip().splitlines()[-3:]):
        plain = line.strip().removesuffix("(core dumped)").strip()
        for words, status in _WORDS.items():
            if plain == words or plain.endswith(f": {words}"):
                return status
    return None


def _said(text: str) -> str | None:
    """The tool's, the linker's or the shell's own words."""
    if found := _LINKER.search(text):
        return found[0].strip()
    if found := _SHELL.search(text):
        return found[1].strip()
    errors = [each.strip() for each in _SAID.findall(text) if not _VAGUE.match(each.strip())]
    for pattern in _TELLING:
        if found := pattern.search(text):
            first = errors[0] if errors else ""
            more = f": {first}" if first and found[1] not in first else ""
            return f"{found[1]}{more}"
    return errors[0] if errors else None
