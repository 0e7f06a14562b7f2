"""A process that draws with one contestant of the reference, alone: `python -m exporter.bench.alone ARGUMENTS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from exporter.bench.reference import reference_entrants
from runtime.backends import RunOptions
from runtime.bench.memory import draw_alone
from runtime.bundle import Bundle
from runtime.errors import StyleganEdgeError


def main() -> None:
    """The entry of the process."""
    told = json.loads(sys.argv[1])
    bundle, options = Bundle(told["bundle"]), RunOptions(threads=told["threads"], gpu=told["gpu"])
    try:
        entrants = reference_entrants(bundle, Path(told["checkpoint"]), options)
        entrant = next(item for item in entrants if item.label.name == told["name"])
        found = draw_alone(entrant, bundle, told["batch"], told["gpu"])
    except StyleganEdgeError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
