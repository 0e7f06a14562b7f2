"""`GET /v1/image/{seed}.png`: an address that caches may keep."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from runtime import Generator
from tests.runtime.server.running import Running


def test_an_image_by_its_address(server: Running, tiny: Generator) -> None:
    answer = server.client.get("/v1/image/5.png?model=tiny&psi=0.7&noise=3")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    expected = tiny.generate([5], psi=0.7, noise=3)[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), expected)


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_other_suffixes(server: Running, suffix: str, kind: str) -> None:
    answer = server.client.get(f"/v1/image/5.{suffix}?model=tiny")
    assert Image.open(io.BytesIO(answer.content)).format == kind


def test_a_tag_saves_the_drawing(server: Running) -> None:
    address = "/v1/image/5.png?model=tiny&psi=0.7"
    tag = server.client.get(address).headers["etag"]
    drawn = server.service.metrics.images.labels("tiny")._value.get()
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = server.client.get(address, headers={"if-none-match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert server.client.head(address).headers["etag"] == tag
    assert server.service.metrics.images.labels("tiny")._value.get() == drawn
    assert server.client.get(address, headers={"if-none-match": '"other"'}).status_code == 200


def test_the_tag_tells_parameters_and_models_apart(server: Running) -> None:
    addresses = ["5.png?", "6.png?", "5.webp?", "5.png?psi=0.5&", "5.png?noise=1&", "5.png?cutoff=2&"]
    tags = {server.client.head(f"/v1/image/{address}model=tiny").headers["etag"] for address in addresses}
    tags |= {server.client.head("/v1/image/5.png?model=cutoff").headers["etag"]}
    assert len(tags) == len(addresses) + 1


@pytest.mark.parametrize(
    ("address", "status", "told"),
    [
        ("5.gif?model=tiny", 404, "expected .png, .jpg or .webp"),
        ("5.png?model=tiny&psi=much", 400, "psi is 'much', expected a number"),
        ("5.png?model=tiny&psi=nan", 400, "psi is nan"),
        ("5.png?model=tiny&psi=1&psi=2", 400, "psi is given twice"),
        ("5.png?model=tiny&size=9", 400, "'size' is not known of an image's address"),
        ("5.png?model=tiny&noise=loud", 400, "noise is 'loud'"),
        ("5.png?model=tiny&cutoff=1e400", 400, "cutoff is '1e400'"),
        ("99999999999.png?model=tiny", 400, "seed is 99999999999"),
        ("5.png?model=none", 404, "model 'none' is not served"),
        ("five.png", 404, "Not Found"),
    ],
)
def test_wrong_addresses(server: Running, address: str, status: int, told: str) -> None:
    answer = server.client.get(f"/v1/image/{address}")
    assert answer.status_code == status
    assert told in answer.json()["error"]
