"""What scanning an app imports and compiles on the way: done once, before workers are forked.

The demo's package is scanned, which holds all there is to warm up; then everything that is there is
taken out of the collector's reach, so that workers share its pages.
"""

import gc
from importlib.resources import files

import edgewise.apps.manifest.binary
import edgewise.apps.manifest.resources
import edgewise.formats.registry
from edgewise.apps.evidence.patterns import compiled
from edgewise.apps.scan import scan_package

edgewise.formats.registry.formats()
known = compiled()
for index in (known.strings, known.exports, known.constants, known.hosts):
    index.patterns.find(b"-")
scan_package(str(files("edgewise") / "demo" / "data" / "demo.apk"))  # an error is a row of it
gc.collect()
gc.freeze()
