"""Whose code a class is: the app's own, or an SDK's.

Classes below the app's package, or below its organisation's, are its own; so are classes that an
obfuscator renamed to a few letters, since what is renamed was compiled with the app and nothing
tells more. All others are SDKs'.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgewise.records import Owner

#: Second-level names that many strangers share.
_SHARED = frozenset(
    ("com.github", "io.github", "com.gitlab", "com.google", "com.android", "org.apache",
     "com.facebook", "com.amazonaws", "com.amazon", "com.microsoft", "org.tensorflow",
     "org.pytorch", "com.baidu", "com.tencent", "com.alibaba", "com.huawei", "com.appspot",
     "com.wordpress", "com.blogspot", "co.uk", "com.unity", "com.unity3d")
)  # fmt: skip
#: Libraries that are nobody's own, for apps whose package is not known.
_LIBRARIES = (
    "android.", "androidx.", "kotlin.", "kotlinx.", "java.", "javax.", "com.google.",
    "com.android.",
    "com.facebook.", "okhttp3.", "okio.", "retrofit2.", "org.apache.", "org.json.", "io.reactivex.",
    "com.squareup.", "org.tensorflow.", "org.pytorch.", "org.opencv.", "ai.onnxruntime.",
    "com.amazonaws.", "com.microsoft.", "com.huawei.", "com.baidu.", "com.tencent.", "com.alibaba.",
    "com.unity3d.", "io.flutter.", "dagger.", "com.bumptech.", "com.crashlytics.", "bolts.",
    "com.airbnb.", "com.adjust.", "com.applovin.", "com.ironsource.", "com.mopub.", "io.sentry.",
)  # fmt: skip
_SHORT = 2


class Owners:
    """Tells the app's own classes from others."""

    def __init__(self, packages: Iterable[str] = ()) -> None:
        """`packages`: names of the app, or of its parts; none where no manifest could be read."""
        self._own = tuple({f"{own}." for package in packages for own in _spaces(package)})

    def is_demo(self, name: str, patterns: tuple[str, ...]) -> bool:
        """Whether a class is the app's own although its package lies below a framework's, as
        demonstrations have it (`org.tensorflow.lite.examples.digits`)."""
        return any(
            name.startswith(own) and own.startswith(pattern) and own != pattern
            for own in self._own
            for pattern in patterns
        )

    def owner(self, name: str) -> Owner:
        """Of a class (`org.example.Main`)."""
        if self._own:
            if name.startswith(self._own):
                return "app"
        elif not name.startswith(_LIBRARIES):
            return "app"
        return "app" if is_short(name) else "sdk"


def is_short(name: str) -> bool:
    """Whether a class has a name as obfuscators give: `a.b.c`, `ab0`."""
    outer = name.partition("$")[0]
    return all(len(part) <= _SHORT for part in outer.split(".")) and outer != "R"


def _spaces(package: str) -> list[str]:
    parts = package.split(".")
    organisation = ".".join(parts[:2])
    if len(parts) >= 3 and organisation not in _SHARED:
        return [organisation]
    return [package] if package else []
