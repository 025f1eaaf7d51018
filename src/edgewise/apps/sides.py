"""The two sides of a comparison: the apps of a package, a folder or a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgewise.apps.corpus import planned, run
from edgewise.archive.remote import is_url
from edgewise.errors import InputError
from edgewise.records import App
from edgewise.store import Store


def apps_of(path: str) -> dict[str, App]:
    """The apps at a path, by what they are known by: their package, else their file's name.

    Raises:
        InputError: the path itself is no app and none is in it.
    """
    found = list(_apps(path))
    for app in found:
        if app.error is not None and app.path == path:
            raise InputError(app.error)
    known = {name_of(app): app for app in found if app.error is None}
    if not known:
        raise InputError(f"{path}: no app there", hint="name a package, a folder or a store")
    return known


def _apps(path: str) -> Iterator[App]:
    if (Path(path).is_dir() or is_url(path)) and Store.is_at(path):
        yield from Store.open(path).read(App, without=("tensors",))
        return
    for done in run(planned([path])):
        yield done.app


def name_of(app: App) -> str:
    """What an app is known by from one version to the next."""
    return app.package or Path(app.path).name


def inside(app: App, path: str) -> str:
    """The path of something in an app, without the app's own."""
    return path.removeprefix(app.path).removeprefix("!/").lstrip("/")
