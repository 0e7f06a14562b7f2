"""The engines of a bundle: found, checked, and chosen by what they were built for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.bundle import Bundle, graph_key
from runtime.engine_record import (
    ENGINE_RECORD,
    MAX_RECORD_BYTES,
    EngineFlags,
    EngineRecord,
    Host,
    build_command,
    fits,
)
from runtime.errors import BundleError, EngineMismatchError, IntegrityError

ENGINES = "engines"
"""The folder of a bundle that holds a folder for each engine."""
MAX_ENGINES = 100
"""Engines of a bundle that are looked at."""


@dataclass(frozen=True)
class Engine:
    """An engine on disk, with its record read and checked, and no plan read yet."""

    folder: Path
    record: EngineRecord

    def read_plan(self, graph: str) -> bytes:
        """A plan's bytes, after their size and sha256 proved to be the record's.

        Raises BundleError where the engine holds no such plan, IntegrityError where the file is not the one built.
        """
        if graph not in self.record.plans:
            raise BundleError(f"{self.folder}: holds no plan of {graph}, only {', '.join(sorted(self.record.plans))}")
        info, path = self.record.plans[graph], plan_path(self.folder, graph)
        if not path.is_file() or path.is_symlink():
            raise IntegrityError(f"{path}: is missing; {self._again()}")
        if path.stat().st_size != info.size:
            raise IntegrityError(f"{path}: has {path.stat().st_size} bytes, expected {info.size}; {self._again()}")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != info.sha256:
            raise IntegrityError(f"{path}: its sha256 is not its record's: it was changed or damaged; {self._again()}")
        return data

    @property
    def rebuild_command(self) -> str:
        """The command that builds it again in its place."""
        return f"{self.record.build_command(self.folder.parent.parent)} --force"

    def _again(self) -> str:
        return f"build it again: {self.rebuild_command}"


def plan_path(folder: Path, graph: str) -> Path:
    """Where an engine's plan of a graph is."""
    return folder / f"{graph}.plan"


def read_engine(folder: Path) -> Engine:
    """Open one engine. Raises BundleError or IntegrityError where its record is missing, malformed or changed."""
    path = folder / ENGINE_RECORD
    if not path.is_file() or path.is_symlink():
        raise BundleError(f"{path}: is missing; build the engine again")
    if path.stat().st_size > MAX_RECORD_BYTES:
        raise BundleError(f"{path}: has {path.stat().st_size:,} bytes, over the limit of {MAX_RECORD_BYTES:,}")
    try:
        record = EngineRecord.from_text(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError:
        raise BundleError(f"{path}: is not UTF-8 text; build the engine again") from None
    if record.fingerprint != folder.name:
        raise IntegrityError(f"{folder}: its record is that of {record.fingerprint}; build the engine again")
    return Engine(folder, record)


def engine_folders(bundle: Bundle) -> list[Path]:
    """The folders of a bundle's engines, in order; what a killed build left hidden is none."""
    home = bundle.path / ENGINES
    if not home.is_dir() or home.is_symlink():
        return []
    folders = (entry for entry in home.iterdir() if entry.is_dir() and not entry.is_symlink())
    return sorted(entry for entry in folders if not entry.name.startswith("."))[:MAX_ENGINES]


def graph_digests(bundle: Bundle, precision: str) -> Mapping[str, str]:
    """sha256 of the bundle's graphs of one precision, by name."""
    files, graphs = bundle.manifest.files, bundle.manifest.graphs
    names = {key.split(".")[0] for key in graphs}
    keys = {name: graph_key(name, precision) for name in names}
    return {name: files[graphs[key].file].sha256 for name, key in keys.items() if key in graphs}


def choose_engine(
    bundle: Bundle, host: Host, precision: str = "fp32", graph: str = "synthesis", refittable: bool = False
) -> Engine:
    """The engine that fits this host (and, asked for, can be refitted): the newest TensorRT, the tightest device first.

    Raises EngineMismatchError, with why each engine was passed over and the one command that builds, where none fits.
    """
    digests = graph_digests(bundle, precision)
    passed_over: list[str] = []
    command = build_command(bundle.path, host.flavour, precision, flags=EngineFlags(refittable=refittable))
    fitting: list[Engine] = []
    for folder in engine_folders(bundle):
        try:
            engine = read_engine(folder)
        except BundleError as error:
            passed_over.append(f"{folder.name}: {error}")
            continue
        if engine.record.precision != precision or graph not in engine.record.plans:
            continue
        reasons = fits(engine.record, host, digests)
        if refittable and not engine.record.flags.refittable:
            reasons.append("it was built without --refittable")
        if reasons:
            passed_over.append(f"{folder.name}: {'; '.join(reasons)}")
            if engine.record.flavour is host.flavour:
                flags = replace(engine.record.flags, refittable=refittable or engine.record.flags.refittable)
                command = replace(engine.record, flags=flags).build_command(bundle.path)
        else:
            fitting.append(engine)
    if not fitting:
        found = " | ".join(passed_over) or f"it has no {host.flavour.value} engine of {graph} in {precision}"
        raise EngineMismatchError(f"{bundle.path}: no engine fits this device; build one: {command} ({found})")
    return min(fitting, key=_preference)


def _preference(engine: Engine) -> tuple[bool, bool, bool, str]:
    """Engines that may run elsewhere too are slower, so they come last; a tuned one comes before its like."""
    flags = engine.record.flags
    return (flags.hardware.value != "none", flags.version_compatible, not flags.tune, engine.folder.name)
