"""The made-up GPU of this process, switched on while a test uses it."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runtime import Bundle
from runtime.cuda import Gpu, load_driver
from runtime.device import DRIVER, read_device
from runtime.engine_record import ENGINE_FORMAT, ENGINE_RECORD, EngineFlags, EngineRecord, Flavour, PlanInfo, Profile
from runtime.engines import ENGINES, graph_digests, plan_path
from tests.made_up_gpu.tensorrt import make_module, make_plan

SOURCE = Path(__file__).with_name("driver.c")
NEW, OLD = "10.3.0", "8.6.1"


def unavailable() -> str | None:
    """Why no GPU can be made up here; None where one can."""
    if not sys.platform.startswith("linux"):
        return "the made-up driver is a Linux library"
    if importlib.util.find_spec("cuda") is None:
        return "cuda-bindings is not installed"
    if shutil.which("gcc") is None:
        return "gcc is missing, which builds the made-up driver"
    return None


@cache
def load_made_up_driver(folder: Path) -> Any:
    """Put the made-up driver into this process, off. Skips where a real one is: `pytest -m gpu` has tests for it."""
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        pass
    else:
        pytest.skip("there is a real driver, which the made-up one would stand for")
    library = folder / DRIVER
    options = ["-shared", "-fPIC", "-fvisibility=hidden", f"-Wl,-soname,{DRIVER}"]
    subprocess.run(["gcc", *options, "-o", str(library), str(SOURCE)], check=True)
    return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


class Machine:
    """The made-up driver, and the TensorRT that goes with it."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    @property
    def live(self) -> int:
        """Blocks of memory, streams and recordings that were not freed."""
        return int(self._driver.made_up_live())

    @property
    def current_gpus(self) -> int:
        """How many GPUs this thread has pushed and not popped."""
        return int(self._driver.made_up_depth())

    @property
    def waits(self) -> int:
        """How often all work of a GPU was waited for."""
        return int(self._driver.made_up_waited())

    def fail(self, function: str, code: int) -> None:
        """Let the next call of a function answer with an error."""
        self._driver.made_up_fail(function.encode(), code)

    def tensorrt(self, version: str = NEW) -> Any:
        """The module `tensorrt`."""
        return make_module(version, self._driver.cuLaunchHostFunc)


@contextmanager
def switched_on(folder: Path) -> Iterator[Machine]:
    """A machine with made-up GPUs inside a `with`."""
    driver = load_made_up_driver(folder)
    driver.made_up_enable(1)
    load_driver.cache_clear()
    Gpu.open.cache_clear()
    try:
        yield Machine(driver)
    finally:
        driver.made_up_enable(0)
        load_driver.cache_clear()
        Gpu.open.cache_clear()


def add_engine(
    bundle: Bundle,
    profiles: Sequence[Profile] = (Profile(1, 1, 4),),
    version: str = NEW,
    graphs: Sequence[str] = (),
    flags: EngineFlags | None = None,
    gpu: int = 0,
    flavour: Flavour = Flavour.TENSORRT,
    precision: str = "fp32",
) -> Path:
    """Give a bundle an engine for the made-up GPU."""
    flags, digests = flags or EngineFlags(), graph_digests(bundle, precision)
    plans = {}
    for name in graphs or digests:
        graph = bundle.graph_path(name, precision).read_bytes()
        plans[name] = make_plan(graph, tuple(profiles), flags.strip_weights, flags.refittable)
    infos = {
        name: PlanInfo(hashlib.sha256(plan).hexdigest(), len(plan), digests[name], ()) for name, plan in plans.items()
    }
    record = EngineRecord(ENGINE_FORMAT, flavour, version, precision, tuple(profiles), flags, read_device(gpu), infos)
    folder = bundle.path / ENGINES / record.fingerprint
    folder.mkdir(parents=True)
    for name, plan in plans.items():
        plan_path(folder, name).write_bytes(plan)
    (folder / ENGINE_RECORD).write_text(record.to_text())
    return folder
