"""How much one request, and all of them together, may take."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import InputError

MAX_BODY_BYTES = 64 << 20
"""Body of a request, also once decompressed: Triton's default, and the noise of five 1024 px images."""
MAX_DOCUMENT_BYTES = 4 << 20
"""JSON of a request for pictures: 22 images of styles, [18, 512] each. To refuse one of 300,000 unknown fields takes
eighty times its bytes for a second; more numbers go by the Open Inference Protocol, as bytes."""
MAX_JSON_DEPTH = 32
"""Nested brackets of a JSON document: ours have 4, a tensor as nested lists as many as it has dimensions."""
MAX_IMAGES = 64
"""Images of one request: half a second of a GPU, a minute of a CPU at 1024 px."""
MAX_PIXELS = 1 << 26
"""Pixels of one request: 64 images of 1024 px, 200 MB of answer before it is encoded."""
MAX_QUEUE = 256
"""Images that may wait for one device: more only wait longer than anybody does."""
REQUEST_SECONDS = 60.0
"""Time of a request, from its first byte to its answer's: a minute is what proxies allow."""
MAX_CONNECTIONS = 1024
"""Connections at a time; more are answered 503."""


@dataclass(frozen=True)
class Limits:
    """The limits of a server. Raises InputError where one is not positive."""

    max_body: int = MAX_BODY_BYTES
    max_document: int = MAX_DOCUMENT_BYTES
    max_json_depth: int = MAX_JSON_DEPTH
    max_images: int = MAX_IMAGES
    max_pixels: int = MAX_PIXELS
    max_queue: int = MAX_QUEUE
    request_seconds: float = REQUEST_SECONDS
    max_connections: int = MAX_CONNECTIONS

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f"the limit {name} is {value:g}, expected more than 0")
