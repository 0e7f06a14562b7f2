"""`engine.json`: what an engine was built from and for, and why it does or does not fit where it is to run."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from runtime.device import Device
from runtime.errors import BundleError, IntegrityError, quoted
from runtime.records import digest_of, from_plain, to_plain
from runtime.up_forms import UpForm

ENGINE_FORMAT = 1
"""Version of `engine.json`. An engine of another version is not read: it is built again in minutes."""
ENGINE_RECORD = "engine.json"
MAX_RECORD_BYTES = 1 << 20
"""A record has about 3 KB; what TensorRT warned of is cut to `MAX_WARNINGS` lines."""
MAX_WARNINGS = 50
MAX_BATCH = 4096
"""Images at once: above it, a profile asks for more memory than any GPU has."""
MEMORY_SHARE = 0.95
"""A device may report a little less memory than another of its kind: what the driver keeps for itself varies."""

_GRAPH_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_VERSION = re.compile(r"^\d{1,4}(\.\d{1,9}){1,4}$")
_CAPABILITY = re.compile(r"^\d{1,3}\.\d{1,2}$")


class Flavour(str, Enum):
    """Which TensorRT: the library for all GPUs, or TensorRT-RTX."""

    TENSORRT = "tensorrt"
    RTX = "tensorrt-rtx"


class Hardware(str, Enum):
    """Which other GPUs an engine may run on, beside the one that it is built on."""

    NONE = "none"
    AMPERE_PLUS = "ampere+"
    SAME_CAPABILITY = "same-capability"


@dataclass(frozen=True)
class Profile:
    """Batch sizes that a plan takes, from `least` to `most`, and the one that it is tuned for."""

    least: int
    typical: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.typical <= self.most <= MAX_BATCH:
            raise BundleError(f"a profile is {self}, expected MIN,OPT,MAX with 1 <= MIN <= OPT <= MAX <= {MAX_BATCH}")

    def __str__(self) -> str:
        return f"{self.least},{self.typical},{self.most}"


@dataclass(frozen=True)
class EngineFlags:
    """How TensorRT was told to build; None leaves the choice to it. `workspace` in MiB.

    `tune`: the graphs' up-convolutions were put into the forms that were timed fastest on the device.
    """

    workspace: int | None = None
    optimization_level: int | None = None
    tf32: bool = False
    version_compatible: bool = False
    hardware: Hardware = Hardware.NONE
    strip_weights: bool = False
    refittable: bool = False
    tune: bool = False

    def arguments(self) -> Iterator[str]:
        """The same as command-line arguments."""
        if self.workspace is not None:
            yield from ("--workspace", str(self.workspace))
        if self.optimization_level is not None:
            yield from ("--optimization-level", str(self.optimization_level))
        if self.hardware is not Hardware.NONE:
            yield from ("--hardware-compatible", self.hardware.value)
        for name in ("tf32", "version_compatible", "strip_weights", "refittable", "tune"):
            if getattr(self, name):
                yield "--" + name.replace("_", "-")


@dataclass(frozen=True)
class PlanInfo:
    """One plan: its own digest, the digest of the graph that it was built from, and what TensorRT warned of."""

    sha256: str
    size: int
    graph_sha256: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class LayerTuning:
    """The form that an up-convolution of a graph has in a plan, and why: microseconds a run of each form, timed alone.

    `layer` is its name in the graph. A form that TensorRT refused has no figure.
    """

    graph: str
    layer: str
    form: UpForm
    microseconds: dict[str, float]

    def __post_init__(self) -> None:
        known = {form.value for form in UpForm}
        for name, value in self.microseconds.items():
            if name not in known or not (math.isfinite(value) and value >= 0):
                raise BundleError(
                    f"{ENGINE_RECORD}: {quoted(name)} took {value} us, expected a form's time; build the engine again"
                )

    def summary(self) -> str:
        """In words, the fastest form first."""
        ranked = sorted(self.microseconds.items(), key=lambda item: item[1])
        timed = ", ".join(f"{name} {value:,.1f}" for name, value in ranked)
        return f"{self.layer}: {self.form.value} (microseconds alone: {timed or 'none was built'})"


@dataclass(frozen=True)
class EngineRecord:
    """The whole document. `plans` by the graph's name; the file is `<graph>.plan`. `tuning` is empty without --tune."""

    format_version: int
    flavour: Flavour
    tensorrt: str
    precision: str
    profiles: tuple[Profile, ...]
    flags: EngineFlags
    device: Device
    plans: dict[str, PlanInfo]
    tuning: tuple[LayerTuning, ...] = ()

    def __post_init__(self) -> None:
        _expect(_VERSION, self.tensorrt, "a version of TensorRT")
        _expect(_CAPABILITY, self.device.compute_capability, "a compute capability")
        for name in self.plans:
            _expect(_GRAPH_NAME, name, "a graph's name")
        if not self.plans or not self.profiles:
            raise BundleError(f"{ENGINE_RECORD}: holds no plan or no profile; build the engine again")

    @property
    def fingerprint(self) -> str:
        """The name of the engine's folder: what a person looks for, and a digest of all that tells engines apart.

        Whether an engine is tuned does, what was measured does not: a second --tune is told that there is one.
        """
        plain = to_plain(self)
        del plain["tuning"]
        if not self.flags.tune:
            del plain["flags"]["tune"]  # engines from before there was such a flag keep their names
        graphs = {name: plan.graph_sha256 for name, plan in self.plans.items()}
        capability = self.device.compute_capability.replace(".", "")
        digest = digest_of({**plain, "plans": graphs})
        return f"{self.flavour.value}-{self.tensorrt}-sm{capability}-{self.precision}-{digest[:12]}"

    def to_text(self) -> str:
        """The document as JSON text, with the digest of its own content."""
        content = to_plain(self)
        return json.dumps({**content, "digest": digest_of(content)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> EngineRecord:
        """Read what `to_text` wrote. Raises BundleError, or IntegrityError where the content is not its digest's."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{where}: not JSON ({error}); build the engine again") from None
        version = content.get("format_version") if isinstance(content, dict) else None
        if version != ENGINE_FORMAT or isinstance(version, bool):
            raise BundleError(
                f"{where}: has format_version {quoted(version)}, this release reads {ENGINE_FORMAT}; "
                "build the engine again"
            )
        if content.pop("digest", None) != digest_of(content):
            raise IntegrityError(f"{where}: its content is not what its digest says; build the engine again")
        return from_plain(cls, content, where)

    def build_command(self, bundle: Path) -> str:
        """The command that builds such an engine again, for the graphs and the device that are there then."""
        return build_command(bundle, self.flavour, self.precision, self.profiles, self.flags)


def build_command(
    bundle: Path,
    flavour: Flavour,
    precision: str,
    profiles: tuple[Profile, ...] = (),
    flags: EngineFlags | None = None,
) -> str:
    """A `stylegan-edge build` command line."""
    words = ["stylegan-edge", "build", str(bundle), "--backend", flavour.value, "--precision", precision]
    for profile in profiles:
        words += ["--batch", str(profile)]
    return shlex.join([*words, *(flags or EngineFlags()).arguments()])


@dataclass(frozen=True)
class Host:
    """Where an engine is to run: the device, and the TensorRT that is installed."""

    device: Device
    flavour: Flavour
    tensorrt: str


def fits(record: EngineRecord, host: Host, graphs: Mapping[str, str]) -> list[str]:
    """Why an engine must not run here; empty where it fits. `graphs`: sha256 of the bundle's graphs by name."""
    return [
        *_graph_reasons(record, graphs),
        *_library_reasons(record, host),
        *_device_reasons(record, host.device),
    ]


def _graph_reasons(record: EngineRecord, graphs: Mapping[str, str]) -> Iterator[str]:
    for name, plan in sorted(record.plans.items()):
        if name not in graphs:
            yield f"it holds {name}, which the bundle has no graph of"
        elif plan.graph_sha256 != graphs[name]:
            yield f"it was built from another {name} graph (sha256 {plan.graph_sha256[:12]}, is {graphs[name][:12]})"


def _library_reasons(record: EngineRecord, host: Host) -> Iterator[str]:
    built, found = version_numbers(record.tensorrt), version_numbers(host.tensorrt)
    if record.flavour is not host.flavour:
        yield f"it is for {record.flavour.value}, this is {host.flavour.value}"
    elif record.flags.version_compatible and found < built:
        yield f"it is for TensorRT {record.tensorrt} or newer, this is {host.tensorrt}"
    elif not record.flags.version_compatible and found != built:
        yield f"it is for TensorRT {record.tensorrt}, this is {host.tensorrt}"


def _device_reasons(record: EngineRecord, found: Device) -> Iterator[str]:
    built, hardware = record.device, record.flags.hardware
    if built.platform != found.platform:
        yield f"it is for {built.platform}, this is {found.platform}"
    here = version_numbers(found.compute_capability)
    if hardware is Hardware.AMPERE_PLUS:
        if here < AMPERE:
            yield f"it is for compute capability 8.0 or newer, this is {found.compute_capability}"
    elif version_numbers(built.compute_capability) != here:
        yield f"it is for compute capability {built.compute_capability}, this is {found.compute_capability}"
    if hardware is Hardware.NONE and built.sm_count != found.sm_count:
        yield f"it is for {built.sm_count} multiprocessors ({built.name}), this GPU has {found.sm_count} ({found.name})"
    if found.memory < built.memory * MEMORY_SHARE and hardware is Hardware.NONE:
        yield f"it is for {built.memory >> 20:,} MiB of memory, this GPU has {found.memory >> 20:,}"
    if version_numbers(found.driver) < version_numbers(built.driver):
        yield f"it was built under a driver for CUDA {built.driver}, this one serves {found.driver}"


AMPERE = (8, 0)
"""The compute capability from which an `ampere+` engine runs."""


def version_numbers(text: str) -> tuple[int, ...]:
    """`10.13.3.9` as numbers that compare; what is no number ends them."""
    parts = re.match(r"\d{1,9}(\.\d{1,9})*", text)
    return tuple(int(part) for part in parts.group().split(".")) if parts else ()


def dotted(version: tuple[int, ...]) -> str:
    """Numbers as people write a version, `10.0` for 10."""
    return ".".join(map(str, version if len(version) > 1 else (*version, 0)))


def _expect(pattern: re.Pattern[str], text: str, what: str) -> None:
    if not pattern.match(text):
        raise BundleError(f"{ENGINE_RECORD}: {quoted(text)} is not {what}; build the engine again")
