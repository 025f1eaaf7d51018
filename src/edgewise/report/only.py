"""One app or one model of a store: what is left of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote


@dataclass(frozen=True)
class Only:
    """An app by its package, SHA-256 (or the start of it) or label; a model by its SHA-256."""

    kind: Literal["app", "model"]
    name: str

    @property
    def address(self) -> str:
        """Its page's address within a report."""
        return f"#{self.kind}/{quote(self.name, safe='')}"

    def conditions(self) -> Mapping[str, str]:
        """What rows of each table must be, in the order in which the tables are to be cut."""
        name = "'" + self.name.replace("'", "''") + "'"
        same = f"(length({name}) >= 6 and starts_with(sha256, lower({name})))"
        files = "sha256 in (select sha256 from models)"
        if self.kind == "app":
            apps = {
                "apps": f"package = {name} or label = {name} or {same}",
                "models": "app_key in (select key from apps)",
            }
        else:
            apps = {"models": same, "apps": "key in (select app_key from models)"}
        return apps | {
            "evidence": f"'{self.kind}' = 'app' and app_key in (select key from apps)",
            "measurements": files, "accuracies": files, "placements": files,
        }  # fmt: skip
