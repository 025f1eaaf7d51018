"""Command lines to paste, one or two for every verb: its help ends with them."""

from __future__ import annotations

EXAMPLES = {
    "scan": ("edgewise scan app.apk", "edgewise scan apps/ --store survey"),
    "fetch": ("edgewise fetch apps.txt -o apps/",),
    "diff": ("edgewise diff old.apk new.apk",),
    "check": ("edgewise check app.apk --budget budget.toml",),
    "inspect": ("edgewise inspect model.tflite --layers",
                "edgewise inspect 'app.apk!/assets/m.tflite'"),
    "formats": ("edgewise formats",),
    "lineage": ("edgewise lineage models/",),
    "eval": ("edgewise eval model.tflite --data photos/ --scale 255",),
    "family": ("edgewise family init *.tflite --data photos/ --scale 255",),
    "bench": ("edgewise bench model.tflite --quick",
              "edgewise bench model.tflite --threads 1,2 --store mine"),
    "devices": ("edgewise devices",),
    "import": ("edgewise import benchmark.log --store mine",),
    "energy": ("edgewise energy samples.csv --active 20:40 --inferences 500",),
    "scenarios": ("edgewise scenarios",),
    "simulate": ("edgewise simulate --network lte --sla 100,200 --policy deadline,fastest",
                 "edgewise simulate --profiles mine --arrivals poisson:80 --network wifi",
                 "edgewise simulate --recipe cnnselect"),
    "links": ("edgewise links", "edgewise links measure http://host:8080"),
    "recommend": ("edgewise recommend --profiles mine --network lte --sla 200",),
    "serve": ("edgewise serve family.toml", "edgewise serve model.onnx --port 8000"),
    "load": ("edgewise load http://127.0.0.1:8080 --model digits --input photos/ --seconds 10 "
             "--wait 30",),
    "place": ("edgewise place model.tflite --link wifi,lte --quick",
              "edgewise place inception_v3 --profiles pixel3 --server p2 --link lte"),
    "report": (
        "edgewise report mine -o report.html",
        "edgewise report mine --app org.example.app -o app.html",
    ),
    "plot": ("edgewise plot mine", "edgewise plot size-against-work mine -o figure.pdf"),
    "ui": ("edgewise ui mine",),
    "query": ('edgewise query mine "select path, macs from models order by macs desc"',),
    "study": ("edgewise study survey", "edgewise study gaugenn survey"),
    "doctor": ("edgewise doctor",),
    "demo": ("edgewise demo",),
}  # fmt: skip


def epilog(verb: str) -> str | None:
    """The end of a verb's help, None for a verb without examples."""
    lines = EXAMPLES.get(verb, ())
    return "\n\n".join(["[dim]Examples[/dim]", *lines]) if lines else None
