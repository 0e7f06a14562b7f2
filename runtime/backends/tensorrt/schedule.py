"""How a batch is run by profiles that take certain batches only: split, padded, or as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runtime.engine_record import Profile


@dataclass(frozen=True)
class Step:
    """A run of one profile at one batch size."""

    profile: int
    batch: int


@dataclass(frozen=True)
class Piece:
    """`count` images from `start` on, run in one step; a step's batch beyond `count` is padding."""

    step: Step
    start: int
    count: int


Way = tuple[Piece, ...]


def ways(count: int, profiles: Sequence[Profile]) -> list[Way]:
    """The ways to run `count` images: full batches of one profile, the remainder by it or another; no two alike."""
    found = []
    for main in range(len(profiles)):
        for rest in range(len(profiles)):
            full = _full(count, main, profiles[main])
            done = sum(piece.count for piece in full)
            found.append((*full, *_cover(done, count, rest, profiles[rest])))
    return list(dict.fromkeys(found))


def _full(count: int, index: int, profile: Profile) -> list[Piece]:
    starts = range(0, count - count % profile.most, profile.most)
    return [Piece(Step(index, profile.most), start, profile.most) for start in starts]


def _cover(start: int, end: int, index: int, profile: Profile) -> Iterator[Piece]:
    """Images from `start` to `end` by one profile, the last piece padded where it is below the least batch."""
    while start < end:
        count = min(profile.most, end - start)
        yield Piece(Step(index, max(count, profile.least)), start, count)
        start += count


class Schedule:
    """Picks the fastest way to run each number of images, by what each step was measured to take."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self._profiles = profiles
        self._seconds: dict[Step, float] = {}
        self._chosen: dict[int, Way] = {}

    def choose(self, count: int, measure: Callable[[Step], float]) -> Way:
        """The pieces to run. Steps not seen before are measured, unless there is but one way."""
        if count not in self._chosen:
            options = ways(count, self._profiles)
            if len(options) > 1:
                for step in dict.fromkeys(piece.step for way in options for piece in way):
                    if step not in self._seconds:
                        self._seconds[step] = measure(step)
            self._chosen[count] = min(options, key=self._cost)
        return self._chosen[count]

    def _cost(self, way: Way) -> float:
        return sum(self._seconds.get(piece.step, 0.0) for piece in way)
