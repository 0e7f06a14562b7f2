"""A process that draws with one of the bundle's own contestants, alone: `python -m runtime.bench.alone ARGUMENTS`."""

from __future__ import annotations

import json
import sys

from runtime.backends import RunOptions
from runtime.bench.contestants import own_entrants
from runtime.bench.memory import draw_alone
from runtime.bundle import Bundle
from runtime.errors import StyleganEdgeError


def main() -> None:
    """The entry of the process."""
    told = json.loads(sys.argv[1])
    bundle = Bundle(told["bundle"])
    entrants = own_entrants(bundle, (), [told["precision"]], RunOptions(threads=told["threads"], gpu=told["gpu"]))
    entrant = next(item for item in entrants if item.label.name == told["way"])
    try:
        found = draw_alone(entrant, bundle, told["batch"], told["gpu"])
    except StyleganEdgeError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
