"""The bundles that a server draws from, and what replaces one while it is being drawn from."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime.backends import BackendName
from runtime.bundle import Bundle
from runtime.errors import InputError, StyleganEdgeError, quoted
from runtime.files import sha256_of_path
from runtime.generator import Generator
from runtime.manifest import MANIFEST
from runtime.names import NAME_RULE, is_name
from runtime.parity import FP32
from runtime.server.drawing import BOTH, Picture, Source, check_picture, draw_pictures, draw_styled
from runtime.server.errors import NotFoundError

MAX_ATTEMPTS = 5
"""A bundle may be replaced while it is read, and is then read again; whoever replaces it more often does not rest."""
OUTPUTS = ("pixels", "image", BOTH)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelSource:
    """A bundle to serve: under which name, from where, and what draws it."""

    name: str
    path: Path
    backend: str = BackendName.AUTO.value
    precision: str = FP32
    gpu: int = 0
    threads: int | None = None
    max_batch: int | None = None

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise InputError(f"the model name {quoted(self.name)} is not {NAME_RULE}; name the bundle as NAME=BUNDLE")
        if self.max_batch is not None and self.max_batch < 1:
            raise InputError(f"the largest batch is {self.max_batch}, expected 1 or more")

    @classmethod
    def parse(cls, text: str, defaults: ModelSource | None = None) -> ModelSource:
        """Read `[NAME=]BUNDLE[,backend=B][,precision=P][,gpu=N]`. The name is the folder's unless told otherwise."""
        head, *settings = text.split(",")
        name, equals, path = head.partition("=")
        folder = Path(path if equals else head)
        named = name if equals else folder.resolve().name
        base = replace(defaults, name=named, path=folder) if defaults else cls(named, folder)
        for setting in settings:
            key, _, value = setting.partition("=")
            if key not in ("backend", "precision", "gpu") or not value:
                raise InputError(
                    f"{quoted(setting)} of {quoted(text)} is not understood; "
                    "expected [NAME=]BUNDLE[,backend=B][,precision=P][,gpu=N]"
                )
            settled: dict[str, Any] = {key: _number(setting, value) if key == "gpu" else value}
            base = replace(base, **settled)
        return base


def _number(setting: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 3:
        raise InputError(f"{quoted(setting)} has no number of a GPU")
    return int(value)


@dataclass(frozen=True, eq=False)
class Drawings:
    """One output of a model as a worker's kind of task: of pictures, or of styles that were given."""

    generator: Generator
    output: str
    max_batch: int
    draw: Callable[[Generator, Sequence[Any], str], list[Any]]

    def run(self, items: Sequence[Any]) -> list[Any]:
        """Draw a batch, [H, W, C] or [C, H, W] each, or both."""
        return self.draw(self.generator, items, self.output)


@dataclass(frozen=True, eq=False)
class Mappings:
    """The mapping network as a kind of task: items are pairs of `z` [z_dim] and `c` [c_dim] or None."""

    generator: Generator
    max_batch: int

    def run(self, items: Sequence[Any]) -> list[np.ndarray]:
        """`w` [w_dim] of each."""
        labels = [c for _, c in items if c is not None]
        return list(self.generator.map(np.stack([z for z, _ in items]), np.stack(labels) if labels else None))


@dataclass(eq=False)
class Model:
    """A bundle that is open, with how many requests draw from it."""

    source: ModelSource
    generator: Generator
    digest: str
    device: str
    users: int = 0
    retired: bool = False
    pictures: dict[str, Drawings] = field(init=False)
    styled: dict[str, Drawings] = field(init=False)
    mapping: Mappings = field(init=False)

    def __post_init__(self) -> None:
        size = self.generator.batch_size(self.source.max_batch)
        self.pictures = {output: Drawings(self.generator, output, size, draw_pictures) for output in OUTPUTS}
        self.styled = {output: Drawings(self.generator, output, size, draw_styled) for output in OUTPUTS}
        self.mapping = Mappings(self.generator, size)

    @classmethod
    def load(cls, source: ModelSource) -> Model:
        """Open a bundle and draw one image, so that the first request waits for nothing.

        Raises what `Generator.load` raises, and InputError where the bundle is replaced again and again meanwhile.
        """
        for _ in range(MAX_ATTEMPTS):
            before = stamp(source.path)
            bundle = Bundle(source.path)
            digest = sha256_of_path(source.path / MANIFEST)
            generator = Generator.load(bundle, source.backend, source.precision, threads=source.threads, gpu=source.gpu)
            _ = bundle.constants, bundle.directions  # read now: the files may be others later
            if stamp(source.path) == before:
                device = f"cuda:{source.gpu}" if generator.device == "cuda" else generator.device
                warm_up(generator)
                return cls(source, generator, digest, device)
            generator.close()
        raise InputError(f"{source.path}: was replaced {MAX_ATTEMPTS} times while it was read; serve it once it rests")

    def release(self) -> None:
        """Free it once it was replaced and nobody draws from it."""
        if self.retired and self.users == 0:
            self.generator.close()


def warm_up(generator: Generator) -> None:
    """Draw one image: the first is slower than all others."""
    spec = generator.spec
    c = np.zeros(spec.c_dim, np.float32) if spec.c_dim else None
    source = Source(np.zeros(spec.z_dim, np.float32), c)
    picture = Picture((source,) * generator.seeds_per_image, noise=generator.own_noise)
    check_picture(generator, picture)
    draw_pictures(generator, [picture])


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells a bundle from the one that replaces it, without reading it; None while there is none."""
    try:
        found = (path / MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Models:
    """The models by name. Whoever draws from one holds it by `use`; `refresh` replaces those whose bundle changed."""

    def __init__(self, sources: Sequence[ModelSource], on_failure: Callable[[str], None] | None = None) -> None:
        """Load them all. Raises what `Model.load` raises, and InputError where there is none or a name stands twice."""
        names = [source.name for source in sources]
        if not names:
            raise InputError("no bundle given, expected at least one to serve")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"two bundles are called {twice[0]}: name one otherwise, as OTHER=BUNDLE")
        self._lock = threading.Lock()
        self._stamps = {source.name: stamp(source.path) for source in sources}
        self._models: dict[str, Model] = {}
        self._on_failure = on_failure
        try:
            for source in sources:
                self._models[source.name] = Model.load(source)
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """In the order in which they were given."""
        return list(self._models)

    @property
    def devices(self) -> list[str]:
        """The devices that they draw on."""
        return sorted({model.device for model in self._models.values()})

    def get(self, name: str | None = None) -> Model:
        """A model, of those there is the only one unless named. Raises NotFoundError. To draw from it, `use` it."""
        known = ", ".join(self._models)
        if name is None:
            if len(self._models) > 1:
                raise InputError(f"several models are served, so one must be named: model is one of {known}")
            return next(iter(self._models.values()))
        if name not in self._models:
            raise NotFoundError(f"model {quoted(name)} is not served, expected one of {known}")
        return self._models[name]

    @contextmanager
    def use(self, name: str | None = None) -> Iterator[Model]:
        """A model that stays open until the block ends, though it be replaced meanwhile."""
        with self._lock:
            model = self.get(name)
            model.users += 1
        try:
            yield model
        finally:
            self._let_go(model)

    def keep(self, model: Model, futures: Iterable[Future[Any]]) -> None:
        """Hold a model, which the caller holds, until all futures are done: a batch may outlive who asked for it."""
        for future in futures:
            with self._lock:
                model.users += 1
            future.add_done_callback(lambda _: self._let_go(model))

    def _let_go(self, model: Model) -> None:
        with self._lock:
            model.users -= 1
            model.release()

    def refresh(self) -> list[str]:
        """Load the bundles that were replaced since; the names of those that now draw.

        One that can't be loaded leaves the old one drawing, and is tried again when it changes again.
        """
        changed = []
        for name, model in list(self._models.items()):
            now = stamp(model.source.path)
            if now is None or now == self._stamps[name]:  # on its way, or as it was
                continue
            self._stamps[name] = now
            try:
                fresh = Model.load(model.source)
            except StyleganEdgeError as error:
                _log.error(
                    "model %s: its bundle was replaced by one that can't be served, the old one stays: %s", name, error
                )
                if self._on_failure is not None:
                    self._on_failure(name)
                continue
            self._replace(name, fresh)
            _log.warning("model %s: its bundle was replaced, now %s", name, fresh.digest[:12])
            changed.append(name)
        return changed

    def _replace(self, name: str, fresh: Model) -> None:
        with self._lock:
            old, self._models[name] = self._models[name], fresh
            old.retired = True
            old.release()

    def close(self) -> None:
        """Free them all, each when nobody draws from it any more."""
        with self._lock:
            for model in self._models.values():
                if not model.retired:
                    model.retired = True
                    model.release()
