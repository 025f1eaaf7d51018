"""What scanning an app imports on the way: imported once, before workers are forked."""

import edgewise.analysis.summary
import edgewise.apps.evidence.dex_extractor
import edgewise.apps.evidence.native
import edgewise.apps.evidence.web
import edgewise.apps.manifest.binary
import edgewise.apps.manifest.resources
import edgewise.formats.registry
from edgewise.apps.evidence.patterns import compiled

edgewise.formats.registry.formats()
known = compiled()
for index in (known.strings, known.exports, known.constants, known.hosts):
    index.patterns.find(b"-")
