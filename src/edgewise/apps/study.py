"""The tables that a study of many apps prints, from any store of scans.

They are those of gaugeNN's evaluation (Almeida et al., IMC 2021), and Xu et al.'s questions about
protection (WWW 2019). Prevalence is given as bounds: what was seen, and that plus the apps in which
it could not have been seen (packed, damaged, not examined).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from edgewise import __version__
from edgewise.apps.evidence import signatures
from edgewise.errors import InputError, StoreError
from edgewise.records import ANALYSIS_VERSION
from edgewise.store import Store

#: Which framework runs a format. `models_without_framework` counts the models of apps without it.
RUN_BY = {
    "tflite": ("tflite", "litert", "mediapipe", "mlkit", "tflite-support"),
    "onnx": ("onnxruntime", "opencv-dnn", "ncnn", "mnn", "sherpa-onnx"),
    "ort": ("onnxruntime", "sherpa-onnx"),
    "ncnn": ("ncnn", "sherpa-ncnn"),
    "mnn": ("mnn",),
    "tnn": ("tnn",),
    "caffe": ("caffe", "opencv-dnn", "snpe"),
    "caffe2": ("caffe2",),
    "pytorch": ("pytorch-mobile",),
    "torchscript": ("pytorch-mobile",),
    "executorch": ("executorch",),
    "paddle": ("paddle-lite", "paddle-mobile"),
    "paddlelite": ("paddle-lite",),
    "mindspore": ("mindspore-lite",),
    "snpe": ("snpe", "qnn"),
    "coreml": ("coreml",),
    "tensorflow": ("tensorflow", "opencv-dnn"),
    "gguf": ("llama.cpp",),
    "ggml": ("whisper.cpp", "llama.cpp"),
    "tfjs": ("tfjs",),
    "tvm": ("tvm", "mlc-llm"),
    "rknn": ("rknn",),
    "openvino": ("openvino",),
}

_HEAD = """
with a as (select * from apps where {which}),
e as (select evidence.*, a.package from evidence join a on evidence.app_key = a.key),
m as (
  select models.* from models join a on models.app_key = a.key
  where models.status <> 'rejected'),
hidden as (
  select key from a where error is not null or coverage.not_examined > 0
    or key in (select app_key from e where kind = 'packer')),
n as (select count(*) as apps from a)
"""

_PREVALENCE = """
select {columns}, apps, round(apps / (select apps from n), 6) as share_seen,
  round((apps + unseen) / (select apps from n), 6) as share_at_most
from ({counted}) order by apps desc, 1
"""


def _of_kind(kind: str) -> str:
    source = (
        f"(select e.*, case when bool_or(reach = 'loaded') over w then 'loaded' "
        f"when bool_or(reach = 'referenced') over w then 'referenced' end as best "
        f"from e where kind = '{kind}' window w as (partition by app_key, name))"
    )
    counted = f"""
select name, count(distinct app_key) as apps,
  count(distinct case when best = 'loaded' then app_key end) as loaded,
  count(distinct case when best = 'referenced' then app_key end) as referenced,
  count(distinct case when owner = 'app' then app_key end) as by_app,
  count(distinct case when grade in ('class', 'native_lib') then app_key end) as shipped,
  (select count(*) from hidden) - count(distinct case when app_key in (select key from hidden)
    then app_key end) as unseen
from {source} group by name"""
    columns = "name, loaded, referenced, by_app, shipped"
    return _PREVALENCE.format(columns=columns, counted=counted)


_ALL = """
select 'all' as what, (select apps from n) as apps union all
select 'that could be read', count(*) from a where error is null union all
select 'with models', count(distinct app_key) from m union all
select 'with parsed models', count(distinct app_key) from m where status = 'parsed' union all
select 'with models that code loads', count(distinct app_key) from m
  where reach = 'loaded' union all
select 'with a framework', count(distinct app_key) from e
  where kind in ('framework', 'llm') union all
select 'with a cloud API', count(distinct app_key) from e where kind = 'cloud_api' union all
select 'with models and a cloud API', count(distinct m.app_key) from m
  join e on e.app_key = m.app_key and e.kind = 'cloud_api' union all
select 'with a language model', count(distinct app_key) from e where kind = 'llm' union all
select 'packed', count(distinct app_key) from e where kind = 'packer' union all
select 'in which something may be hidden', count(*) from hidden
"""

#: The tables by name: one SELECT each, over what `_HEAD` defines.
TABLES = {
    "apps": f"""
select what, apps, round(apps / nullif((select apps from n), 0), 6) as share from ({_ALL})""",
    "frameworks": _of_kind("framework"),
    "language_models": _of_kind("llm"),
    "accelerators": _of_kind("accelerator"),
    "cloud_apis": _of_kind("cloud_api"),
    "packers": _of_kind("packer"),
    "formats": """
select format, count(*) as models, count(distinct sha256) as unique_models,
  count(distinct app_key) as apps, sum((status = 'parsed')::int) as parsed,
  sum((status = 'opaque')::int) as opaque, sum((status = 'not_examined')::int) as not_examined
from m group by format order by models desc, 1""",
    "tasks": """
select coalesce(task, 'not known') as task, count(*) as models,
  count(distinct sha256) as unique_models, count(distinct app_key) as apps,
  median(macs) as median_macs, median(parameters) as median_parameters
from m where status = 'parsed' group by 1 order by models desc, 1""",
    "layers": """
select kind, count(*) as layers, count(distinct model_key) as models,
  round(count(*) / sum(count(*)) over (), 6) as share_of_layers,
  round(count(distinct model_key) / (select count(*) from m where status = 'parsed'), 6)
    as share_of_models
from layers where model_key in (select key from m) group by kind order by layers desc, 1""",
    "uniqueness": """
select count(*) as models, count(distinct sha256) as unique_models,
  round(count(distinct sha256) / nullif(count(*), 0), 6) as share_unique,
  (select count(*) from (select sha256 from m where sha256 is not null
     group by sha256 having count(distinct app_key) > 1)) as in_several_apps,
  (select max(c) from (select count(distinct app_key) as c from m where sha256 is not null
     group by sha256)) as most_apps_of_one
from m where sha256 is not null""",
    "reused": """
select sha256, min(format) as format, any_value(regexp_extract(path, '[^/]+$')) as name,
  count(distinct app_key) as apps, count(*) as copies
from m where sha256 is not null group by sha256 having count(distinct app_key) > 1
order by apps desc, sha256 limit 100""",
    "quantisation": """
select coalesce(quantization, 'not known') as quantization, count(*) as models,
  count(distinct sha256) as unique_models, count(distinct app_key) as apps,
  round(count(*) / sum(count(*)) over (), 6) as share
from m where status = 'parsed' group by 1 order by models desc, 1""",
    "sparsity": """
select count(*) as models_with_weights_read, median(zero_fraction) as median_zero_fraction,
  max(zero_fraction) as most_zero_fraction,
  sum((zero_fraction >= 0.5)::int) as at_least_half_zero,
  sum((clustered_tensors > 0)::int) as clustered
from m where zero_fraction is not null""",
    "cost": """
select format, count(*) as models, min(macs) as least_macs, median(macs) as median_macs,
  max(macs) as most_macs, median(parameters) as median_parameters,
  median(size_bytes) as median_size_bytes
from m where status = 'parsed' group by format order by models desc, 1""",
    "reach": """
select coalesce(reach, 'not known') as reach, count(*) as models,
  count(distinct app_key) as apps from m group by 1 order by models desc, 1""",
    "models_without_framework": "",
    "frameworks_without_model": """
select name, count(distinct app_key) as apps from e
where kind in ('framework', 'llm') and grade in ('class', 'native_lib')
  and app_key not in (select app_key from m) group by name order by apps desc, 1""",
    "protection": """
select count(*) as models, sum((status = 'opaque')::int) as opaque_models,
  round(avg((status = 'opaque')::int), 6) as share_opaque,
  (select count(distinct app_key) from e where kind = 'packer') as packed_apps,
  (select count(*) from a where len(list_filter(notes,
     lambda note: note like '% of the classes have names of one or two letters%')) > 0)
    as apps_with_renamed_code
from m""",
    "categories": """
select coalesce(nullif(listing['category'], ''), 'not known') as category, count(*) as apps,
  count(distinct case when key in (select app_key from m) then key end) as with_models,
  count(distinct case when key in (select app_key from e where kind = 'cloud_api') then key end)
    as with_cloud_api,
  count(distinct case when key in (select app_key from e where kind in ('framework', 'llm'))
    then key end) as with_framework
from a group by 1 order by apps desc, 1""",
}


def _without_framework() -> str:
    parts = []
    for name, frameworks in RUN_BY.items():
        listed = ", ".join(f"'{each}'" for each in frameworks)
        parts.append(
            f"select '{name}' as format, count(*) as models, count(distinct app_key) as apps "
            f"from m where format = '{name}' and app_key not in "
            f"(select app_key from e where name in ({listed}))"
        )
    return f"select * from ({' union all '.join(parts)}) where models > 0 order by models desc, 1"


TABLES["models_without_framework"] = _without_framework()


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a study was made of: apps by their bytes, and what looked at them."""

    name: str
    edgewise: str
    analysis_version: int
    signatures: str
    apps: tuple[str, ...]


def frozen(store: Store, name: str) -> Study:
    """The study that a store holds now: its apps as this version looks at them."""
    _, rows = store.query(
        "select distinct sha256 from apps where sha256 is not null "
        f"and analysis_version = {ANALYSIS_VERSION} order by sha256"
    )
    return Study(
        name=name, edgewise=__version__, analysis_version=ANALYSIS_VERSION,
        signatures=signatures.version(), apps=tuple(row[0] for row in rows),
    )  # fmt: skip


def read_study(data: bytes, where: str) -> Study:
    """A study that was frozen.

    Raises:
        InputError: it is none.
    """
    try:
        return msgspec.json.decode(data, type=Study)
    except (msgspec.DecodeError, ValueError) as error:
        raise InputError(f"{where}: is no study: {error}") from error


Asking = Callable[[str], list[dict[str, Any]]]


def tables(store: Store, study: Study | None = None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each table's name and rows. With a study only its apps count, and all must be there.

    Raises:
        StoreError: the store lacks apps of the study.
    """
    with asking(store, study) as ask:
        for name, select in TABLES.items():
            yield name, ask(select)


@contextmanager
def asking(store: Store, study: Study | None = None) -> Iterator[Asking]:
    """What answers a SELECT over the apps that count (`a`), their evidence (`e`) and models (`m`),
    those in which something may be `hidden`, and all tables of the store.

    Raises:
        StoreError: the store lacks apps of the study.
    """
    head = _HEAD.format(which=_which(store, study))
    with store.connect() as connection:  # one for all: opening a store's parts takes longest

        def ask(select: str) -> list[dict[str, Any]]:
            answer = connection.execute(head + select)
            columns = [column[0] for column in answer.description or ()]
            return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]

        yield ask


def _which(store: Store, study: Study | None) -> str:
    if study is None:
        newest = "select max(analysis_version) from apps"
        return f"analysis_version = ({newest})"
    _, rows = store.query(
        f"select distinct sha256 from apps where analysis_version = {study.analysis_version}"
    )
    missing = set(study.apps) - {row[0] for row in rows}
    if missing:
        raise StoreError(
            f"{store.url} lacks {len(missing):,} of the {len(study.apps):,} apps of the study "
            f"{study.name} at analysis version {study.analysis_version}",
            hint="scan them into it first",
        )
    listed = ", ".join(f"'{each}'" for each in study.apps if each.isalnum())
    return f"analysis_version = {study.analysis_version} and sha256 in ({listed or 'null'})"
