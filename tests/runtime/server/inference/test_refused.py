"""What is refused, in one clear line, by HTTP and by gRPC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.runtime.server.inference.asking import Asker

Z = np.zeros((2, 7), np.float32)
SEED = np.array([[1]])
INVALID, MISSING, ABSENT = ("400", "INVALID_ARGUMENT"), ("404", "NOT_FOUND"), ("501", "UNIMPLEMENTED")


def refused(asker: Asker, status: tuple[str, str], message: str, call: Any, *arguments: Any, **options: Any) -> None:
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **options)
    told = caught.value.message()
    assert message in told
    assert "\n" not in told
    assert caught.value.status() == (f"StatusCode.{status[1]}" if asker.is_grpc else status[0])


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        ("tiny", {}, "z is missing, an input of tiny; give it, or seed"),
        ("tiny", {"psi": np.ones((1, 6), np.float32)}, "z is missing, an input of tiny; give it, or seed"),
        ("tiny_mapping", {}, "z is missing, an input of tiny_mapping; give it"),
        ("tiny_synthesis", {}, "styles is missing, an input of tiny_synthesis; give it"),
        ("classes", {"z": Z}, "c is missing, an input of classes; give it"),
        ("classes", {"seed": SEED}, "c is missing, an input of classes; give it"),
        ("mixing", {"z": Z}, "z_1 is missing, an input of mixing; give it, or seed"),
        ("tiny", {"z": Z, "seed": SEED}, "seed and z are given, expected one of them"),
        ("tiny", {"z": Z, "w": Z}, "tiny has no input 'w', expected z, psi, seed, noise_00"),
        ("tiny_mapping", {"z": Z, "psi": Z}, "tiny_mapping has no input 'psi', expected z"),
        ("tiny", {"z": np.zeros((2, 8), np.float32)}, "z has shape [2, 8], expected [-1, 7]"),
        ("tiny", {"z": np.zeros(7, np.float32)}, "z has shape [7], expected [-1, 7]"),
        ("tiny", {"z": np.zeros((0, 7), np.float32)}, "z has shape [0, 7], expected [-1, 7]"),
        ("tiny", {"z": np.zeros((65, 7), np.float32)}, "65 images asked for, 64 is the limit of a request"),
        ("tiny", {"seed": np.zeros((1, 2), np.int64)}, "seed has shape [1, 2], expected [-1, 1]"),
        ("tiny", {"z": Z, "psi": np.ones((3, 6), np.float32)}, "z is for 2 images, psi for 3; expected as many, or 1"),
        (
            "tiny",
            {"z": Z, "noise_00": np.zeros((1, 4, 4), np.float32)},
            "noise_00 has shape [1, 4, 4], expected [-1, 1",
        ),
        ("tiny", {"z": np.full((1, 7), np.nan, np.float32)}, "z holds NaN or infinity, expected finite numbers"),
        ("tiny", {"z": np.full((1, 7), 1e300)}, "z holds NaN or infinity, expected finite numbers"),
        ("tiny_mapping", {"z": np.full((1, 7), np.inf, np.float32)}, "z holds NaN or infinity"),
        ("tiny_synthesis", {"styles": np.full((1, 6, 9), np.nan, np.float32)}, "styles holds NaN or infinity"),
        ("tiny", {"z": Z, "psi": np.full((1, 6), 101, np.float32)}, "psi is 101, expected a finite number"),
        ("tiny", {"z": Z, "psi": np.full((1, 6), np.nan, np.float32)}, "psi holds NaN or infinity"),
        ("tiny", {"seed": np.array([[-1]])}, "seed -1 is out of range, expected 0 to 4294967295"),
        ("turned", {"seed": SEED, "transform": np.full((1, 3, 3), np.nan, np.float32)}, "transform holds NaN"),
        (
            "mixing",
            {"seed": np.array([[1, 2]]), "psi": np.array([[1, 0.5, 1, 1, 1, 1]], np.float32)},
            "psi differs between rows 0 and 1, which share source 0 of the mask",
        ),
    ],
)
def test_wrong_inputs(asker: Asker, model: str, inputs: dict[str, np.ndarray], message: str) -> None:
    refused(asker, INVALID, message, asker.infer, model, inputs)


@pytest.mark.parametrize(
    "array",
    [
        *(np.zeros((1, 7), datatype) for datatype in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16)),
        *(np.zeros((1, 7), datatype) for datatype in (np.uint32, np.uint64, np.bool_)),
        np.full((1, 7), b"1", object),
    ],
    ids=lambda array: array.dtype.name,
)
def test_a_latent_is_of_floats(asker: Asker, array: np.ndarray) -> None:
    told = asker.tensor("z", array).datatype()
    refused(
        asker,
        INVALID,
        f"z has datatype {told}, expected FP16 or BF16 or FP32 or FP64",
        asker.infer,
        "tiny",
        {"z": array},
    )


@pytest.mark.parametrize("datatype", [np.float16, np.float32, np.float64, np.bool_])
def test_a_seed_is_whole(asker: Asker, datatype: type) -> None:
    seeds: dict[str, np.ndarray] = {"seed": np.ones((1, 1), datatype)}
    refused(asker, INVALID, ", expected UINT8 or UINT16 or", asker.infer, "tiny", seeds)


def test_wrong_outputs(asker: Asker) -> None:
    given = {"seed": SEED}
    told = "tiny has no output 'w', expected "
    refused(asker, INVALID, told, asker.infer, "tiny", given, ["w"])
    refused(asker, INVALID, "output image is asked for twice", asker.infer, "tiny", given, ["image", "image"])


@pytest.mark.parametrize("model", ["nobody", "tiny_truncation", "tiny2"])
def test_unknown_models(asker: Asker, model: str) -> None:
    refused(asker, MISSING, f"model '{model}' is not served, expected one of tiny", asker.infer, model, {})
    for ask in ("get_model_metadata", "get_model_config"):
        refused(asker, MISSING, f"model '{model}' is not served", getattr(asker.client, ask), model)


def test_unknown_versions(asker: Asker) -> None:
    told = "model tiny has no version '2', expected 1"
    refused(asker, MISSING, told, asker.infer, "tiny", {"seed": SEED}, model_version="2")
    refused(asker, MISSING, told, asker.client.get_model_metadata, "tiny", "2")
    refused(asker, MISSING, told, asker.client.get_inference_statistics, "tiny", "2")


def test_loading_is_not_for_clients(asker: Asker) -> None:
    told = "models are loaded when the server starts, and again when their bundle is replaced"
    refused(asker, ABSENT, told, asker.client.load_model, "tiny")
    refused(asker, ABSENT, told, asker.client.load_model, "tiny", config='{"max_batch_size": 9}')
    refused(asker, ABSENT, told, asker.client.unload_model, "tiny")


@pytest.mark.parametrize(
    ("call", "arguments", "what"),
    [
        ("get_system_shared_memory_status", (), "shared memory"),
        ("register_system_shared_memory", ("region", "key", 64), "shared memory"),
        ("unregister_system_shared_memory", (), "shared memory"),
        ("unregister_system_shared_memory", ("region",), "shared memory"),
        ("get_cuda_shared_memory_status", (), "shared memory"),
        ("register_cuda_shared_memory", ("region", b"aGFuZGxl", 0, 64), "shared memory"),
        ("unregister_cuda_shared_memory", (), "shared memory"),
        ("get_trace_settings", (), "tracing by request"),
        ("update_trace_settings", ("tiny", {"trace_level": ["OFF"]}), "tracing by request"),
        ("get_log_settings", (), "settings of the log"),
        ("update_log_settings", ({"log_verbose_level": 1},), "settings of the log"),
    ],
)
def test_what_is_not_offered(asker: Asker, call: str, arguments: tuple[Any, ...], what: str) -> None:
    refused(asker, ABSENT, f"this server does without {what}", getattr(asker.client, call), *arguments)


def test_tensors_in_shared_memory(asker: Asker) -> None:
    tensor = asker.module.InferInput("z", [1, 7], "FP32")
    tensor.set_shared_memory("region", 28)
    told = "z is in shared memory, which this server does without; send values or raw bytes"
    refused(asker, ABSENT, told, asker.client.infer, "tiny", [tensor])
    output = asker.module.InferRequestedOutput("pixels")
    output.set_shared_memory("region", 768)
    told = "pixels is in shared memory"
    refused(asker, ABSENT, told, asker.client.infer, "tiny", [asker.tensor("seed", SEED)], outputs=[output])


def test_classification(asker: Asker) -> None:
    output = asker.module.InferRequestedOutput("pixels", class_count=3)
    told = "pixels is no classification; ask for it without that parameter"
    refused(asker, ABSENT, told, asker.client.infer, "tiny", [asker.tensor("seed", SEED)], outputs=[output])


def test_a_timeout_of_the_clients_own(asker: Asker) -> None:
    told = "the images were not drawn within 1e-06 s"
    late = ("504", "DEADLINE_EXCEEDED")
    refused(asker, late, told, asker.infer, "tiny", {"seed": np.arange(60)[:, None]}, timeout=1)
