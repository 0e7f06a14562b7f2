"""REST as it stands on the wire: what clients of one's own may send, and what they must not."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from runtime import Bundle, Generator
from runtime.server.errors import BadRequestError
from runtime.server.inference.documents import Document, _Document
from runtime.server.inference.interface import Interface, Part, Tensor
from runtime.server.limits import Limits
from tests.runtime.server.inference.asking import Asker
from tests.runtime.server.running import Running, running

MAPPING = Interface("m", Part.MAPPING, (Tensor("z", "FP32", (2,)),), (Tensor("w", "FP32", (2,)),))
FORMS: list[dict[str, Any]] = [
    {"data": [1, 2]},
    {"data": [[1, 2.5]]},
    *({"parameters": {"binary_data_size": size}} for size in (4, 8, 16)),
]
SNIPPETS = {
    json.dumps({"inputs": [{"name": "z", "shape": shape, "datatype": datatype, **data}]}).encode()
    for shape in ([1, 2], [2, 2], [0, 2], [1, 2, 1])
    for datatype in ("FP32", "FP16", "BF16", "BYTES")
    for data in FORMS
}
LENGTH = "Inference-Header-Content-Length"
PLAIN = {"accept-encoding": "identity"}


def infer(served: Running, body: Any, model: str = "tiny", **headers: str) -> httpx.Response:
    """`body` as it is, or as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return served.client.post(f"/v2/models/{model}/infer", content=content, headers={**PLAIN, **headers})


def refused(answer: httpx.Response, message: str, status: int = 400) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    (told,) = answer.json().items()
    assert told[0] == "error"
    assert message in told[1]


def tensor(name: str, shape: list[Any], datatype: str, **rest: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, **rest}


def seeds(*values: int) -> dict[str, Any]:
    return tensor("seed", [len(values), 1], "INT64", data=list(values))


def raw(answer: httpx.Response) -> tuple[dict[str, Any], bytes]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[LENGTH])
    return json.loads(answer.content[:length]), answer.content[length:]


def test_values_in_json_both_ways(served: Running, generators: dict[str, Generator]) -> None:
    tiny = generators["tiny"]
    z = tiny.latents([1, 2])
    expected = tiny.synthesize(tiny.styles(tiny.map(z)))
    for data in (z.tolist(), z.ravel().tolist()):  # nested and flat
        document = {"id": "a", "inputs": [tensor("z", [2, 7], "FP32", data=data)], "outputs": [{"name": "image"}]}
        answer = infer(served, document).json()
        assert {**answer, "outputs": None} == {"model_name": "tiny", "model_version": "1", "id": "a", "outputs": None}
        (output,) = answer["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("image", "FP32", [2, 3, 16, 16])
        found = np.array(output["data"], np.float32).reshape(output["shape"])
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("datatype", [np.float16, np.float32, np.float64])
def test_floats_in_json(http: Asker, generators: dict[str, Generator], datatype: type) -> None:
    tiny = generators["tiny"]
    z: np.ndarray = tiny.latents([1]).astype(datatype)
    tensor = http.tensor("z", z).set_data_from_numpy(z, binary_data=False)
    output = tritonclient.http.InferRequestedOutput("w", binary_data=False)
    found = http.client.infer("tiny_mapping", [tensor], outputs=[output]).as_numpy("w")
    np.testing.assert_array_equal(found, tiny.map(z.astype(np.float32)))


def test_raw_bytes_only_where_asked(served: Running, generators: dict[str, Generator]) -> None:
    both: list[dict[str, Any]] = [{"name": "image"}, {"name": "pixels", "parameters": {"binary_data": True}}]
    head, rest = raw(infer(served, {"inputs": [seeds(1)], "outputs": both}))
    image, pixels = head["outputs"]
    assert "data" in image
    assert "data" not in pixels
    assert pixels["parameters"] == {"binary_data_size": 768} == {"binary_data_size": len(rest)}
    np.testing.assert_array_equal(np.frombuffer(rest, np.uint8), generators["tiny"].generate([1]).ravel())
    default = {"inputs": [seeds(1)], "parameters": {"binary_data_output": True}}
    head, rest = raw(infer(served, default))
    assert len(rest) == 768 + 3072
    both[1]["parameters"] = {"binary_data": False}
    answer = infer(served, {**default, "outputs": [both[1]]}).json()
    assert len(answer["outputs"][0]["data"]) == 768


def test_values_and_raw_bytes_together(served: Running, generators: dict[str, Generator]) -> None:
    tiny = generators["tiny"]
    z, psi = tiny.latents([1]), np.full((1, 6), 0.5, np.float32)
    head = json.dumps(
        {
            "inputs": [
                tensor("z", [1, 7], "FP32", parameters={"binary_data_size": 28}),
                tensor("psi", [1, 6], "FP32", data=psi.ravel().tolist()),
                tensor("noise_00", [1, 1, 4, 4], "FP16", parameters={"binary_data_size": 32}),
            ],
            "outputs": [{"name": "pixels", "parameters": {"binary_data": True}}],
        }
    ).encode()
    noise = np.arange(16, dtype=np.float16)
    _, rest = raw(infer(served, head + z.tobytes() + noise.tobytes(), **{LENGTH: str(len(head))}))
    own = [array[None, None] for array in tiny.bundle.stored_noise]
    styles = tiny.styles(tiny.map(z), psi=0.5)
    expected = tiny.synthesize(styles, [noise.reshape(1, 1, 4, 4), *own[1:]], "pixels")
    np.testing.assert_array_equal(np.frombuffer(rest, np.uint8), expected.ravel())


def test_nothing_but_a_tensor(served: Running, generators: dict[str, Generator]) -> None:
    tiny = generators["tiny"]
    z = tiny.latents([1, 2])
    head, rest = raw(infer(served, z.tobytes(), "tiny_mapping", **{LENGTH: "0"}))
    assert head["outputs"][0]["shape"] == [2, 9]
    np.testing.assert_array_equal(np.frombuffer(rest, np.float32).reshape(2, 9), tiny.map(z))
    head, _ = raw(infer(served, z.tobytes(), "tiny", **{LENGTH: "0"}))
    assert sorted(output["name"] for output in head["outputs"]) == ["image", "pixels"]
    none = {LENGTH: "0"}
    refused(
        infer(served, bytes(27), **none), "the body has 27 bytes, expected a multiple of 28: z FP32 of shape [-1, 7]"
    )
    refused(infer(served, b"", **none), "the body has 0 bytes, expected a multiple of 28")
    refused(infer(served, bytes(28), "classes", **none), "classes needs z, c; send JSON and its length")


@pytest.mark.parametrize("length", ["-1", "abc", "", "1.5", "0x1", "٣", "9" * 30, "99999999999999999999", "1000"])
def test_wrong_lengths_of_the_json(served: Running, length: str) -> None:
    body = json.dumps({"inputs": [seeds(1)]}).encode()
    answer = served.client.post(
        "/v2/models/tiny/infer", content=body, headers=[(LENGTH.encode(), length.encode()), (b"accept", b"*/*")]
    )
    refused(answer, "Inference-Header-Content-Length is ")


@pytest.mark.parametrize(
    ("sizes", "rest", "message"),
    [
        ((29,), 28, "z has binary_data_size 29, but 28 bytes are left of the body"),
        ((-1,), 28, "z has binary_data_size -1, but 28 bytes are left of the body"),
        ((28.0,), 28, "z has binary_data_size 28.0, but"),
        (("28",), 28, "z has binary_data_size '28', but"),
        ((True,), 28, "z has binary_data_size True, but"),
        ((10**30,), 28, "z has binary_data_size a huge number, but"),
        ((24,), 24, "z has 24 bytes, expected 28: FP32 of shape [1, 7]"),
        ((28,), 29, "the body has 1 bytes after its last tensor"),
    ],
)
def test_wrong_sizes_of_raw_bytes(served: Running, sizes: tuple[Any], rest: int, message: str) -> None:
    head = json.dumps({"inputs": [tensor("z", [1, 7], "FP32", parameters={"binary_data_size": sizes[0]})]}).encode()
    refused(infer(served, head + bytes(rest), **{LENGTH: str(len(head))}), message)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "inputs is missing"),
        ([], "the body is a list: "),
        ({"inputs": {}}, "inputs is a dict: "),
        ({"inputs": [{}]}, "inputs.0.name is missing"),
        ({"inputs": [{"name": "z"}]}, "inputs.0.shape is missing"),
        ({"inputs": [tensor(3, [1, 7], "FP32")]}, "inputs.0.name is 3: "),  # type: ignore[arg-type]
        ({"inputs": [tensor("z", [1, True], "FP32")]}, "inputs.0.shape.1 is True: "),
        ({"inputs": [tensor("z", [1.5], "FP32")]}, "inputs.0.shape.0 is 1.5: "),
        ({"inputs": [tensor("z", [-1, 7], "FP32", data=[])]}, "z has a dimension of -1, expected 0 to 2147483647"),
        ({"inputs": [tensor("z", [1] * 17, "FP32", data=[1])]}, "z has 17 dimensions, 16 is the limit"),
        ({"inputs": [tensor("z", [1, 7], "FP33", data=[])]}, "z has datatype 'FP33', expected one of BOOL, UINT8"),
        ({"inputs": [tensor("z", [1, 7], "FP32")]}, "z has no array 'data', and no binary_data_size"),
        ({"inputs": [tensor("z", [1, 7], "FP32", data=[0] * 6)]}, "z has 6 values, expected 7: shape [1, 7]"),
        ({"inputs": [tensor("z", [1, 7], "FP32", data=["0"] * 7)]}, "z holds '0', expected numbers for FP32"),
        ({"inputs": [tensor("z", [1, 7], "FP32", data=[1e39] * 7)]}, "z holds NaN or infinity"),
        ({"inputs": [seeds(1), seeds(1)]}, "input seed is given twice"),
        (
            {"inputs": [tensor("z", [1, 7], "FP32", data=[0] * 7, parameters={"binary_data_size": 0})]},
            "z has both 'data' and binary_data_size, expected one of them",
        ),
        ({"inputs": [seeds(1)], "id": 3}, "id is 3: "),
        ({"inputs": [seeds(1)], "outputs": [{"name": 1}]}, "outputs.0.name is 1: "),
        ({"inputs": [seeds(1)], "parameters": 3}, "parameters is 3: "),
        ({"inputs": [seeds(1)], "parameters": {"timeout": "soon"}}, "the parameter timeout is 'soon', expected micro"),
        ({"inputs": [seeds(1)], "parameters": {"timeout": -5}}, "the parameter timeout is -5, expected microseconds"),
        (
            {"inputs": [seeds(1)], "parameters": {"binary_data_output": 1}},
            "the parameter binary_data_output is 1, expected true or false",
        ),
        (
            {"inputs": [seeds(1)], "outputs": [{"name": "pixels", "parameters": {"binary_data": "yes"}}]},
            "the parameter binary_data is 'yes', expected true or false",
        ),
    ],
)
def test_wrong_documents(served: Running, document: Any, message: str) -> None:
    refused(infer(served, document), message)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"inputs": [}', b'{"a": "\\ud800"}', b"nothing"])
def test_what_is_no_json(served: Running, body: bytes) -> None:
    refused(infer(served, body), "the body is not JSON: ")


@pytest.mark.parametrize("place", ['"inputs"', '"inputs": [], "outputs"', '"inputs": [{"name": "z", "shape"'])
def test_one_thing_that_is_wrong_is_enough(place: str) -> None:
    ends = "]}]}" if "shape" in place else "]}"
    body = f"{{{place}: [{','.join(['null'] * 1000)}{ends}".encode()
    with pytest.raises(ValidationError) as caught:
        _Document.model_validate_json(body)
    assert caught.value.error_count() <= 2  # an input whose shape is wrong lacks a datatype too


def test_json_that_nests_deep(served: Running) -> None:
    refused(infer(served, b"[" * 33 + b"]" * 33), "the JSON body nests 33 deep, 32 is the limit")


def test_what_is_not_known_is_tolerated(served: Running) -> None:
    document = {
        "inputs": [{**seeds(1), "colour": "blue", "parameters": {"weight": 1}}],
        "outputs": [{"name": "pixels", "parameters": {"weight": 1}, "more": []}],
        "parameters": {"priority": 3, "timeout": 0, "whatever": {}},
        "more": {"deep": []},
    }
    assert infer(served, document).status_code == 200
    assert (
        infer(served, {"inputs": [{**seeds(1), "parameters": None}], "parameters": None, "id": None}).status_code == 200
    )


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_compression(http: Asker, generators: dict[str, Generator], name: str) -> None:
    found = http.infer(
        "tiny", {"seed": np.array([[1], [2]])}, request_compression_algorithm=name, response_compression_algorithm=name
    )
    np.testing.assert_array_equal(found.as_numpy("pixels"), generators["tiny"].generate([1, 2]))


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        ("gzip", "gzip"),
        ("deflate, gzip", "deflate"),
        ("br, gzip;q=0.5", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.0", None),
        ("br", None),
        ("", None),
    ],
)
def test_answers_are_compressed_where_it_pays(served: Running, accepted: str, used: str | None) -> None:
    document = {"inputs": [seeds(1)], "outputs": [{"name": "pixels"}]}
    answer = infer(served, document, **{"accept-encoding": accepted})
    assert answer.headers.get("content-encoding") == used
    assert answer.headers["vary"] == "Accept-Encoding"
    assert len(answer.json()["outputs"][0]["data"]) == 768
    small = {"inputs": [tensor("z", [1, 7], "FP32", data=[0] * 7)]}
    assert "content-encoding" not in infer(served, small, "tiny_mapping", **{"accept-encoding": accepted}).headers


def test_wrong_compression(served: Running) -> None:
    body = json.dumps({"inputs": [seeds(1)]}).encode()
    assert infer(served, gzip.compress(body), **{"content-encoding": "gzip"}).status_code == 200
    assert infer(served, zlib.compress(body), **{"content-encoding": "deflate"}).status_code == 200
    told = {"content-encoding": "gzip"}
    refused(infer(served, body, **told), "the body is not gzip as its Content-Encoding says")
    refused(infer(served, gzip.compress(body)[:-9], **told), "the gzip body ends before its end")
    refused(infer(served, body, **{"content-encoding": "br"}), "Content-Encoding 'br' is not read here", 415)


def test_bodies_over_the_limit(tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(max_body=4000)) as server:
        body = json.dumps({"inputs": [seeds(1)], "more": "x" * 5000}).encode()
        refused(infer(server, body), "the body is over the limit of 4,000 bytes", 413)
        refused(infer(server, gzip.compress(body), **{"content-encoding": "gzip"}), "over the limit", 413)


def test_pages_of_other_sites(served: Running) -> None:
    document = {"inputs": [seeds(1)], "outputs": [{"name": "pixels"}]}
    for origin in ("https://example.org", "null"):
        refused(infer(served, document, origin=origin), "asked by a page of another site", 403)
    assert infer(served, document, origin=served.url).status_code == 200


@settings(deadline=None)
@given(st.binary(max_size=40) | st.sampled_from(sorted(SNIPPETS)), st.binary(max_size=40), st.integers(-2, 300))
def test_any_body_is_read_or_refused(head: bytes, rest: bytes, length: int) -> None:
    for header in (None, str(length), str(len(head))):
        document = Document(head + rest, header, Limits())
        try:
            asked = document.read(MAPPING)
        except BadRequestError:
            continue
        assert asked.inputs["z"].dtype.kind == "f"
        assert asked.outputs == ("w",)


def test_other_methods_and_addresses(served: Running) -> None:
    for method, path, status in (
        ("GET", "/v2/models/tiny/infer", 405),
        ("POST", "/v2/models/tiny", 405),
        ("GET", "/v2/models/tiny/versions/1/nothing", 404),
        ("GET", "/v2/nothing", 404),
    ):
        answer = served.client.request(method, path)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("body", [b"3", b'{"ready": 3}', b"{", b"[]"])
def test_a_wrong_question_for_the_index(served: Running, body: bytes) -> None:
    refused(served.client.post("/v2/repository/index", content=body), "the body is ")
