"""A bundle with an engine, and what is done with it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime import Bundle, Generator
from runtime.backends import BackendName
from runtime.backends.tensorrt import BACKENDS
from runtime.engine_record import Flavour
from runtime.engines import Engine, graph_digests


@dataclass(frozen=True)
class Built:
    """A bundle whose only engines are these, by precision."""

    bundle: Bundle
    flavour: Flavour
    engines: dict[str, Engine]

    @property
    def backend(self) -> BackendName:
        """What runs them."""
        return BACKENDS[self.flavour]

    def load(self, **options: Any) -> Generator:
        """Open the bundle on its engine."""
        return Generator.load(self.bundle, self.backend, **options)

    def copy(self, folder: Path) -> Built:
        """The same, to be spoilt."""
        bundle = Bundle(shutil.copytree(self.bundle.path, folder / "bundle"))
        return Built(bundle, self.flavour, self._moved(bundle))

    def _moved(self, bundle: Bundle) -> dict[str, Engine]:
        home = bundle.path / "engines"
        return {key: Engine(home / item.folder.name, item.record) for key, item in self.engines.items()}


def graphs_of(bundle: Bundle, precision: str, pipeline: bool) -> list[str]:
    """The graphs to build, all that the bundle has in a precision, or without the one-graph form."""
    return [name for name in sorted(graph_digests(bundle, precision)) if pipeline or name != "pipeline"]


def draw(generator: Generator, seeds: Sequence[int], **options: Any) -> np.ndarray:
    """Pixels of seeds, of the second class where there are classes."""
    return generator.generate(seeds, psi=0.7, classes=1 if generator.spec.c_dim else None, **options)


def styles(generator: Generator, seeds: Sequence[int]) -> np.ndarray:
    """Styles of seeds, for `synthesize`."""
    c = generator.labels(1, len(seeds)) if generator.spec.c_dim else None
    return generator.styles(generator.map(generator.latents(seeds), c), 0.7)


def host_memory() -> int | None:
    """Resident bytes of this process; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:")), None)
