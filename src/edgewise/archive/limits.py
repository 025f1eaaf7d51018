"""How much work untrusted input may cause, and the account kept of it."""

from __future__ import annotations

from dataclasses import dataclass

from edgewise.errors import LimitExceeded

MIB = 1 << 20
GIB = 1 << 30
#: Times `ratio_from_bytes` that all entries together may inflate to before their ratio counts.
_FREE = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on reading one package, everything nested in it included.

    The defaults let every package pass that an app store would take, language models included, and
    stop bombs within seconds.

    Attributes:
        entries: directory entries read per archive; those beyond are left out, with a note.
        depth: archives inside archives that are opened (1: an entry of the package itself).
        entry_bytes: inflated size of one entry.
        total_bytes: inflated size of all entries that had to be inflated whole, together.
        ratio: inflated over compressed size of entries above `ratio_from_bytes`, and of all entries
            that had to be inflated whole over the package (entries may share their bytes). Deflate
            itself ends at 1032; weights, text and code stay below 20.
        ratio_from_bytes: smaller entries may have any ratio; so may all together up to 16 times it.
        memory_bytes: inflated entries larger than this go to an anonymous temporary file.
        download_bytes: size of what is fetched from a URL.
    """

    entries: int = 200_000
    depth: int = 4
    entry_bytes: int = 4 * GIB
    total_bytes: int = 8 * GIB
    ratio: int = 200
    ratio_from_bytes: int = 16 * MIB
    memory_bytes: int = 32 * MIB
    download_bytes: int = 8 * GIB


class Budget:
    """What one package has used of its `Limits`; shared by all archives nested in it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.inflated_bytes = 0
        self.packed_bytes = 0

    def admit(self, size: int) -> None:
        """Take note of a file of `size` bytes that archives are read from."""
        self.packed_bytes += size

    def check(self, path: str, size: int, packed: int) -> None:
        """Whether something of yet unknown size may grow to `size` bytes out of `packed`.

        Raises:
            LimitExceeded: as `charge`.
        """
        limits = self.limits
        if size > limits.entry_bytes:
            raise _exceeded(path, f"{size:,} bytes unpacked", "entry_bytes", limits.entry_bytes)
        if size > limits.ratio_from_bytes and size > limits.ratio * packed:
            raise _exceeded(path, f"packed {size // max(packed, 1):,} to 1", "ratio", limits.ratio)

    def charge(self, path: str, size: int, compressed_size: int) -> None:
        """Account for inflating an entry of `size` bytes, before it is done.

        Raises:
            LimitExceeded: it would pass a bound; the message names which.
        """
        limits = self.limits
        if size > limits.entry_bytes:
            raise _exceeded(path, f"{size:,} bytes inflated", "entry_bytes", limits.entry_bytes)
        if size > limits.ratio_from_bytes and size > limits.ratio * compressed_size:
            ratio = size // max(compressed_size, 1)
            raise _exceeded(path, f"compressed {ratio:,} to 1", "ratio", limits.ratio)
        total = self.inflated_bytes + size
        if total > limits.total_bytes:
            raise _exceeded(
                path, f"{total:,} bytes inflated in all", "total_bytes", limits.total_bytes
            )
        if total > max(_FREE * limits.ratio_from_bytes, limits.ratio * self.packed_bytes):
            found = f"{total:,} bytes inflated in all out of {self.packed_bytes:,}"
            raise _exceeded(path, found, "ratio", limits.ratio)
        self.inflated_bytes = total


def _exceeded(path: str, found: str, name: str, bound: int) -> LimitExceeded:
    return LimitExceeded(f"{path}: {found}; the limit {name} is {bound:,}")
