"""What a build is told: profiles, flags and a timing cache, checked before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from runtime.engine_record import EngineFlags, Hardware, Profile
from runtime.errors import BundleError, InputError
from runtime.manifest import TensorInfo
from runtime.tensorrt.versions import Feature, Library

DEFAULT_PROFILES = (Profile(1, 1, 8),)
"""One image at once is what an interactive caller asks for; up to eight for a film."""
MAX_PROFILES = 16
"""Each profile is tuned for separately, so it takes as long as an engine of its own."""
MAX_OPTIMIZATION_LEVEL = 5
MAX_WORKSPACE = 1 << 20
"""MiB: more than any GPU has."""
BATCH = "batch"
"""The name of the free size in a graph's inputs; others, `noise_00_batch`, may be 1 whatever the batch is."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BuildOptions:
    """How to build. `timing_cache` holds what earlier builds measured (None: build without); `gpu` is its number."""

    profiles: tuple[Profile, ...] = DEFAULT_PROFILES
    flags: EngineFlags = field(default_factory=EngineFlags)
    timing_cache: bytes | None = None
    gpu: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.profiles) <= MAX_PROFILES:
            raise InputError(f"{len(self.profiles)} profiles were given, expected 1 to {MAX_PROFILES}")
        if len(set(self.profiles)) < len(self.profiles):
            raise InputError(f"a profile was given twice: {' '.join(map(str, self.profiles))}")
        if self.flags.tune and self.flags.strip_weights:
            raise InputError(
                "--tune does not go with --strip-weights: a plan without weights takes them from the bundle's graph, "
                "whose up-convolutions have other forms than a tuned one's; leave one of them out"
            )
        _check_range("workspace", self.flags.workspace, 1, MAX_WORKSPACE)
        _check_range("optimization level", self.flags.optimization_level, 0, MAX_OPTIMIZATION_LEVEL)

    def features(self) -> Iterator[Feature]:
        """What TensorRT must have for these options."""
        if self.flags.version_compatible:
            yield Feature.VERSION_COMPATIBLE
        if self.flags.hardware is Hardware.AMPERE_PLUS:
            yield Feature.AMPERE_PLUS
        if self.flags.hardware is Hardware.SAME_CAPABILITY:
            yield Feature.SAME_CAPABILITY
        if self.flags.strip_weights:
            yield Feature.STRIP_WEIGHTS

    def check(self, library: Library) -> None:
        """Raise InputError for the first option that this TensorRT lacks."""
        for feature in self.features():
            library.require(feature)


def _check_range(what: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InputError(f"{what} is {value}, expected {least} to {most}")


def parse_profile(text: str) -> Profile:
    """`MIN,OPT,MAX`, or one number for a batch that never changes."""
    try:
        numbers = [int(part) for part in text.split(",")]
        least, typical, most = numbers * 3 if len(numbers) == 1 else numbers
    except ValueError:
        raise InputError(f"batch {text[:40]!r} is not MIN,OPT,MAX like 1,1,8") from None
    try:
        return Profile(least, typical, most)
    except BundleError as error:
        raise InputError(f"batch {text[:40]!r}: {error}") from None


def input_shapes(inputs: Sequence[TensorInfo], profile: Profile) -> dict[str, tuple[Shape, Shape, Shape]]:
    """The smallest, typical and largest shape of each input with a free size.

    Noise and transforms are usually one for the whole batch, so a plan is tuned for that, and takes one a image too.
    """
    shapes = {}
    for item in inputs:
        free = [size for size in item.shape if isinstance(size, str)]
        if free:
            own = free[0] != BATCH
            sizes = (1, 1, profile.most) if own else (profile.least, profile.typical, profile.most)
            least, typical, most = (_filled(item.shape, size) for size in sizes)
            shapes[item.name] = (least, typical, most)
    return shapes


def _filled(shape: Sequence[int | str], size: int) -> Shape:
    return tuple(size if isinstance(item, str) else item for item in shape)
