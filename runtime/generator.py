"""Images from a bundle: map, truncate, mix, synthesise. NumPy in, NumPy out; never torch, never onnx."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np

from runtime.arguments import check_output, check_psi, floats
from runtime.backends import Attempt, BackendName, DeviceRunner, MemoryUse, RunOptions
from runtime.bundle import Bundle
from runtime.device_array import INTERFACE, DeviceArray, read_source
from runtime.errors import BackendUnavailableError, InputError
from runtime.fastest import AUTO, MIN_PSNR, Sample, check_min_psnr, fastest, open_candidates, qualified
from runtime.graphs import OpenGraphs, SplitGraphs
from runtime.latency import Latency, measure_latency
from runtime.latents import labels, latents
from runtime.mixing import check_mask, layer_mask
from runtime.noise import Noise, check_whole
from runtime.other_inputs import OtherInputs
from runtime.parity import FP32
from runtime.session import Session, check_rows
from runtime.spec import GeneratorSpec
from runtime.transforms import check_transform
from runtime.truncation import towards_mean

BATCH_VALUES = 1 << 25
"""Values of a batch's largest activation unless told otherwise: as many as one 1024 px image of a StyleGAN2 takes."""
MAX_DEFAULT_BATCH = 16
"""Largest batch unless told otherwise: throughput on a CPU no longer grows beyond it."""
Cutoff = int | None | Literal["own"]
"""How many rows to truncate: a number, None for all, or "own": as the checkpoint's own code does."""


def default_batch(spec: GeneratorSpec) -> int:
    """Images to run at once unless told otherwise."""
    return max(1, min(MAX_DEFAULT_BATCH, BATCH_VALUES // spec.synthesis.largest_activation(spec.img_channels)))


class Generator:
    """A trained generator, ready to draw. Make one with `Generator.load`.

    Arrays are NumPy float32 unless said otherwise. N is the number of images, K the number of styles that synthesis
    takes: `num_ws`, or the number of sources of the mixing mask that the bundle was exported with.
    """

    def __init__(self, bundle: Bundle, graphs: OpenGraphs) -> None:
        self.bundle = bundle
        self._graphs = graphs
        self._mapping, self._synthesis = graphs.mapping, graphs.synthesis
        self._others = OtherInputs(bundle)
        self._split: SplitGraphs | None = None
        self._opening, self._closed = threading.Lock(), False

    @classmethod
    def load(
        cls,
        bundle: str | Path | Bundle,
        backend: str | BackendName = BackendName.AUTO,
        precision: str = FP32,
        threads: int | None = None,
        gpu: int = 0,
        contexts: int = 1,
        cuda_graphs: bool = True,
        min_psnr: float = MIN_PSNR,
    ) -> Generator:
        """Open a bundle (checked against its digests) on a backend, "auto" being the fastest that loads.

        `threads` bounds the CPU threads used, `gpu` is the number of the GPU, `contexts` is how many threads may draw
        at once on TensorRT, `cuda_graphs` lets it replay recorded launches. A context manager: `close` frees the GPU.

        `precision` "auto" is the fastest of those in the bundle that export measured at `min_psnr` dB or more from
        float32, which always is one; where several load, each draws a few batches of the default size to tell.

        Raises BundleError, IntegrityError, InputError, and where the backend can't be had BackendUnavailableError,
        MissingDependencyError or EngineMismatchError.
        """
        name = BackendName.of(backend)
        options = RunOptions(threads, gpu, contexts, cuda_graphs)
        least = check_min_psnr(min_psnr)
        opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        if precision == AUTO:
            return cls._load_fastest(opened, name, options, least)
        return cls(opened, OpenGraphs.open(opened, name, options, precision, pipeline=False, split=False))

    @classmethod
    def _load_fastest(cls, bundle: Bundle, backend: BackendName, options: RunOptions, min_psnr: float) -> Generator:
        """Open all precisions that are near enough, keep the fastest, close the others."""
        with ExitStack() as stack:
            candidates = open_candidates(bundle, qualified(bundle, min_psnr), backend, options, stack)
            generators = {precision: cls(bundle, graphs) for precision, graphs in candidates.items()}
            taken = fastest({precision: item._sample() for precision, item in generators.items()})
            stack.pop_all()  # nothing failed: the one that was taken stays open
        for precision, item in generators.items():
            if precision != taken:
                item.close()
        return generators[taken]

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what the graphs hold, on the GPU too. Nothing can be drawn afterwards."""
        self._graphs.close()
        with self._opening:
            self._closed = True
            if self._split is not None:
                self._split.close()

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The backends that were tried when the bundle was opened, and why each was passed over."""
        return self._graphs.attempts

    @property
    def backend(self) -> BackendName:
        """What executes synthesis."""
        return self._synthesis.backend

    @property
    def precision(self) -> str:
        """The precision of synthesis, "fp32" or another: with `load`'s "auto", the one that was taken."""
        return self._graphs.precision

    @property
    def spec(self) -> GeneratorSpec:
        """The generator's specification."""
        return self.bundle.spec

    @property
    def device(self) -> str:
        """Where synthesis runs: "cpu" or "cuda"."""
        return self._synthesis.device

    def memory(self) -> MemoryUse | None:
        """Bytes of GPU memory that synthesis holds; None where the backend can't say."""
        return self._synthesis.memory()

    def latency(self, batch: int = 1, runs: int = 30, psi: float = 1.0) -> Latency:
        """Time `runs` calls of `synthesize` that draw `batch` images as pixels, with the checkpoint's own noise."""
        if check_whole("runs", runs) < 1:
            raise InputError(f"runs is {runs}, expected 1 or more")
        sample = self._sample(batch, psi)
        return measure_latency(sample.draw, sample.images, runs)

    def _sample(self, batch: int | None = None, psi: float = 1.0) -> Sample:
        """A call that draws a batch as pixels, with the checkpoint's own noise."""
        count = self.batch_size(batch)
        z = self.latents(range(count * self.seeds_per_image))
        c = self.labels(0, len(z)) if self.spec.c_dim else None
        noise = self.own_noise
        styles = self.styles(self.map(z, c), psi)
        return Sample(lambda: self.synthesize(styles, noise, "pixels", count), count)

    @property
    def sources(self) -> int:
        """K: how many styles synthesis takes."""
        return len(self.bundle.manifest.options.sources)

    def latents(self, seeds: Iterable[int]) -> np.ndarray:
        """`z` [N, z_dim] of seeds, the very latents that the official scripts draw for them."""
        return latents(seeds, self.spec.z_dim)

    def labels(self, classes: int | Sequence[int], count: int | None = None) -> np.ndarray:
        """One-hot labels [N, c_dim] of class numbers, or of one class for `count` images."""
        return labels([classes] * (count or 1) if isinstance(classes, int) else list(classes), self.spec.c_dim)

    def map(self, z: Any, c: Any = None) -> np.ndarray:
        """`z` [N, z_dim] and, where the generator is conditional, labels `c` [N, c_dim] -> `w` [N, w_dim]."""
        inputs = {"z": floats("z", z, (None, self.spec.z_dim))}
        if self.spec.c_dim:
            if c is None:
                raise InputError(f"this generator is conditional: give a class, 0 to {self.spec.c_dim - 1}")
            inputs["c"] = floats("c", c, (len(inputs["z"]), self.spec.c_dim))
        elif c is not None:
            raise InputError("a label was given, but this generator is unconditional: leave it out")
        return self._mapping.run(inputs, ["w"])[0]

    def truncate(self, w: Any, psi: float = 1.0, cutoff: int | None = None) -> np.ndarray:
        """`w` [N, w_dim] -> `ws` [N, num_ws, w_dim], moved towards the mean on the first `cutoff` rows (None: all)."""
        psi = check_psi(psi)
        rows = self._check_cutoff(cutoff)
        values = floats("w", w, (None, self.spec.w_dim))
        ws = np.repeat(values[:, None], self.spec.num_ws, axis=1)
        ws[:, :rows] = self._towards_mean(ws[:, :rows], psi)
        return ws

    def _check_cutoff(self, cutoff: int | None) -> int:
        """How many rows to truncate."""
        rows = self.spec.num_ws if cutoff is None else check_whole("cutoff", cutoff)
        if not 0 <= rows <= self.spec.num_ws:
            raise InputError(f"cutoff {cutoff} is out of range, expected 0 to {self.spec.num_ws} rows")
        return rows

    def layer_mask(self, rows: Iterable[int]) -> np.ndarray:
        """Mask [num_ws, 2] that takes `rows` from the second source of `mix`, the rest from the first."""
        return layer_mask(self.spec.num_ws, rows)

    def mix(self, ws: Sequence[Any], mask: Any) -> np.ndarray:
        """K arrays `ws` [N, num_ws, w_dim] and a mask [num_ws, K], rows summing to 1 -> [N, num_ws, w_dim]."""
        checked = check_mask(mask, self.spec.num_ws, len(ws))
        shape = (None, self.spec.num_ws, self.spec.w_dim)
        arrays = [floats(f"ws[{index}]", item, shape) for index, item in enumerate(ws)]
        if any(array.shape != arrays[0].shape for array in arrays):
            raise InputError("the arrays to mix differ in the number of images; expected as many of each")
        mixed = np.einsum("lk,knlw->nlw", checked, np.stack(arrays).astype(np.float64))
        return mixed.astype(np.float32)

    def synthesize(
        self, ws: Any, noise: Noise = "const", output: str = "image", batch: int | None = None, transform: Any = None
    ) -> np.ndarray:
        """`ws` [N, K, w_dim] -> "image", float32 [N, C, H, W], nominally [-1, 1]; or "pixels", uint8 [N, H, W, C].

        `noise` is "const" (the checkpoint's own), "none", an int seed, or a list of arrays [N or 1, 1, H, W], one a
        noise input. `batch` bounds how many images run at once. `transform` [3, 3] or [N or 1, 3, 3] turns and moves
        a StyleGAN3's images, as `runtime.transforms.make_transform` makes it (None: the checkpoint's own).
        """
        return self.synthesize_outputs(ws, noise, (output,), batch, transform)[0]

    def synthesize_outputs(
        self, ws: Any, noise: Noise, outputs: Sequence[str], batch: int | None = None, transform: Any = None
    ) -> tuple[np.ndarray, ...]:
        """Like `synthesize`, with several outputs of the same images, each computed once."""
        for output in outputs:
            check_output(output)
        styles = floats("ws", ws, self._style_shape)
        size = self.batch_size(batch)
        others = self._others.of(noise, transform, len(styles))
        parts = []
        for start in range(0, len(styles), size):
            part = slice(start, start + size)
            inputs = {"styles": styles[part]}
            inputs |= {name: array if len(array) == 1 else array[part] for name, array in others.items()}
            parts.append(self._synthesis.run(inputs, list(outputs)))
        return tuple(np.concatenate(made) if len(made) > 1 else made[0] for made in zip(*parts))

    def synthesize_on_gpu(
        self, ws: Any, noise: Noise = "const", output: str = "pixels", transform: Any = None
    ) -> DeviceArray:
        """Like `synthesize`, but the images stay on the GPU, for PyTorch, CuPy and others to take without a copy.

        `ws` may be on the GPU as well: anything with a CUDA array interface, float32, contiguous. Raises
        BackendUnavailableError on a backend that has no such arrays: all but TensorRT engines.
        """
        if not isinstance(self._synthesis, DeviceRunner):
            raise BackendUnavailableError(
                f"images stay on the GPU with TensorRT engines alone, this is {self.backend.value} on {self.device}; "
                "load the bundle with backend='tensorrt'"
            )
        check_output(output)
        styles: Any = (
            read_source(ws, "ws", self._style_shape) if hasattr(ws, INTERFACE) else floats("ws", ws, self._style_shape)
        )
        others = self._others.of(noise, transform, len(styles))
        return self._synthesis.run_on_device({"styles": styles} | others, [output])[0]

    def session(self, fixed: Any, rows: int | None = None, noise: Noise = "const", transform: Any = None) -> Session:
        """Draw many images that differ in the later rows of `ws` alone, and compute the layers of those rows alone.

        `fixed` [N, K, w_dim] holds the rows that stay, whatever its others: one for all images, or one for each.
        `rows` is how many the caller promises to hold still (None: as many as the bundle was split at); what lies
        before the split is computed here, once, and the rest by each `Session.synthesize`. `noise` and `transform`
        are those of `synthesize`, the same for all images of the session. A context manager: its end frees what was
        kept. The first session opens two more graphs, which stay open with the generator.

        Raises InputError where the bundle has no split or one beyond `rows`, EngineMismatchError where the engine
        that draws was built without them.
        """
        styles = floats("fixed", fixed, self._style_shape)
        check_rows(self.bundle, rows)
        others = self._others.of(noise, transform, len(styles))
        return Session(self._split_graphs(), styles, others, self.batch_size)

    def _split_graphs(self) -> SplitGraphs:
        with self._opening:
            if self._closed:
                raise InputError("the generator was closed; load the bundle again")
            if self._split is None:
                graphs = self._graphs
                self._split = SplitGraphs.open(self.bundle, self.backend, graphs.options, graphs.precision)
            return self._split

    @property
    def _style_shape(self) -> tuple[int | None, int, int]:
        return (None, self.sources, self.spec.w_dim)

    def generate(
        self,
        seeds: Sequence[int],
        psi: float = 1.0,
        cutoff: Cutoff = "own",
        classes: int | None = None,
        noise: Noise = "const",
        batch: int | None = None,
        transform: Any = None,
    ) -> np.ndarray:
        """Seeds -> pixels, uint8 [N, H, W, C]. A bundle with K mixing sources takes K seeds an image.

        `transform` is one for all images; see `synthesize` for it and for `noise`.
        """
        return np.concatenate(list(self.generate_batches(seeds, psi, cutoff, classes, noise, batch, transform)))

    def generate_batches(
        self,
        seeds: Sequence[int],
        psi: float = 1.0,
        cutoff: Cutoff = "own",
        classes: int | None = None,
        noise: Noise = "const",
        batch: int | None = None,
        transform: Any = None,
    ) -> Iterator[np.ndarray]:
        """Like `generate`, a batch at a time, so that memory stays bounded however many seeds there are."""
        per_image = self.seeds_per_image
        if not seeds or len(seeds) % per_image:
            raise InputError(f"{len(seeds)} seeds given, expected a multiple of {per_image}: one a mixing source")
        if transform is not None:
            transform = check_transform(transform, count=1)
        size = self.batch_size(batch) * per_image
        for start in range(0, len(seeds), size):
            z = self.latents(seeds[start : start + size])
            c = None if classes is None else self.labels(classes, len(z))
            yield self.synthesize(self.styles(self.map(z, c), psi, cutoff), noise, "pixels", batch, transform)

    @property
    def seeds_per_image(self) -> int:
        """How many latents one image is made of: K where the bundle has a mixing mask, else 1."""
        return self.bundle.manifest.options.latents_per_image

    def styles(self, w: np.ndarray, psi: float = 1.0, cutoff: Cutoff = "own") -> np.ndarray:
        """Truncated styles [N / K, K, w_dim] for `synthesize`, from `w` [N, w_dim]: K rows in turn make one image."""
        rows = self.check_truncation(psi, cutoff)
        if self.bundle.manifest.options.identity_mask:
            return self.truncate(w, psi, rows)
        return self._towards_mean(w, check_psi(psi)).reshape(-1, self.sources, self.spec.w_dim)

    def check_truncation(self, psi: float = 1.0, cutoff: Cutoff = "own") -> int | None:
        """How many rows of styles to truncate, None for all. Raises InputError where `styles` would."""
        rows = self.spec.default_cutoff if cutoff == "own" else cutoff
        factor = check_psi(psi)
        if self.bundle.manifest.options.identity_mask:
            self._check_cutoff(rows)
        elif rows not in (None, self.spec.num_ws) and factor != 1:
            whose = "the checkpoint's own cutoff" if cutoff == "own" else "a cutoff"
            raise InputError(
                f"this bundle mixes inside its graph, so {whose} of {rows} rows can't apply; truncate all "
                f"{self.spec.num_ws} rows with it, or export without --mix"
            )
        return rows

    def _towards_mean(self, w: np.ndarray, psi: float) -> np.ndarray:
        return towards_mean(w, self.bundle.w_avg, psi)

    def batch_size(self, batch: int | None = None) -> int:
        """How many images run at once: as many as asked for, or what suits the generator and the backend."""
        own = self._synthesis.max_batch or default_batch(self.spec)
        size = own if batch is None else check_whole("batch", batch)
        if size < 1:
            raise InputError(f"batch is {batch}, expected 1 or more")
        return size

    def check_noise(self, noise: Noise) -> None:
        """Raise InputError where the bundle's graph holds noise of its own, and another is asked for."""
        self._others.check_noise(noise)

    @property
    def own_noise(self) -> Noise:
        """Noise that this bundle takes whatever it was exported with: the checkpoint's own, or "none"."""
        return self._others.own_noise
