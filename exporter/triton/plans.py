"""The TensorRT plan that a repository takes from a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.bundle import Bundle
from runtime.engine_record import EngineRecord, Flavour, Profile, build_command
from runtime.engines import Engine, engine_folders, graph_digests, read_engine
from runtime.errors import BundleError, EngineMismatchError, InputError

SYNTHESIS = "synthesis"


@dataclass(frozen=True)
class Plan:
    """An engine's plan of synthesis, and which of its profiles Triton is to use."""

    engine: Engine
    number: int
    profile: Profile

    @property
    def what_it_needs(self) -> str:
        """Which Triton and GPU load it."""
        record = self.engine.record
        newer = " or newer" if record.flags.version_compatible else ""
        device = record.device
        return (
            f"TensorRT {record.tensorrt}{newer} and a GPU like {device.name} (compute capability "
            f"{device.compute_capability}), on which it was built"
        )


def find_plan(bundle: Bundle, precision: str, folder: str | None = None) -> Plan:
    """The plan of a bundle's only fitting engine, or of the one in `folder`.

    Whether it fits the GPU and the TensorRT of the machine that will serve can't be seen from here.

    Raises EngineMismatchError, with the command that builds one, where none fits; InputError where several do.
    """
    digest = graph_digests(bundle, precision)[SYNTHESIS]
    fitting: list[Plan] = []
    passed_over: list[str] = []
    for path in engine_folders(bundle):
        if folder not in (None, path.name):
            continue
        try:
            engine = read_engine(path)
        except BundleError as error:
            passed_over.append(f"{path.name}: {error}")
            continue
        reasons = list(_reasons(engine.record, precision, digest))
        if reasons:
            passed_over.append(f"{path.name}: {'; '.join(reasons)}")
        else:
            fitting.append(_plan(engine))
    if len(fitting) > 1:
        names = ", ".join(plan.engine.folder.name for plan in fitting)
        raise InputError(f"{bundle.path}: has {len(fitting)} engines that fit: {names}; choose one with --engine NAME")
    if not fitting:
        raise EngineMismatchError(_none_fits(bundle.path, precision, folder, passed_over))
    return fitting[0]


def _reasons(record: EngineRecord, precision: str, digest: str) -> Iterator[str]:
    """Why Triton can't run synthesis with an engine."""
    if record.flavour is not Flavour.TENSORRT:
        yield f"it is for {record.flavour.value}, which Triton has no backend for"
    if record.precision != precision:
        yield f"it is in {record.precision}"
    elif SYNTHESIS not in record.plans:
        yield f"it holds no plan of {SYNTHESIS}"
    elif record.plans[SYNTHESIS].graph_sha256 != digest:
        yield "it was built from another synthesis graph"
    if record.flags.strip_weights:
        yield "its plans hold no weights, which Triton can't put back"
    if all(profile.least > 1 for profile in record.profiles):
        yield f"it takes batches of {' and '.join(map(str, record.profiles))}, expected a profile from 1"


def _plan(engine: Engine) -> Plan:
    """With the profile that takes single images, and of those the one with the largest batch."""
    usable = [(number, item) for number, item in enumerate(engine.record.profiles) if item.least == 1]
    number, profile = max(usable, key=lambda item: item[1].most)
    return Plan(engine, number, profile)


def _none_fits(path: Path, precision: str, folder: str | None, passed_over: list[str]) -> str:
    found = " | ".join(passed_over) or (f"it has no engine {folder}" if folder else "it has no engine")
    command = build_command(path, Flavour.TENSORRT, precision)
    return f"{path}: no engine that Triton can run: build one on the GPU that will serve: {command} ({found})"
