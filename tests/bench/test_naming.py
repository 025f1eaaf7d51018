"""What data calls a class, by the forms of label files."""

from __future__ import annotations

import pytest

from edgewise.bench.naming import Classes
from edgewise.errors import InputError

SYNSETS = ("n01440764 tench, Tinca tinca", "n02012849 crane", "n03126707 crane", "n01443537 gold")


@pytest.mark.parametrize(
    ("lines", "word", "index"),
    [
        (("cat", "hot dog"), "hot dog", 1),
        (("cat", "hot dog"), "Hot_Dog", 1),
        (("cat", "hot dog"), "1", 1),
        (("cat", "hot dog"), "2", None),
        (("cat", "hot dog"), "hot", None),
        (("9", "8", "7"), "8", 1),
        (("9", "8", "7"), "08", 1),
        (("7", "9", "0"), "1", 1),
        (SYNSETS, "n01440764", 0),
        (SYNSETS, "tench", 0),
        (SYNSETS, "tinca tinca", 0),
        (SYNSETS, "n03126707", 2),
        (SYNSETS, "n03126707 crane", 2),
        (("0: cat", "1: dog"), "dog", 1),
        (("0 cat", "1 dog"), "cat", 0),
        (("0 n01440764 tench", "1 n02012849 crane"), "n02012849", 1),
        (("7 up", "cola"), "up", None),
        (("crane", "duck", "crane"), "crane", 0),
        (("maus", "mäuse", "Straße"), "STRASSE", 2),
    ],
)
def test_a_class_by_what_it_is_called(lines: tuple[str, ...], word: str, index: int | None) -> None:
    assert Classes(lines).find(word) == index


def test_a_name_of_two_classes_is_not_guessed() -> None:
    with pytest.raises(InputError, match="'crane' may be label 1, 2"):
        Classes(SYNSETS).find("crane")
