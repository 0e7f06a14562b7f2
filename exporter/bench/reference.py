"""The reference network of a bundle's checkpoint, drawing what the bundle's graphs draw."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.bench.zero_insertion import with_zero_insertion
from exporter.checkpoints import Checkpoint, load_checkpoint
from exporter.networks import ReferenceNetwork
from runtime.backends import BackendName, MemoryUse, RunOptions
from runtime.backends.base import GraphRunner
from runtime.backends.choice import PASSED_OVER
from runtime.backends.onnxruntime import OnnxRuntimeGraph
from runtime.bench import Contestant, Inputs, Label
from runtime.bench.contestants import Alone
from runtime.bundle import Bundle
from runtime.errors import InputError
from runtime.files import sha256_of_path
from runtime.output import explain_os_errors
from runtime.parity import PIXEL_OFFSET, PIXEL_SCALE
from runtime.spec import TRANSFORM, Generation, noise_name

BASELINE = "PyTorch eager"
"""What others are compared with."""
COMPILED = "torch.compile"
ZEROS = "PyTorch eager, inserted zeros"
PLAIN = "plain export, ONNX Runtime"
FLOAT32 = "fp32"


def matching_checkpoint(bundle: Bundle, path: Path) -> Path:
    """`path` itself. Raises InputError unless the file is the very one that the bundle was made of."""
    provenance = bundle.manifest.provenance
    try:
        found = sha256_of_path(path)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); expected {provenance.checkpoint}") from None
    if found != provenance.checkpoint_sha256:
        raise InputError(
            f"{path}: is not the checkpoint that {bundle.path} was made of: its sha256 is {found[:12]}..., expected "
            f"{provenance.checkpoint_sha256[:12]}... ({provenance.checkpoint})"
        )
    return path


def reference_entrants(bundle: Bundle, path: Path, options: RunOptions) -> list[ReferenceEntrant]:
    """All contestants in PyTorch, and the plain export. Raises the checkpoint's errors."""
    torch.set_num_threads(options.threads or torch.get_num_threads())
    checkpoint = load_checkpoint(path).variant(bundle.spec).completed()
    kinds: list[type[ReferenceEntrant]] = [EagerEntrant]
    if bundle.spec.generation is Generation.STYLEGAN3:
        kinds.append(ZerosEntrant)
    return [kind(bundle, checkpoint, path, options) for kind in (*kinds, CompiledEntrant, PlainEntrant)]


class ReferenceEntrant:
    """What all have in common: the network on its device, and inputs as it takes them."""

    name: str

    def __init__(self, bundle: Bundle, checkpoint: Checkpoint, path: Path, options: RunOptions) -> None:
        self.label = Label(self.name, FLOAT32, ours=False)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._bundle, self._checkpoint, self._path, self._options = bundle, checkpoint, path, options
        self._place = f"cuda:{options.gpu}" if self.device == "cuda" else "cpu"
        self._network: ReferenceNetwork | None = None

    @property
    def alone(self) -> Alone:
        """The same, of the same checkpoint."""
        return Alone(
            "exporter.bench.alone",
            {
                "bundle": str(self._bundle.path.absolute()),
                "checkpoint": str(self._path.absolute()),
                "name": self.name,
                "threads": self._options.threads,
                "gpu": self._options.gpu,
            },
        )

    def open(self) -> None:
        """Build the network. float32 is float32: TF32 is off."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer releases have other names for these, and say so
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self._network = self._changed(self._checkpoint.build()).to(self._place).eval()

    def _changed(self, network: ReferenceNetwork) -> ReferenceNetwork:
        return network

    def enter(self, inputs: Inputs) -> Contestant:
        """Pixels in host memory."""
        draw, arguments = self._function(), self._arguments(inputs)

        def run() -> tuple[Any, Any]:
            with torch.no_grad():
                drawn: tuple[Any, Any] = draw(*arguments())
            return drawn

        def look() -> tuple[np.ndarray, np.ndarray]:
            image, pixels = run()
            return image.cpu().numpy(), pixels.cpu().numpy()

        return Contestant(lambda: run()[1].cpu(), look)

    def _function(self) -> Any:
        """(ws, maps, transform) -> image, pixels."""
        assert self._network is not None
        return Pixels(self._network)

    def _arguments(self, inputs: Inputs) -> Any:
        """A function that puts a batch's styles where the network is; what never changes is there before."""
        # Copies: what nobody can write into is no tensor to PyTorch.
        maps = [torch.tensor(array, device=self._place) for array in inputs.maps]
        transform = None if inputs.transform is None else torch.tensor(inputs.transform, device=self._place)
        ws = self._bundle.mask.rows(inputs.styles)
        return lambda: (torch.from_numpy(ws).to(self._place), maps, transform)

    def memory(self) -> MemoryUse | None:
        """PyTorch's is not ours to tell."""
        return None

    def close(self) -> None:
        """Free the network, and what PyTorch keeps on a GPU."""
        self._network = None
        if self.device == "cuda":
            torch.cuda.empty_cache()


class EagerEntrant(ReferenceEntrant):
    """The reference as it is."""

    name = BASELINE


class ZerosEntrant(ReferenceEntrant):
    """A StyleGAN3 that up-samples over inserted zeros, as its authors' code does without its custom kernels."""

    name = ZEROS

    def _changed(self, network: ReferenceNetwork) -> ReferenceNetwork:
        return with_zero_insertion(network)


class CompiledEntrant(ReferenceEntrant):
    """The reference by `torch.compile`, anew for each batch."""

    name = COMPILED

    def _function(self) -> Any:
        # All batches compile the same code: without this, PyTorch would go on eagerly, without a word, at the eighth.
        torch.compiler.reset()
        logging.getLogger("torch._inductor").setLevel(logging.ERROR)
        return torch.compile(super()._function(), dynamic=False)

    def close(self) -> None:
        """Forget what was compiled, too."""
        if self._network is not None:
            torch.compiler.reset()
        super().close()


class PlainEntrant(ReferenceEntrant):
    """What `torch.onnx.export` makes of the reference at one batch, with its per-sample weights, on ONNX Runtime."""

    name = PLAIN

    def open(self) -> None:
        """Build the network on the CPU, where it is traced."""
        self._place = "cpu"
        super().open()
        self._folder: Any = tempfile.TemporaryDirectory()
        self._runner: GraphRunner | None = None

    def enter(self, inputs: Inputs) -> Contestant:
        """Export at this batch."""
        ws, maps, transform = self._arguments(inputs)()
        names = ["styles", *(noise_name(index) for index in range(len(maps)))]
        tensors = [ws, *maps]
        if transform is not None:
            names, tensors = [*names, TRANSFORM], [*tensors, transform]
        path = Path(self._folder.name) / f"plain-{inputs.batch}.onnx"
        with warnings.catch_warnings(), explain_os_errors(path):
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.onnx.export(
                self._function(),
                (ws, maps, transform),
                dynamo=True,
                input_names=names,
                output_names=["image", "pixels"],
                verbose=False,
            )
            assert program is not None
            program.save(path)
        if self._runner is not None:
            self._runner.close()
        runner = self._runner = self._open_graph(path)
        feed = {name: tensor.numpy() for name, tensor in zip(names, tensors)}

        def look() -> tuple[np.ndarray, np.ndarray]:
            image, pixels = runner.run(feed, ["image", "pixels"])
            return image, pixels

        return Contestant(lambda: runner.run(feed, ["pixels"]), look)

    def _open_graph(self, path: Path) -> GraphRunner:
        """On the GPU where ONNX Runtime has it."""
        try:
            from runtime.backends.onnxruntime_cuda import OnnxRuntimeCudaGraph

            runner: GraphRunner = OnnxRuntimeCudaGraph(path, self._options)
        except PASSED_OVER:
            runner = OnnxRuntimeGraph(path, self._options)
        self.device = runner.device
        assert runner.backend is BackendName.ONNXRUNTIME
        return runner

    def close(self) -> None:
        """Remove the graphs."""
        if self._network is not None:
            if self._runner is not None:
                self._runner.close()
            self._folder.cleanup()
        super().close()


class Pixels(torch.nn.Module):
    """ws, noise maps, transform -> image float32 [N, C, H, W], pixels uint8 [N, H, W, C]."""

    def __init__(self, network: ReferenceNetwork) -> None:
        super().__init__()
        self.synthesis = network.synthesis

    def forward(
        self, ws: torch.Tensor, maps: list[torch.Tensor], transform: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The official scripts' pixels."""
        image = self.synthesis.draw(ws, maps, transform)
        pixels = image.permute(0, 2, 3, 1) * PIXEL_SCALE + PIXEL_OFFSET
        return image, pixels.clamp(0, 255).to(torch.uint8)
