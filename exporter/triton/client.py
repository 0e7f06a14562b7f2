"""Draw images of seeds with a server that has the models beside this file: Triton, or any of its protocol.

    pip install numpy pillow "tritonclient[http]"
    python client.py --seeds 0-7 --psi 0.7 -o pictures

A seed means the latent that NVIDIA's scripts draw for it. Models that mix take one seed a source, in turn.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MODEL = ""
CUTOFF: int | None = None
"""How many rows the checkpoint's own code truncates; None: all."""


def main() -> None:
    """Ask for one image after the other, and write each as a PNG."""
    args = arguments()
    # The same calls by HTTP and by gRPC: only the module differs.
    protocol: Any = importlib.import_module("tritonclient.grpc" if args.grpc else "tritonclient.http")
    server = protocol.InferenceServerClient(args.url or f"localhost:{8001 if args.grpc else 8000}")
    widths = input_widths(server, args.model, args.grpc)
    latents = sorted(name for name in widths if name == "z" or name.startswith("z_"))
    psi = psi_rows(args.psi, args.cutoff, widths["psi"], mixes=len(latents) > 1)
    if len(args.seeds) % len(latents):
        raise SystemExit(f"{len(args.seeds)} seeds given, expected a multiple of {len(latents)}: one a mixing source")
    args.output.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(args.seeds), len(latents)):
        seeds = args.seeds[start : start + len(latents)]
        values = {name: latent(seed, widths[name]) for name, seed in zip(latents, seeds)} | {"psi": psi}
        if "c" in widths:
            values["c"] = label(args.class_, widths["c"])
        result = server.infer(
            args.model,
            [tensor(protocol, name, array) for name, array in values.items()],
            outputs=[protocol.InferRequestedOutput("pixels")],
        )
        path = args.output / ("seed" + "-".join(f"{seed:04d}" for seed in seeds) + ".png")
        save(path, result.as_numpy("pixels")[0])
        print(path)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", help="HOST:PORT [default: localhost:8000, or localhost:8001 with --grpc]")
    parser.add_argument("--grpc", action="store_true", help="speak gRPC instead of HTTP")
    parser.add_argument("--model", default=MODEL, required=not MODEL, help="name of the model [default: %(default)s]")
    parser.add_argument("--seeds", type=numbers, required=True, help="seeds like 0-7,42")
    parser.add_argument("--psi", type=float, default=1.0, help="truncation: 1 none, 0 the mean image")
    parser.add_argument("--cutoff", type=int, default=CUTOFF, help="truncate this many rows [default: %(default)s]")
    parser.add_argument("--class", dest="class_", type=int, help="class, where the generator has any")
    parser.add_argument("-o", "--output", type=Path, default=Path(), help="folder to write to")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    """`0-7,42` as a list."""
    result: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        result += range(int(first), int(last or first) + 1)
    return result


def input_widths(server: Any, model: str, grpc: bool) -> dict[str, int]:
    """How many values an image has of each of the model's inputs."""
    metadata = server.get_model_metadata(model, **({"as_json": True} if grpc else {}))
    return {item["name"]: int(item["shape"][-1]) for item in metadata["inputs"]}


def latent(seed: int, width: int) -> np.ndarray:
    """float32 [1, z_dim]."""
    return np.random.RandomState(seed).randn(1, width).astype(np.float32)


def psi_rows(psi: float, cutoff: int | None, rows: int, mixes: bool) -> np.ndarray:
    """float32 [1, num_ws]: `psi` for the first `cutoff` rows, and 1 for the others."""
    if mixes and psi != 1 and cutoff not in (None, rows):
        raise SystemExit(f"this model mixes styles, so a cutoff of {cutoff} rows can't apply: pass --cutoff {rows}")
    factors = np.ones((1, rows), np.float32)
    factors[:, :cutoff] = psi
    return factors


def label(number: int | None, width: int) -> np.ndarray:
    """float32 [1, c_dim], one-hot."""
    if number is None or not 0 <= number < width:
        raise SystemExit(f"this generator is conditional: give --class, 0 to {width - 1}")
    values = np.zeros((1, width), np.float32)
    values[0, number] = 1
    return values


def tensor(protocol: Any, name: str, values: np.ndarray) -> Any:
    """An input of a request."""
    result = protocol.InferInput(name, list(values.shape), "FP32")
    result.set_data_from_numpy(values)
    return result


def save(path: Path, pixels: np.ndarray) -> None:
    """uint8 [H, W, C] as a PNG."""
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)


if __name__ == "__main__":
    main()
