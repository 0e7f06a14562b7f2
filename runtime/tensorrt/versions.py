"""Which TensorRT has what: the versions that are supported, and the names that not all of them have."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from runtime.engine_record import Flavour, dotted, version_numbers
from runtime.errors import BackendUnavailableError, InputError, MissingDependencyError, quoted
from runtime.extras import how_to_install

OLDEST, NEWEST = (8, 6), (11,)
"""TensorRT proper: JetPack 6.0's, and the newest major version that the code was looked up in."""
MODULES = {Flavour.TENSORRT: ("tensorrt", "tensorrt_bindings"), Flavour.RTX: ("tensorrt_rtx",)}
"""Where the bindings are imported from; wheels built for another platform have the second name alone."""

_VERSION = re.compile(r"^\d{1,4}(\.\d{1,9}){0,4}$", re.ASCII)


@dataclass(frozen=True)
class Traits:
    """A feature that some versions lack: what users call it, the names it needs, and in which versions they are.

    `until` is the first version without it. `in_rtx` says whether TensorRT-RTX honours it, which has names that it
    only warns of.
    """

    label: str
    names: tuple[str, ...]
    since: tuple[int, ...] = OLDEST
    until: tuple[int, ...] | None = None
    in_rtx: bool = True


class Feature(Enum):
    """Every feature that is used where it exists. The rest of the code uses names that all versions have."""

    EXPLICIT_BATCH = Traits("explicit batch", ("NetworkDefinitionCreationFlag.EXPLICIT_BATCH",), until=(11,))
    STRONG_TYPING = Traits("strong typing", ("NetworkDefinitionCreationFlag.STRONGLY_TYPED",), since=(9,))
    FLOAT16_FLAG = Traits(
        "float16 in weakly typed networks",
        (
            "BuilderFlag.FP16",
            "BuilderFlag.OBEY_PRECISION_CONSTRAINTS",
            "ILayer.precision",
            "ILayer.set_output_type",
        ),
        until=(11,),
    )
    INT8_FLAG = Traits("int8 in weakly typed networks", ("BuilderFlag.INT8",), until=(11,))
    FLOAT8 = Traits("float8", ("NetworkDefinitionCreationFlag.STRONGLY_TYPED",), since=(9,))
    PROGRESS = Traits("progress", ("IProgressMonitor", "IBuilderConfig.progress_monitor"), since=(9,))
    PARSER_NODES = Traits("names of refused nodes", ("ParserError.node_name", "ParserError.node_operator"), since=(9,))
    VERSION_COMPATIBLE = Traits("--version-compatible", ("BuilderFlag.VERSION_COMPATIBLE",), in_rtx=False)
    AMPERE_PLUS = Traits(
        "--hardware-compatible ampere+",
        ("HardwareCompatibilityLevel.AMPERE_PLUS",),
        in_rtx=False,
    )
    SAME_CAPABILITY = Traits(
        "--hardware-compatible same-capability",
        ("HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY",),
        since=(10, 9),
        in_rtx=False,
    )
    PROFILE_SHARING = Traits(
        "profiles shared on request", ("PreviewFeature.PROFILE_SHARING_0806",), until=(11,), in_rtx=False
    )
    MANAGED_MEMORY = Traits(
        "activations in memory of our own", ("ExecutionContextAllocationStrategy.USER_MANAGED",), since=(10,)
    )
    WITHOUT_MEMORY = Traits(
        "contexts without memory of their own",
        ("ICudaEngine.create_execution_context_without_device_memory",),
        until=(11,),
    )
    SIZED_MEMORY = Traits(
        "activations, with their size",
        ("ICudaEngine.device_memory_size_v2", "IExecutionContext.set_device_memory"),
        since=(10, 1),
    )
    UNSIZED_MEMORY = Traits("activations, without it", ("ICudaEngine.device_memory_size",), until=(11,))
    STRIP_WEIGHTS = Traits("--strip-weights", ("BuilderFlag.STRIP_PLAN", "BuilderFlag.REFIT_IDENTICAL"), since=(10,))
    KEEP_REFIT = Traits("refitting more than once", ("SerializationFlag.INCLUDE_REFIT",), since=(10, 14))
    REFIT_FROM_GRAPH = Traits(
        "--refit",
        (
            "OnnxParserRefitter",
            "OnnxParserRefitter.refit_from_bytes",
            "ISerializationConfig",
            "ICudaEngine.create_serialization_config",
            "ICudaEngine.serialize_with_config",
            "SerializationFlag.EXCLUDE_WEIGHTS",
        ),
        since=(10,),
    )


@dataclass(frozen=True)
class Library:
    """TensorRT, imported."""

    module: Any
    flavour: Flavour
    version: str

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"{'TensorRT-RTX' if self.flavour is Flavour.RTX else 'TensorRT'} {self.version}"

    def has(self, feature: Feature) -> bool:
        """Whether every name of a feature is there and honoured."""
        if self.flavour is Flavour.RTX and not feature.value.in_rtx:
            return False
        return all(self._find(name) is not None for name in feature.value.names)

    def require(self, feature: Feature) -> None:
        """Raise InputError, naming the versions that have it, where a feature is missing."""
        if not self.has(feature):
            raise InputError(f"{self.name} has no {feature.value.label}, {available_in(feature.value)}; leave it out")

    def _find(self, path: str) -> Any:
        found = self.module
        for part in path.split("."):
            found = getattr(found, part, None)
        return found


def parse_supported(text: str) -> tuple[int, ...]:
    """`10.3` -> (10, 3). Raises InputError where it is no version, or not one that is supported."""
    numbers = version_numbers(text) if _VERSION.match(text) else ()
    if not numbers:
        raise InputError(f"{quoted(text)} is not a version of TensorRT like 8.6 or 10.3")
    if not _is_supported(numbers):
        raise InputError(f"TensorRT {dotted(numbers)} is not supported, expected {dotted(OLDEST)} to {NEWEST[0]}")
    return numbers


def _is_supported(numbers: tuple[int, ...]) -> bool:
    return numbers[:2] >= OLDEST and numbers[:1] <= NEWEST


def available_in(traits: Traits) -> str:
    """In words: the versions that have a feature."""
    rtx = "" if traits.in_rtx else ", TensorRT-RTX has not"
    if traits.until is None:
        return f"TensorRT {dotted(traits.since)} and newer have it{rtx}"
    return f"TensorRT before {dotted(traits.until)} has it{rtx}"


def load_library(flavour: Flavour) -> Library:
    """Import TensorRT.

    Raises MissingDependencyError, naming what to install, where it is missing, and BackendUnavailableError where it is
    broken or of a version that is not supported.
    """
    for name in MODULES[flavour]:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        except (ImportError, OSError, RuntimeError) as error:
            first = str(error).strip().split("\n")[0][:200]
            raise BackendUnavailableError(
                f"{name} is installed but can't be imported ({first}): {how_to_install(flavour.value)}"
            ) from None
        return _checked(Library(module, flavour, str(getattr(module, "__version__", "0"))))
    raise MissingDependencyError(
        f"{flavour.value} is not installed, and this command needs it: {how_to_install(flavour.value)}"
    )


def _checked(library: Library) -> Library:
    numbers = version_numbers(library.version)
    if library.flavour is Flavour.TENSORRT and not _is_supported(numbers):
        raise BackendUnavailableError(
            f"{library.name} is installed, expected {dotted(OLDEST)} to {NEWEST[0]}: "
            f"{how_to_install(library.flavour.value)}"
        )
    return library
