"""Engines into a bundle: built in a hidden folder beside their place, and renamed when every plan is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engines.builder import BuiltPlan, PlanBuilder, Source
from engines.options import BuildOptions
from engines.progress import Report
from engines.tune import DeviceTimer, tune
from runtime.bundle import Bundle, graph_key
from runtime.device import Device
from runtime.engine_record import ENGINE_FORMAT, ENGINE_RECORD, EngineRecord, PlanInfo
from runtime.engines import ENGINES, Engine, graph_digests, plan_path, read_engine
from runtime.errors import InputError, OutputError
from runtime.output import move_into_place, staging_folder
from runtime.tensorrt.versions import Library

Reporter = Callable[[str], Report | None]
"""Given the name of a graph whose build begins, or `TUNING`, returns what takes its progress."""
TUNING = "tuning"
"""What is reported on before the first graph, with --tune."""

Check = Callable[[Engine], object]
"""Raises where a built engine must not be kept."""


def build_engine(
    bundle: Bundle,
    library: Library,
    device: Device,
    options: BuildOptions,
    precision: str = "fp32",
    graphs: Sequence[str] = (),
    force: bool = False,
    reporter: Reporter | None = None,
    check: Check | None = None,
) -> tuple[Engine, bytes | None]:
    """Build an engine of a bundle's graphs (default: all of this precision) and return it with the timing cache.

    `device` describes the GPU of the options; `check` sees the engine before it is put in place. Raises InputError for
    a wrong option, EngineBuildError where TensorRT refuses a graph, OutputError where the engine exists already or
    can't be written, and what `check` raises. Then nothing is left behind, and an engine that `force` would replace
    stays. With the flag `tune`, the graphs are rewritten first, and what `tune` and `DeviceTimer` raise is raised too.
    """
    sources = find_sources(bundle, precision, graphs)
    builder = PlanBuilder(library, options)
    digests = graph_digests(bundle, precision)
    plans = {source.name: PlanInfo("", 0, digests[source.name], ()) for source in sources}
    record = EngineRecord(
        ENGINE_FORMAT, library.flavour, library.version, precision, options.profiles, options.flags, device, plans
    )
    target = bundle.path / ENGINES / record.fingerprint
    check_target(target, force)
    if options.flags.tune:
        timer = DeviceTimer(library, device, options, precision)
        tuned = tune(sources, timer, None if reporter is None else reporter(TUNING))
        sources, record = tuned.sources, replace(record, tuning=tuned.layers)
    cache = options.timing_cache
    with staging_folder(target) as folder:
        for source in sources:
            built = builder.build(source, None if reporter is None else reporter(source.name))
            plans[source.name] = _write_plan(folder, source, built, digests[source.name])
            cache = built.timing_cache
        (folder / ENGINE_RECORD).write_text(record.to_text(), encoding="utf-8")
        if check is not None:
            check(Engine(folder, record))
        move_into_place(folder, target)
    return read_engine(target), cache


def find_sources(bundle: Bundle, precision: str, names: Sequence[str]) -> list[Source]:
    """The graphs to build (default: all of this precision). Raises InputError for one that the bundle lacks."""
    found = sorted(graph_digests(bundle, precision))
    if not found:
        raise InputError(f"{bundle.path}: has no graph in precision {precision[:20]!r}; export it again with that")
    unknown = next((name for name in names if name not in found), None)
    if unknown is not None:
        raise InputError(f"{bundle.path}: has no graph {unknown[:40]!r} in {precision}, only {', '.join(found)}")
    infos = {name: bundle.manifest.graphs[graph_key(name, precision)] for name in names or found}
    return [Source(name, bundle.path / info.file, info.inputs, info.outputs, precision) for name, info in infos.items()]


def check_target(target: Path, force: bool) -> None:
    """Refuse, before any work, an engine that is there already. Raises OutputError."""
    if target.parent.is_symlink():
        raise OutputError(f"{target.parent}: is a link, expected a folder of the bundle; remove it")
    if target.exists() and not force:
        raise OutputError(f"{target}: exists already and was built from these graphs; pass --force to build it again")


def _write_plan(folder: Path, source: Source, built: BuiltPlan, graph_sha256: str) -> PlanInfo:
    plan_path(folder, source.name).write_bytes(built.plan)
    return PlanInfo(hashlib.sha256(built.plan).hexdigest(), len(built.plan), graph_sha256, built.warnings)
