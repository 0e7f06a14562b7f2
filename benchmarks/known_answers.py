"""Print the table of docs/parity.md: the reference against the official code's answers, case by case.

python -m benchmarks.known_answers
"""

from __future__ import annotations

import torch

from tests.known_answers import Result, available_cases, compare


def main() -> None:
    """Print one row a case: the worst float64 and float32 errors, ours beside the official figure."""
    print("| case | arrays | float64, worst | array | float32, worst | array | official float32 there | of its limit |")
    print("|---|---|---|---|---|---|---|---|")
    for case in available_cases():
        exact = list(compare(case, torch.float64))
        single = list(compare(case, torch.float32))
        worst64, worst32 = (
            max(exact, key=lambda item: item.error),
            max(single, key=lambda item: item.error / item.limit),
        )
        print(_row(case.name, exact, single, worst64, worst32))
    print(
        "\nErrors are relative to the array's absolute maximum. Limits: float64 1e-6; float32 4e-6, or three times the"
    )
    print("official code's own float32 error on that array where that is larger.")


def _row(name: str, exact: list[Result], single: list[Result], worst64: Result, worst32: Result) -> str:
    official = "-" if worst32.official is None else f"{worst32.official:.1e}"
    cells = [
        name,
        f"{len(exact)} + {len(single)}",
        f"{worst64.error:.1e}",
        worst64.array,
        f"{worst32.error:.1e}",
        worst32.array,
        official,
        f"{worst32.error / worst32.limit:.0%}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
