"""The page's files: nothing from elsewhere, nothing inline, everything labelled, each file small."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from runtime.server.page_routes import PAGE
from tests.runtime.server.running import Running

FILES = sorted(PAGE.iterdir())
MAX_LINES = 200
"""Of a file: it does one thing."""
MAX_BYTES = 64 << 10
"""Of the whole page, uncompressed: a slow phone has it in a moment."""
FIELDS = ("input", "select", "textarea")
NAMESPACE = "http://www.w3.org/2000/svg"
"""Names SVG, and is never fetched."""


class _Page(HTMLParser):
    """The elements of the page with their attributes, and the text of each `script` and `style`."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(scope="module")
def page() -> _Page:
    parser = _Page()
    parser.feed((PAGE / "index.html").read_text("utf-8"))
    return parser


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_small_and_asks_for_nothing_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.\w+[^\s\"'<>)]*", text.replace(NAMESPACE, "")) == []
    assert "eval(" not in text
    assert "innerHTML" not in text, "what a server says is text, never markup"


def test_the_whole_page_is_small() -> None:
    assert sum(path.stat().st_size for path in FILES) <= MAX_BYTES


def test_nothing_is_inline(page: _Page) -> None:
    """The policy that is sent with it would refuse it."""
    assert page.inline == ""
    for tag, attributes in page.elements:
        assert tag != "style"
        assert tag != "script" or attributes["src"], "a script without a file"
        assert [name for name in attributes if name == "style" or name.startswith("on")] == []


def test_every_address_is_relative(page: _Page) -> None:
    """So that the page works behind a proxy that serves it from a folder."""
    addresses = [value for _, found in page.elements for name, value in found.items() if name in ("href", "src")]
    assert addresses == ["favicon.ico", "static/style.css", "static/app.js"]


def test_every_id_is_there_once(page: _Page) -> None:
    found = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, count in found.items() if count > 1] == []
    scripts = "\n".join(path.read_text("utf-8") for path in FILES if path.suffix == ".js")
    asked = set(re.findall(r"(?:element|onClick|click)\(\"([\w-]+)\"", scripts))
    assert len(asked) > 20
    assert asked <= set(found), "a script asks for an element that is not there"


def test_every_field_has_a_label(page: _Page) -> None:
    labelled = {attributes.get("for") for tag, attributes in page.elements if tag == "label"}
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert labelled <= ids
    for tag, attributes in page.elements:
        if tag in FIELDS:
            assert attributes.get("aria-label") or attributes.get("id") in labelled, attributes
        if tag == "fieldset":
            following = page.elements[page.elements.index((tag, attributes)) + 1]
            assert following[0] == "legend"
    assert next(found for tag, found in page.elements if tag == "html")["lang"] == "en"


def test_every_import_is_a_file() -> None:
    for path in FILES:
        if path.suffix == ".js":
            for name in re.findall(r"from \"\./([\w.]+)\"", path.read_text("utf-8")):
                assert (PAGE / name).is_file(), f"{path.name} imports {name}"


def test_the_server_sends_every_file(server: Running) -> None:
    kinds = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    for path in FILES:
        answer = server.client.get(f"/static/{path.name}")
        assert answer.content == path.read_bytes()
        assert answer.headers["cache-control"] == "no-store", "an older release's file is never taken for this one's"
        assert kinds[path.suffix] in answer.headers["content-type"]
    assert server.client.get("/").content == (PAGE / "index.html").read_bytes()
    assert server.client.get("/favicon.ico").content == (PAGE / "favicon.svg").read_bytes()
    assert "default-src 'none'" in server.client.get("/").headers["content-security-policy"]
