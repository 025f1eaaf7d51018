"""The OpenAPI document is exact: schemathesis, with all of its checks, finds nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from rest_fakes import Served
from test_rest_abuse import BODY

from edgewise.protocol.messages import DATATYPES
from edgewise.server.http.openapi import document
from edgewise.server.settings import ServerSettings

pytest.importorskip("schemathesis", reason="schemathesis is not installed")


def run_schemathesis(
    served: Served, folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "run", "--seed", "1", "--checks", "all",
               "--no-color", *options, f"http://127.0.0.1:{served.port}/openapi.json"]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with Served() as served:
        done = run_schemathesis(
            served, tmp_path, "--max-examples", "4",
            "--exclude-path-regex", "versions/.*/(infer|config|stats)$",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


def test_schemathesis_finds_nothing_behind_a_token(tmp_path: Path) -> None:
    with Served(ServerSettings(port=0, token="s3cret")) as served:
        done = run_schemathesis(
            served, tmp_path, "-H", "Authorization: Bearer s3cret",
            "--max-examples", "1", "--phases", "examples,coverage",
            "--exclude-path-regex", "/infer$|versions",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


def test_schemathesis_finds_nothing_at_a_real_model(tmp_path: Path) -> None:
    """No schema tells which tensors fit a model, so valid data may be refused there."""
    (tmp_path / "schemathesis.toml").write_text(
        '[parameters]\n"path.family_or_variant" = "echo"\n"path.version" = "1"\n'
    )
    with Served() as served:
        done = run_schemathesis(
            served, tmp_path, "--max-examples", "10", "--include-path-regex", "version}/infer$",
            "--exclude-checks", "positive_data_acceptance",
        )  # fmt: skip
        assert served.service.seen
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


def test_answers_are_as_described() -> None:
    jsonschema = pytest.importorskip("jsonschema_rs", reason="jsonschema_rs is not installed")
    whole = document(with_token=False)

    def check(schema: str, content: object) -> None:
        jsonschema.validate(
            {"$ref": f"#/components/schemas/{schema}", "components": whole["components"]}, content
        )

    with Served() as served:
        base = f"http://127.0.0.1:{served.port}/v2/models"
        check("InferResponse", httpx.post(f"{base}/echo/infer", content=BODY).json())
        check("Refusal", httpx.post(f"{base}/busy/infer", content=BODY).json())
        check("Error", httpx.post(f"{base}/echo/infer", content=b"?").json())
        check("Model", httpx.get(f"{base}/echo").json())
        check("Config", httpx.get(f"{base}/image/config").json())
        check("Stats", httpx.get(f"{base}/stats").json())
        with pytest.raises(jsonschema.ValidationError):
            check("InferResponse", {"outputs": []})


def test_every_datatype_is_described() -> None:
    described = document(with_token=False)["components"]["schemas"]
    assert described["InferRequest"]["properties"]["inputs"]["items"] == {
        "$ref": "#/components/schemas/InferInput"
    }
    datatype = described["InferInput"]["properties"]["datatype"]
    assert datatype["enum"] == [*DATATYPES, "BYTES"]
