"""TensorRT's libraries, joined once; without them the tests that build are skipped and say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.tensorrt_cpu.libraries import link_libraries, unavailable


@pytest.fixture(scope="session")
def tensorrt_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for LD_LIBRARY_PATH, in which TensorRT's Python bindings find what they load."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    return link_libraries(tmp_path_factory.mktemp("tensorrt"))
