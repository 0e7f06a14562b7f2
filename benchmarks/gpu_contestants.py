"""Who draws in `benchmarks.gpu`: TensorRT engines, ONNX Runtime on what it has, the reference in PyTorch.

All start from styles in host memory, with the noise where each keeps it, and end with 8-bit pixels, in host memory or
on the GPU, complete.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.gpu_networks import checkpoint_path
from engines.options import BuildOptions
from engines.store import build_engine, find_sources
from runtime import Bundle, Generator
from runtime.backends import BackendName, RunOptions
from runtime.backends.tensorrt import BACKENDS
from runtime.backends.ways import WAYS, Way
from runtime.bench import Inputs
from runtime.cuda import Gpu, PinnedBlock, Stream
from runtime.device import read_device
from runtime.device_array import DeviceArray
from runtime.engine_record import EngineFlags, Flavour, Profile
from runtime.errors import InputError
from runtime.graphs import OpenGraphs
from runtime.parity import PIXEL_OFFSET, PIXEL_SCALE
from runtime.records import to_plain
from runtime.spec import Generation
from runtime.tensorrt.versions import load_library

MAX_COMPILED = 1000
"""Times that PyTorch may compile the same code for other networks, types and batches."""


class Place(str, Enum):
    """Where the pixels are in the end."""

    HOST = "host"
    GPU = "gpu"


@dataclass(frozen=True)
class Contestant:
    """One way to draw one batch. `run` is timed and done when it returns; `look` gives image and pixels to compare."""

    facts: dict[str, Any]
    run: Callable[[], object]
    look: Callable[[], tuple[np.ndarray, np.ndarray]]


class Entrant(Protocol):
    """What is opened once a bundle, and enters contestants at every batch."""

    facts: dict[str, Any]

    def open(self) -> None:
        """Load or build. Whatever it raises is what the document says of this entrant."""
        ...

    def enter(self, inputs: Inputs) -> Iterator[Contestant]:
        """The contestants of a batch."""
        ...

    def close(self) -> None:
        """Free all."""
        ...


class RuntimeEntrant:
    """A bundle opened by the runtime."""

    def __init__(self, bundle: Bundle, name: str, precision: str) -> None:
        self.facts: dict[str, Any] = {"contestant": name, "precision": precision}
        self._bundle, self._precision = bundle, precision
        self._opened: list[tuple[dict[str, Any], Generator]] = []
        self._stack = ExitStack()

    def open(self) -> None:
        """As each kind does."""
        raise NotImplementedError

    def _add(self, generator: Generator, facts: dict[str, Any]) -> None:
        self._stack.callback(generator.close)
        self._opened.append((facts, generator))

    def enter(self, inputs: Inputs) -> Iterator[Contestant]:
        """Pixels to the host, and left on the GPU where the backend can."""
        for facts, generator in self._opened:
            memory = generator.memory()
            all_facts = {**self.facts, **facts, "memory": None if memory is None else to_plain(memory)}
            yield _host(generator, inputs, all_facts)
            if generator.backend is not BackendName.ONNXRUNTIME and "cuda_graphs" in facts:
                yield _gpu(generator, inputs, all_facts)

    def close(self) -> None:
        """Close the generators."""
        self._opened.clear()
        self._stack.close()


def _host(generator: Generator, inputs: Inputs, facts: dict[str, Any]) -> Contestant:
    def draw(output: str = "pixels") -> np.ndarray:
        return generator.synthesize(inputs.styles, inputs.noise, output, inputs.batch, inputs.transform)

    return Contestant({**facts, "pixels": Place.HOST.value}, draw, lambda: (draw("image"), draw()))


def _gpu(generator: Generator, inputs: Inputs, facts: dict[str, Any]) -> Contestant:
    def draw(output: str = "pixels") -> DeviceArray:
        return generator.synthesize_on_gpu(inputs.styles, inputs.noise, output, inputs.transform)

    return Contestant({**facts, "pixels": Place.GPU.value}, draw, lambda: (to_host(draw("image")), to_host(draw())))


def to_host(array: DeviceArray) -> np.ndarray:
    """A copy in host memory, without PyTorch."""
    size = int(np.prod(array.shape)) * array.dtype.itemsize
    with Gpu.open(array.gpu).current():
        stream, pinned = Stream(), PinnedBlock(size)
        try:
            stream.download(pinned.address, array.address, size)
            stream.synchronize()
            result: np.ndarray = pinned.view(array.shape, array.dtype).copy()
            return result
        finally:
            pinned.close()
            stream.close()


class TensorRtEntrant(RuntimeEntrant):
    """An engine built for exactly the batches measured, in a copy of the bundle; with CUDA graphs and without."""

    def __init__(
        self, bundle: Bundle, flavour: Flavour, precision: str, batches: tuple[int, ...], level: int | None
    ) -> None:
        super().__init__(bundle, "TensorRT" if flavour is Flavour.TENSORRT else "TensorRT-RTX", precision)
        self._flavour, self._level = flavour, level
        self._profiles = tuple(Profile(batch, batch, batch) for batch in batches)

    def open(self) -> None:
        """Build the engine and open it twice."""
        library = load_library(self._flavour)
        self.facts["library"] = library.version
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        bundle = Bundle(
            shutil.copytree(self._bundle.path, folder / "bundle", ignore=shutil.ignore_patterns("engines", "*.partial"))
        )
        options = BuildOptions(self._profiles, EngineFlags(optimization_level=self._level))
        for precision in dict.fromkeys(["fp32", self._precision]):
            found = {source.name for source in find_sources(bundle, precision, ())}
            graphs = ["synthesis"] if precision == self._precision else []
            graphs += ["mapping"] if "mapping" in found else []
            start = time.perf_counter()
            engine, _ = build_engine(bundle, library, read_device(), options, precision, graphs)
            if precision == self._precision:
                self.facts["build_s"] = round(time.perf_counter() - start, 3)
                self.facts["plan_bytes"] = engine.record.plans["synthesis"].size
                self.facts["warnings"] = list(engine.record.plans["synthesis"].warnings)
        for cuda_graphs in (True, False):
            backend = BACKENDS[self._flavour]
            generator = Generator.load(bundle, backend, self._precision, cuda_graphs=cuda_graphs)
            self._add(generator, {"cuda_graphs": cuda_graphs})


class OnnxRuntimeEntrant(RuntimeEntrant):
    """One of ONNX Runtime's ways."""

    def __init__(self, bundle: Bundle, way: Way, precision: str, threads: int | None) -> None:
        super().__init__(bundle, way.name, precision)
        self._way, self._options = way, RunOptions(threads=threads)

    def open(self) -> None:
        """Make the sessions."""
        graphs = self._way.open(self._bundle, ["mapping", "synthesis"], self._precision, self._options)
        self._add(Generator(self._bundle, OpenGraphs(graphs["mapping"], graphs["synthesis"], None, ())), {})


class TorchEntrant:
    """The reference network in PyTorch, eager or compiled, on a device.

    float16 is the whole network in it, channels-last: a fast yardstick rather than an exact one.
    """

    def __init__(self, bundle: Bundle, precision: str, device: str, mode: str | None, zeros: bool = False) -> None:
        """`mode` is that of `torch.compile`, None for eager; `zeros` has StyleGAN3 up-sample over inserted zeros."""
        name = "PyTorch eager" if mode is None else f"torch.compile, {mode}"
        self.facts: dict[str, Any] = {
            "contestant": f"{name}, inserted zeros" if zeros else name,
            "precision": precision,
        }
        self._bundle, self._device, self._mode, self._zeros = bundle, device, mode, zeros
        self._half = precision == "fp16"
        self._draw: Any = None

    def open(self) -> None:
        """Build the network from the checkpoint beside the bundle."""
        import torch

        if self._device == "cuda" and not torch.cuda.is_available():
            raise InputError(f"PyTorch {torch.__version__} has no CUDA that works here")
        if not self._bundle.manifest.options.identity_mask:
            raise InputError("the bundle mixes styles inside its graph, which the reference does not")
        from exporter import load_checkpoint
        from exporter.bench.zero_insertion import with_zero_insertion

        self._set_up(torch)
        whole = load_checkpoint(checkpoint_path(self._bundle.path)).build()
        network: Any = (with_zero_insertion(whole) if self._zeros else whole).synthesis.to(self._device).eval()
        if self._half:
            network = network.half().to(memory_format=torch.channels_last)

        def draw(styles: Any, maps: Any, transform: Any) -> Any:
            image = network.draw(styles, maps, transform).float()
            pixels = image.permute(0, 2, 3, 1) * PIXEL_SCALE + PIXEL_OFFSET
            return image, pixels.clamp(0, 255).to(torch.uint8)

        self._draw = draw

    def _set_up(self, torch: Any) -> None:
        """float32 is float32, and PyTorch as fast as it can be."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer releases have other names for these, and say so
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self.facts |= {"tf32": False, "channels_last": self._half}
        if self._mode is not None:
            import torch._dynamo

            # All compile the same lines of code. Beyond the limit, 8, PyTorch would go on eagerly without a word.
            torch._dynamo.config.recompile_limit = MAX_COMPILED
            torch._dynamo.config.accumulated_recompile_limit = MAX_COMPILED

    def enter(self, inputs: Inputs) -> Iterator[Contestant]:
        """Pixels to the host, and left on the GPU."""
        import torch

        def put(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(self._device, torch.float16 if self._half else torch.float32)

        maps = [put(array) for array in inputs.maps]
        transform = None if inputs.transform is None else put(inputs.transform)
        function: Any = self._draw
        if self._mode is not None:
            function = torch.compile(self._draw, mode=self._mode, dynamic=False)
        mark: Any = torch.compiler.cudagraph_mark_step_begin

        def draw() -> tuple[Any, Any]:
            if self._mode is not None:
                mark()
            with torch.no_grad():
                drawn: tuple[Any, Any] = function(put(inputs.styles), maps, transform)
            return drawn

        def on_device() -> object:
            pixels = draw()[1]
            torch.cuda.synchronize()
            return pixels

        def look() -> tuple[np.ndarray, np.ndarray]:
            image, pixels = draw()
            return image.cpu().numpy(), pixels.cpu().numpy()

        yield Contestant({**self.facts, "pixels": Place.HOST.value}, lambda: draw()[1].cpu(), look)
        if self._device == "cuda":
            yield Contestant({**self.facts, "pixels": Place.GPU.value}, on_device, look)

    def close(self) -> None:
        """Free the GPU for the next bundle."""
        import torch

        self._draw = None
        if self._mode is not None:
            import torch._dynamo

            torch._dynamo.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def entrants(
    bundle: Bundle, batches: tuple[int, ...], device: str, compile_mode: str, level: int | None
) -> Iterator[Entrant]:
    """All that may draw a bundle."""
    found = bundle.precisions
    for precision in found:
        for flavour in Flavour:
            yield TensorRtEntrant(bundle, flavour, precision, batches, level)
        for way in WAYS:
            if way.name.startswith("ONNX Runtime"):
                yield OnnxRuntimeEntrant(bundle, way, precision, None)
    forms = (False, True) if bundle.spec.generation is Generation.STYLEGAN3 else (False,)
    for precision, mode, zeros in product(("fp32", "fp16"), (None, compile_mode), forms):
        yield TorchEntrant(bundle, precision, device, mode, zeros)
