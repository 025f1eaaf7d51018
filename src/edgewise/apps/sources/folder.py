"""A folder of packages: they are copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from edgewise.apps.package import sort_folder
from edgewise.apps.sources.contract import Offer, Wanted
from edgewise.apps.sources.download import PART, Settings
from edgewise.archive import Limits
from edgewise.errors import InputError

NAME = "folder"
ADDRESS = "a folder: its packages are copied"


def takes(address: str) -> bool:
    """See `Source.takes`."""
    return Path(address).is_dir()


def offers(address: str, wanted: Wanted, settings: Settings) -> Iterator[Offer]:
    """See `Source.offers`."""
    packages, _ = sort_folder(Path(address), Limits())
    for path in packages:
        size = Path(path).stat().st_size
        if wanted.takes(None, size):
            yield Offer(name=Path(path).name, address=path, size_bytes=size)


def bring(offer: Offer, to: Path, settings: Settings) -> None:
    """See `Source.bring`."""
    part = to.with_name(to.name + PART)
    try:
        shutil.copyfile(offer.address, part)
    except OSError as error:
        raise InputError(f"{offer.address}: {error.strerror}") from error
    part.replace(to)
