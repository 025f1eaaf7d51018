"""Apps of a phone: every third-party package with its splits."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgewise.apps.fetch import fetch
from edgewise.apps.sources.contract import Wanted
from edgewise.apps.sources.download import Settings

pytestmark = pytest.mark.corpus


@pytest.fixture
def answering(
    plug: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, str], dict[str, bytes]], Any]:
    """A phone whose package manager answers, and that has some files."""
    import fakephone

    real = fakephone.running

    def ready(answers: dict[str, str], files: dict[str, bytes]) -> Any:
        def running(folder: Path, *rest: Any, **more: Any) -> Any:
            pm = folder / "answers" / "pm"
            pm.chmod(0o755)
            for arguments, said in answers.items():
                (pm / arguments).write_text(said)
            for path, data in files.items():
                place = folder / "root" / path.lstrip("/")
                for parent in reversed(place.relative_to(folder).parents):
                    if (folder / parent).is_dir():
                        (folder / parent).chmod(0o755)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            return real(folder, *rest, **more)

        monkeypatch.setattr(fakephone, "running", running)
        return plug("pixel-tensor-15")

    return ready


def test_apps_come_with_their_splits(
    answering: Callable[..., Any], tmp_path: Path
) -> None:  # fmt: skip
    where = "/data/app"
    phone = answering(
        {
            "list packages -3": "package:org.one\npackage:org.two\npackage:org.gone\n",
            "path org.one": f"package:{where}/one/base.apk\n",
            "path org.two": f"package:{where}/two/base.apk\npackage:{where}/two/split_x.apk\n",
            "path org.gone": "",
            "list packages -i org.one": "package:org.one  installer=com.android.vending\n",
        },
        {f"{where}/one/base.apk": b"one", f"{where}/two/base.apk": b"two" * 9000,
         f"{where}/two/split_x.apk": b"x"},
    )  # fmt: skip
    to = tmp_path / "apps"
    rows = {
        row.package: row for row in fetch([f"device:{phone.serial}"], str(to), Wanted(), Settings())
    }
    assert {name: row.status for name, row in rows.items()} == {
        "org.one": "fetched", "org.two": "fetched", "org.gone": "failed",
    }  # fmt: skip
    assert (to / "org.one.apk").read_bytes() == b"one"
    assert rows["org.one"].listing["installer"] == "com.android.vending"
    with zipfile.ZipFile(to / "org.two.apks") as archive:
        assert archive.namelist() == ["base.apk", "split_x.apk"]
        assert archive.read("base.apk") == b"two" * 9000
