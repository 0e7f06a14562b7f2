"""All mutants."""

from __future__ import annotations

from tests.mutation import others, stylegan2
from tests.mutation.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*stylegan2.MUTANTS, *others.MUTANTS)
VISIBLE = tuple(mutant for mutant in MUTANTS if not mutant.equivalent)
"""Those that change images: what the score counts."""
EQUIVALENT = tuple(mutant for mutant in MUTANTS if mutant.equivalent)
