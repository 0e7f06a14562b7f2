"""A new engine out of an old one: the weights of another bundle of the same specification, without another build."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from engines.proof import prove
from engines.store import check_target
from engines.up_graph import UpGraph
from runtime.backends.tensorrt.plan import deserialize
from runtime.bundle import Bundle
from runtime.cuda import Gpu
from runtime.engine_record import ENGINE_RECORD, EngineFlags, EngineRecord, Host, PlanInfo
from runtime.engines import ENGINES, Engine, choose_engine, graph_digests, plan_path, read_engine
from runtime.errors import EngineMismatchError, InputError, quoted
from runtime.output import move_into_place, staging_folder
from runtime.parity import Figures
from runtime.tensorrt.refit import refit_from_graph
from runtime.tensorrt.versions import Feature, Library

if TYPE_CHECKING:
    import tensorrt

ONE_DIFFERS = "expected bundles that differ in their weights alone; build an engine of this one instead"


def refit_engine(
    bundle: Bundle, donor: Bundle, library: Library, host: Host, precision: str, gpu: int = 0, force: bool = False
) -> tuple[Engine, list[Figures]]:
    """Give a bundle the engine of `donor` that fits here, with the bundle's weights in it; proven before it is kept.

    Returns the engine and its parity with the bundle's golden samples. Raises InputError where the bundles differ in
    more than weights, EngineMismatchError where no engine of the donor fits and can be refitted, ParityError where the
    images are not the bundle's, OutputError as `build_engine` does, MissingDependencyError where the engine is a tuned
    one and onnx, which puts the bundle's graphs into the same forms, is not there. Then nothing is left behind.
    """
    library.require(Feature.REFIT_FROM_GRAPH)
    _check_alike(bundle, donor)
    old = choose_engine(donor, host, precision, refittable=True)
    digests = graph_digests(bundle, precision)
    for name in old.record.plans:
        if name not in digests:
            raise InputError(
                f"{bundle.path}: has no graph {name!r} in {precision}, which the engine has; {ONE_DIFFERS}"
            )
    plans = {name: PlanInfo("", 0, digests[name], ()) for name in sorted(old.record.plans)}
    record = dataclasses.replace(old.record, plans=plans, flags=_flags_after(library, old.record))
    target = bundle.path / ENGINES / record.fingerprint
    check_target(target, force)
    with staging_folder(target) as folder:
        for name in plans:
            plan = _refitted(library, old, name, bundle.graph_path(name, precision), gpu)
            plan_path(folder, name).write_bytes(plan)
            plans[name] = PlanInfo(hashlib.sha256(plan).hexdigest(), len(plan), digests[name], ())
        (folder / ENGINE_RECORD).write_text(record.to_text(), encoding="utf-8")
        figures = prove(bundle, library, Engine(folder, record), gpu)
        move_into_place(folder, target)
    return read_engine(target), figures


def _check_alike(bundle: Bundle, donor: Bundle) -> None:
    mine, theirs = bundle.manifest, donor.manifest
    if mine.specification != theirs.specification:
        raise InputError(f"{bundle.path} and {donor.path} have other specifications; {ONE_DIFFERS}")
    if mine.options != theirs.options:
        raise InputError(f"{bundle.path} and {donor.path} were exported with other options; {ONE_DIFFERS}")


def _flags_after(library: Library, record: EngineRecord) -> EngineFlags:
    """A refitted plan can be refitted again where it holds no weights, or where TensorRT can be told to keep that."""
    keeps = record.flags.strip_weights or library.has(Feature.KEEP_REFIT)
    return dataclasses.replace(record.flags, refittable=keeps)


def _refitted(library: Library, old: Engine, name: str, graph: Path, gpu: int) -> bytes:
    """An old plan with the weights of a graph; a stripped one as it is, after the weights proved to fit."""
    data, content = old.read_plan(name), _as_tuned(old.record, name, graph)
    with Gpu.open(gpu).current():
        engine: tensorrt.ICudaEngine = deserialize(library, old, name, data)
        refit_from_graph(library, engine, graph, content)
        return data if old.record.flags.strip_weights else _serialize(library, engine)


def _as_tuned(record: EngineRecord, name: str, graph: Path) -> bytes | None:
    """A graph with its up-convolutions in the forms that an engine was tuned to; None where it was not."""
    forms = {item.layer: item.form for item in record.tuning if item.graph == name}
    if not forms:
        return None
    found = UpGraph(graph.read_bytes())
    known = {layer.name: layer.forms for layer in found.layers}
    unlike = next((layer for layer, form in forms.items() if form not in known.get(layer, ())), None)
    if unlike is not None:
        raise EngineMismatchError(
            f"{graph}: has no up-convolution {quoted(unlike)} like the one that the engine was tuned for; "
            "build an engine of this bundle instead, with --tune"
        )
    return found.rewritten(forms)


def _serialize(library: Library, engine: tensorrt.ICudaEngine) -> bytes:
    """The plan with its weights, and refittable again where this TensorRT can."""
    trt = library.module
    config: tensorrt.ISerializationConfig = engine.create_serialization_config()
    config.clear_flag(trt.SerializationFlag.EXCLUDE_WEIGHTS)
    if library.has(Feature.KEEP_REFIT):
        config.set_flag(trt.SerializationFlag.INCLUDE_REFIT)
    data: tensorrt.IHostMemory = engine.serialize_with_config(config)
    return bytes(memoryview(data))
