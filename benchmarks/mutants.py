"""Print the table of docs/mutation.md: graphs broken on purpose, what catches each, and which layer is named.

python -m benchmarks.mutants
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from runtime.layers.reports import Suspect
from tests.mutation import arrays
from tests.mutation import operations as make
from tests.mutation.catalogue import EQUIVALENT, VISIBLE
from tests.mutation.mutant import Mutant
from tests.mutation.networks import RECIPES, Network
from tests.mutation.trial import Verdict, try_out

BITS = (0, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 23, 31)
"""Of a float32 weight, from the lowest of the mantissa to the sign."""
NOTHING = "-"


@dataclass(frozen=True)
class Tried:
    """A mutant and what was said of it."""

    mutant: Mutant
    verdict: Verdict


def try_all(mutants: Iterable[Mutant], folder: Path) -> Iterator[Tried]:
    """Every mutant's verdict; each network is exported once."""
    networks: dict[str, Network] = {}
    for number, mutant in enumerate(mutants):
        if mutant.network not in networks:
            networks[mutant.network] = Network.export(mutant.network, folder)
        yield Tried(mutant, try_out(networks[mutant.network], mutant, folder / f"mutant-{mutant.network}-{number}"))


def main() -> None:
    """Print the table, the scores, what can't be seen, and which bits of a weight can."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tried = list(try_all(VISIBLE, Path(folder)))
        unseen = list(try_all(EQUIVALENT, Path(folder) / "equivalent"))
        bits = list(try_all((_bit_mutant(number) for number in BITS), Path(folder) / "bits"))
    _print_table(tried)
    _print_scores(tried)
    print("\n| equivalent mutant | why no image changes | verify | named |\n|---|---|---|---|")
    for item in unseen:
        print(_row([item.mutant.name, item.mutant.equivalent, _yes(item.verdict.caught), _list(item.verdict.named)]))
    print("\n| bit of one weight | verify | named, all values | named, stored values |\n|---|---|---|---|")
    for number, item in zip(BITS, bits):
        names = [_yes(item.verdict.names(item.mutant)), _yes(item.verdict.names_by_probes(item.mutant))]
        print(_row([str(number), _yes(item.verdict.caught), *names]))


def _bit_mutant(number: int) -> Mutant:
    """Of a weight of usual size: 0.97, like the kernel's root mean square."""
    change = make.constant("b8_conv1_weight", arrays.bit(number, (0, 0, 1, 1)))
    return Mutant(f"bit {number}", "resnet", "synthesis", "b8.conv1", change)


def _print_table(tried: Sequence[Tried]) -> None:
    print("| network | graph | mutant | verify | named, all values | named, stored values | suspected first |")
    print("|---|---|---|---|---|---|---|")
    for mutant, verdict in ((item.mutant, item.verdict) for item in tried):
        graph = mutant.graph if mutant.precision == "fp32" else f"{mutant.graph} {mutant.precision}"
        named = [_list(found, mutant) for found in (verdict.named, verdict.by_probes)]
        cells = [mutant.network, graph, mutant.name, _yes(verdict.caught), *named, _cause(mutant, verdict.suspects)]
        print(_row(cells))


def _print_scores(tried: Sequence[Tried]) -> None:
    known = [(item.verdict, item.mutant.cause) for item in tried if item.mutant.cause is not None]
    scores = {
        "caught by golden samples alone": [item.verdict.caught for item in tried],
        "layer named exactly, all values": [item.verdict.names(item.mutant) for item in tried],
        "layer named exactly, stored values": [item.verdict.names_by_probes(item.mutant) for item in tried],
        "known cause suspected first": [verdict.suspects_first(cause) for verdict, cause in known],
    }
    print("\n| score | of | share |\n|---|---|---|")
    for told, passed in scores.items():
        print(_row([told, f"{sum(passed)} / {len(passed)}", f"{sum(passed) / len(passed):.1%}"]))
    print("\n| network | what it is |\n|---|---|")
    for name, recipe in RECIPES.items():
        print(_row([name, recipe.what]))


def _cause(mutant: Mutant, suspects: Sequence[Suspect]) -> str:
    if not suspects:
        return NOTHING if mutant.cause is None else f"none, not {mutant.cause.value}"
    found = suspects[0].cause
    return found.value if mutant.cause in (found, None) else f"{found.value}, not {mutant.cause.value}"


def _list(named: Sequence[str], mutant: Mutant | None = None) -> str:
    """What was named, without the graph where it is the mutant's."""
    if mutant is not None and named and named != (f"{mutant.graph} {mutant.layer}",):
        return f"{', '.join(named)}, not {mutant.layer}"
    return ", ".join(item.partition(" ")[2] for item in named) or NOTHING


def _yes(passed: bool) -> str:
    return "yes" if passed else "no"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
