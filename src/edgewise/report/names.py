"""SQL that several sections begin with: how a model and a target are called.

The same file is often found many times over; a picture shows it once.
"""

from __future__ import annotations

#: Common table expression `named`: every distinct parsed file once, with `label`, the file's name
#: (and the start of its hash where several files share the name), and `places`, how often it was
#: found. `keys` are the models' keys of all those.
NAMED = """
    files as (
      select any_value(columns(models.* exclude (key, app_key, stored_at))),
        list(key) as keys, count(*) as places
      from models where status = 'parsed'
      group by coalesce(models.sha256, models.key)),
    named as (
      select *, regexp_extract(path, '[^/]+$') as file,
        case when count(*) over (partition by regexp_extract(path, '[^/]+$')) > 1
          then regexp_extract(path, '[^/]+$') || ' · ' || left(coalesce(sha256, keys[1]), 6)
          else regexp_extract(path, '[^/]+$') end as label
      from files)
"""

#: Common table expression `apps_named`: every app with `app`, what people call it (and its package,
#: its version, or the start of its hash, where several are called the same).
APPS_NAMED = """
    labelled as (
      select *, coalesce(label, package, regexp_extract(path, '[^/]+$')) as said from apps),
    called as (
      select * exclude (said), case when count(distinct package) over (partition by said) > 1
        and package is not null and said <> package then said || ' · ' || package
        else said end as called
      from labelled),
    apps_named as (
      select *, case when count(*) over (partition by called) = 1 then called
        when version_name is not null and count(*) over (partition by called, version_name) = 1
        then called || ' ' || version_name
        else called || ' · ' || left(coalesce(sha256, key), 6) end as app
      from called)
"""

#: A target in words: `litert, 2 threads, batch 4`. What is not said is the default.
TARGET = """
    target.runtime
      || case when target.delegate <> 'cpu' then ' ' || target.delegate else '' end
      || case when target.threads is null then ', threads unknown'
           when target.threads = 1 then ', 1 thread'
           else ', ' || target.threads || ' threads' end
      || case when target.batch > 1 then ', batch ' || target.batch else '' end
      || case when target.device <> 'host' then ', ' || target.device else '' end
"""

#: A measurement's device in words: a phone's name; of the machine itself, its processor.
DEVICE = """
    case when target.device = 'host' then coalesce(context.cpu_model, 'this machine')
      else target.device end
"""

#: `measured`: every measurement with its device and target in words and the model it is of. Where
#: several machines were the host, the target has which.
MEASURED = f"""
    {NAMED},
    measured as (
      select coalesce(label, regexp_extract(model, '[^/]+$')) as model,
        {TARGET} || case when target.device = 'host' and (select count(distinct {DEVICE})
            from measurements where target.device = 'host') > 1 then ', ' || {DEVICE}
          else '' end as target,
        target.runtime as runtime, target.delegate as delegate, target.threads as threads,
        target.batch as batch,
        {DEVICE} as device, macs * target.batch as macs, m.* exclude (model, target)
      from measurements m left join named using (sha256))
"""
