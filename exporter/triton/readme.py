"""The README.md beside an ensemble: what its models take, and how they are run."""

from __future__ import annotations

from exporter.triton.models import Ensemble, Tensor
from exporter.triton.plans import Plan
from runtime.bundle import Bundle

_TEXT = """# {name}

Images of a {generation} generator, {resolution} px, from the bundle `{bundle}`; synthesis in {precision}.

| model | what it is |
|---|---|
| `{name}` | the whole generator: {inputs} -> `pixels` and `image` |
| `{name}_mapping` | `z`{label} -> `w` |
| `{name}_truncation` | `w` and `psi` -> `styles`{own} |
| `{name}_synthesis` | `styles`{own} -> `pixels` and `image` |

{tensors}

`psi` is a factor for each of the {rows} rows of styles: 1 leaves a row as it is, 0 is the mean. {cutoff}{mixing}
Triton checks shapes and types, not values: an infinite latent makes an image without meaning.
{plan}
## Run it

```
docker run --rm --gpus all --shm-size 1g -p 8000:8000 -p 8001:8001 -e NVIDIA_TF32_OVERRIDE=0 \\
  -v REPOSITORY:/models:ro nvcr.io/nvidia/tritonserver:RELEASE-py3 tritonserver --model-repository=/models
```

`NVIDIA_TF32_OVERRIDE=0` makes float32 mean float32: ONNX Runtime multiplies with 10 bits on a GPU otherwise, and its
backend in Triton has no option for it. Without a GPU, leave `--gpus all` out.

## Ask for images

```
pip install numpy pillow "tritonclient[http]"
python client.py --url localhost:8000 --seeds {seeds} --psi 0.7{class_} -o pictures
```
"""


def describe(bundle: Bundle, ensemble: Ensemble, precision: str, plan: Plan | None) -> str:
    """The text."""
    spec, options = bundle.spec, bundle.manifest.options
    own = [item.name for item in bundle.graph("synthesis", precision).inputs if item.name != "styles"]
    sources = options.latents_per_image
    return _TEXT.format(
        name=ensemble.name,
        generation=spec.generation.value,
        resolution=spec.resolution,
        bundle=bundle.path.resolve().name,
        precision=precision,
        inputs=", ".join(f"`{item.name}`" for item in ensemble.inputs),
        label=", `c`" if spec.c_dim else "",
        own=_shown(own),
        tensors=_table(ensemble),
        rows=spec.num_ws,
        cutoff=_cutoff(spec.default_cutoff, sources),
        mixing=_mixing(sources, options.identity_mask) + _own(ensemble.name, own),
        plan=f"\n`{ensemble.name}_synthesis` is a TensorRT plan: it loads with {plan.what_it_needs}.\n" if plan else "",
        seeds="0-7" if sources == 1 else f"0-{2 * sources - 1}",
        class_=" --class 0" if spec.c_dim else "",
    )


def _shown(names: list[str]) -> str:
    """Noise and transform in short."""
    if len(names) > 2:
        return f", `{names[0]}` ... `{names[-1]}`"
    return "".join(f", `{name}`" for name in names)


def _table(ensemble: Ensemble) -> str:
    """Inputs and outputs; N images at most `max_batch`."""
    rows = [f"N is 1 to {ensemble.max_batch} images.", "", "| tensor | type | shape |", "|---|---|---|"]
    return "\n".join(rows + [_row(item) for item in (*ensemble.inputs, *ensemble.outputs)])


def _row(tensor: Tensor) -> str:
    kind = {"float32": "FP32", "uint8": "UINT8"}[tensor.dtype]
    return f"| `{tensor.name}` | {kind} | [N, {', '.join(map(str, tensor.dims))}] |"


def _cutoff(cutoff: int | None, sources: int) -> str:
    if cutoff is None or sources > 1:
        return ""
    return f"The checkpoint's own code truncates the first {cutoff} rows alone.\n"


def _mixing(sources: int, identity: bool) -> str:
    if identity:
        return ""
    latents = f"An image mixes {sources} latents. " if sources > 1 else ""
    return (
        f"{latents}The mask is baked into synthesis, so that all rows of a source must have the same factor: an image "
        "of which they have not is NaN, and its pixels are of one colour.\n"
    )


def _own(name: str, own: list[str]) -> str:
    if not own:
        return ""
    return f"Noise and transform are the checkpoint's own; `{name}_synthesis` takes others.\n"
