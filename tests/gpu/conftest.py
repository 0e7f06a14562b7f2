"""What the GPU checks share. A test is skipped, with the reason, where no GPU, no TensorRT or no binding is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from engines.options import BuildOptions
from engines.store import build_engine
from runtime import Bundle
from runtime.cuda import Gpu, load_driver
from runtime.device import Device, read_device
from runtime.engine_record import EngineFlags, Flavour, Profile
from runtime.errors import BackendUnavailableError, MissingDependencyError
from runtime.tensorrt.versions import Library, load_library
from tests.gpu.building import Built, graphs_of
from tests.gpu.bundles import FOLDER, NETWORKS, open_or_export
from tests.gpu.report import VARIABLE, JsonReport

EVERY_BATCH = (Profile(1, 2, 8),)
Builder = Callable[..., Built]


def pytest_configure(config: pytest.Config) -> None:
    """Write a JSON document where the environment asks for one."""
    path = os.environ.get(VARIABLE)
    if path:
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        config.pluginmanager.register(JsonReport(Path(path), {"date": date, "machine": _machine()}))


def _machine() -> dict[str, Any]:
    try:
        facts: dict[str, Any] = {"device": asdict(read_device())}
        facts["library"] = _first_library().name
    except (BackendUnavailableError, MissingDependencyError) as error:
        return {"missing": str(error)}
    return facts


def _first_library() -> Library:
    """TensorRT, else TensorRT-RTX. Raises the error of the former where neither is there."""
    try:
        return load_library(Flavour.TENSORRT)
    except MissingDependencyError as error:
        try:
            return load_library(Flavour.RTX)
        except MissingDependencyError:
            raise error from None


@pytest.fixture(scope="session")
def device() -> Device:
    """The first GPU."""
    try:
        found = read_device()
        load_driver()
    except (BackendUnavailableError, MissingDependencyError) as error:
        pytest.skip(str(error))
    return found


@pytest.fixture(scope="session")
def gpu(device: Device) -> Gpu:
    """Its driver."""
    return Gpu.open(0)


@pytest.fixture(scope="session")
def library(device: Device) -> Library:
    """The TensorRT that is installed."""
    try:
        return _first_library()
    except (BackendUnavailableError, MissingDependencyError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def bundle_of(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """A bundle by its name, without engines; exported once."""
    folder = tmp_path_factory.mktemp("bundles")
    known: dict[str, Bundle] = {}

    def find(name: str) -> Bundle:
        if name not in known:
            try:
                known[name] = open_or_export(name, folder)
            except ModuleNotFoundError as error:
                pytest.skip(f"{error}, which exports a bundle; set {FOLDER} to a folder of bundles made elsewhere")
        return known[name]

    return find


@pytest.fixture(scope="session")
def build(
    bundle_of: Callable[[str], Bundle], library: Library, device: Device, tmp_path_factory: pytest.TempPathFactory
) -> Builder:
    """Builds an engine of a bundle, once for the same arguments, in a copy that holds no other; never change it.

    The one-graph form is built with the usual options alone: with TensorRT proper, a build takes its time.
    """
    known: dict[object, Built] = {}

    def built(name: str, profiles: tuple[Profile, ...] = EVERY_BATCH, flags: EngineFlags | None = None) -> Built:
        options = BuildOptions(profiles, flags or EngineFlags())
        plain = options == BuildOptions(EVERY_BATCH)
        key = (name, options)
        if key not in known:
            target = tmp_path_factory.mktemp("built") / name
            bundle = Bundle(shutil.copytree(bundle_of(name).path, target, ignore=shutil.ignore_patterns("engines")))
            engines = {
                precision: build_engine(
                    bundle, library, device, options, precision, graphs_of(bundle, precision, pipeline=plain)
                )[0]
                for precision in bundle.precisions
            }
            known[key] = Built(bundle, library.flavour, engines)
        return known[key]

    return built


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    """Each network in turn, by name."""
    return str(request.param)
