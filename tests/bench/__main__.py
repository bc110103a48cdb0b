"""`python -m tests.bench [append|jobs|masking|verify …] [--quick] [--json] [--write]`: all, when none is named."""

import json
import os
import sys

from tests.bench import document, lag, masking, options
from tests.bench.append import bench as append
from tests.bench.dossier import bench as dossier
from tests.bench.engagement import bench as engagement
from tests.bench.erasure import bench as erasure
from tests.bench.export import bench as export
from tests.bench.flows import bench as flows
from tests.bench.interactions import bench as interactions
from tests.bench.jobs import bench as jobs
from tests.bench.offline import bench as offline
from tests.bench.outbox import bench as outbox
from tests.bench.proof import bench as proof
from tests.bench.purge import bench as purge
from tests.bench.scan import bench as scan
from tests.bench.ship import bench as ship
from tests.bench.verify import bench as verify

# In the order of the document.
BENCHES = {
    "append": append,
    "lag": lag,
    "jobs": jobs,
    "outbox": outbox,
    "flows": flows,
    "masking": masking,
    "proof": proof,
    "verify": verify,
    "offline": offline,
    "export": export,
    "interactions": interactions,
    "ship": ship,
    "purge": purge,
    "dossier": dossier,
    "erasure": erasure,
    "engagement": engagement,
    "scan": scan,
}
CORES = 2


def main(arguments: list[str]) -> int:
    asked = options.parse(arguments, benches=tuple(BENCHES))
    # Everything measured shares the same two cores: what a bench starts inherits this.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    found = {}
    for name in asked.benches:
        section = BENCHES[name].run(asked)
        found[name] = section.json()
        if not asked.json:
            sys.stdout.write(section.text() + "\n")
            sys.stdout.flush()
        if asked.write:
            document.write(section, order=[bench.TITLE for bench in BENCHES.values()])
    if asked.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
