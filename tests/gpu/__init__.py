"""Checks that need an NVIDIA GPU: `pytest -m gpu tests/gpu`. Everywhere else each is skipped and says why."""
