"""How a cluster is set up, and the JSON in which its configuration files say so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.files import sha256_of_path
from runtime.manifest import MANIFEST
from runtime.server.limits import Limits
from runtime.server.models import ModelSource
from runtime.server.settings import RELOAD_SECONDS, Settings
from runtime.server.tokens import environment_tokens

TARGET_ONGOING = 32
"""Requests that a replica has at a time before another is started: two batches of 16, one drawn and one waiting."""
INGRESS_REPLICAS = 2
"""One may die while the other answers."""
INGRESS_CPUS = 0.1
"""Of a core that an ingress replica reserves: it waits, mostly."""
MAX_REPLICAS = 10_000
"""A typing error is caught, a large cluster is not."""


@dataclass(frozen=True)
class ClusterSettings:
    """What is served by how many replicas.

    A replica draws on `gpus` GPUs (0: none; 0.5: two share one) and reserves `cpus` cores, on which it draws where it
    has no GPU. There are `min_replicas` to `max_replicas` of them, so many that each has about `target_ongoing`
    requests at a time. `ingress_replicas` stand before them, and ask another where one dies. `version` says which
    bundles these are: a configuration with another makes Ray replace the replicas one by one.
    """

    sources: tuple[ModelSource, ...]
    limits: Limits = field(default_factory=Limits)
    max_wait: float = 0.0
    reload_seconds: float = RELOAD_SECONDS
    min_replicas: int = 1
    max_replicas: int = 1
    gpus: float = 0.0
    cpus: float = 1.0
    target_ongoing: int = TARGET_ONGOING
    ingress_replicas: int = INGRESS_REPLICAS
    version: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas <= MAX_REPLICAS:
            raise InputError(
                f"replicas are {self.min_replicas} to {self.max_replicas}, expected 1 to {MAX_REPLICAS}, the smaller "
                "number first"
            )
        if (self.gpus > 1 and self.gpus != int(self.gpus)) or self.gpus < 0:
            raise InputError(f"{self.gpus:g} GPUs a replica, expected a fraction of one, or a whole number")
        if not self.cpus > 0:
            raise InputError(f"{self.cpus:g} cores a replica, expected more than 0")
        if self.target_ongoing < 1 or self.ingress_replicas < 1:
            raise InputError("target_ongoing and ingress_replicas are 1 or more")
        if not self.sources:
            raise InputError("no bundle given, expected at least one to serve")

    @property
    def threads(self) -> int:
        """CPU threads that a replica draws with: those that it reserves, lest replicas fight for cores."""
        return max(1, int(self.cpus))

    @property
    def server(self) -> Settings:
        """What each replica serves. Ray shows a replica only its own GPUs, so its first is number 0."""
        sources = tuple(replace(source, gpu=0, threads=source.threads or self.threads) for source in self.sources)
        # Read where the application runs, so that no configuration file holds them.
        return Settings(sources, self.limits, self.max_wait, environment_tokens(), self.reload_seconds)

    def versioned(self) -> ClusterSettings:
        """The same with the version of the bundles that are there now. Raises BundleError where one is none."""
        for source in self.sources:
            Bundle(source.path)
        digests = [sha256_of_path(source.path / MANIFEST) for source in self.sources]
        return replace(self, version=hashlib.sha256("".join(digests).encode()).hexdigest()[:12])

    def moved(self, folder: Path) -> ClusterSettings:
        """The same with the bundles in another folder."""
        return replace(self, sources=tuple(replace(source, path=folder / source.path.name) for source in self.sources))

    def document(self) -> dict[str, Any]:
        """As JSON, with absolute paths; what has its default is left out of limits."""
        plain = asdict(self)
        plain["sources"] = [
            {
                name: str(value.absolute()) if name == "path" else value
                for name, value in item.items()
                if value is not None
            }
            for item in plain["sources"]
        ]
        plain["limits"] = {name: value for name, value in plain["limits"].items() if value != getattr(Limits(), name)}
        return plain

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ClusterSettings:
        """Of such JSON. Raises InputError where it is not."""
        try:
            sources = tuple(ModelSource(**{**item, "path": Path(item["path"])}) for item in document["sources"])
            limits = Limits(**document.get("limits", {}))
            others = {name: value for name, value in document.items() if name not in ("sources", "limits")}
            return cls(sources, limits, **others)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"the arguments of the application are not those of 'stylegan-edge deploy ray' ({error}); write the "
                "configuration anew"
            ) from None
