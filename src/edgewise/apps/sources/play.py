"""Google Play, through `apkeep` where the user has it set up."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgewise.apps.sources.contract import Offer, Wanted
from edgewise.apps.sources.download import Settings
from edgewise.errors import InputError, UsageError

NAME = "play"
ADDRESS = "play:PACKAGE, through apkeep (github.com/EFForg/apkeep) as it is set up here"
_PREFIX = "play:"
_SECONDS = 1800


def takes(address: str) -> bool:
    """See `Source.takes`."""
    return address.startswith(_PREFIX)


def offers(address: str, wanted: Wanted, settings: Settings) -> Iterator[Offer]:
    """See `Source.offers`."""
    package = address.removeprefix(_PREFIX)
    if wanted.takes(package):
        listing = {"source": NAME, "package": package}
        yield Offer(name=f"{package}.apk", address=package, listing=listing)


def bring(offer: Offer, to: Path, settings: Settings) -> None:
    """See `Source.bring`."""
    program = shutil.which("apkeep")
    if program is None:
        raise UsageError("no apkeep here", hint="cargo install apkeep, and its own configuration")
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".edgewise-") as folder:
        try:
            done = subprocess.run(
                [program, "-a", offer.address, folder], capture_output=True, text=True,
                timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{offer.address}: apkeep took over {_SECONDS} s") from error
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        if done.returncode != 0 or not files:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing came"]
            raise InputError(f"{offer.address}: apkeep: {said[0][:200]}")
        files[0].replace(to)
