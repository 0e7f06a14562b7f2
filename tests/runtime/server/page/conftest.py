"""A browser, and servers whose page it opens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Bundle
from tests.browser import chromium
from tests.runtime.server.page.looking import DESKTOP, Open
from tests.runtime.server.running import Running, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="package")
def one(tiny_bundle: Bundle) -> Iterator[Running]:
    """A server of one bundle."""
    with running({"tiny": tiny_bundle}, reload_seconds=0) as served:
        yield served


@pytest.fixture(scope="package")
def others(directed_bundle: Bundle, blend_bundle: Bundle) -> Iterator[Running]:
    """Bundles that have directions, and that mix inside their graph."""
    with running({"directed": directed_bundle, "blend": blend_bundle}, reload_seconds=0) as served:
        yield served


@pytest.fixture
def said() -> list[str]:
    """What pages complained of, and whom they asked but their own server."""
    return []


@pytest.fixture
def visit(browser: Browser, said: list[str]) -> Iterator[Open]:
    """Opens a server's page; at the end of the test nothing may have been complained of."""
    contexts = []

    def opening(server: Running, fragment: str = "", **options: Any) -> Page:
        context = browser.new_context(viewport=options.pop("viewport", DESKTOP), **options)
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
        page = context.new_page()
        ours = (server.url, server.url.replace("http", "ws", 1), f"blob:{server.url}")
        page.on("request", lambda request: None if request.url.startswith(ours) else said.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{server.url}/{fragment}")
        return page

    yield opening
    for context in contexts:
        context.close()
    assert said == []
