"""The page before other bundles and servers: of each kind, guarded, overloaded, lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime import Bundle
from runtime.server.limits import Limits
from tests.runtime.server.page.looking import DESKTOP, Open, address, alt, shows, slide, until
from tests.runtime.server.running import Running, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, WebSocketRoute

pytestmark = pytest.mark.browser


FIELDSETS = ("#class-field", "#noise-field", "#mix-field", "#directions-field", "#motion-field", "#play", "#more-seeds")


@pytest.mark.parametrize(
    ("model", "there"),
    [
        ("tiny", "noise mix play"),
        ("classes", "class noise mix play"),
        ("turned", "mix motion play"),
        ("directed", "noise mix directions play"),
        ("blend", "noise more-seeds"),
    ],
)
def test_fields_are_there_where_the_bundle_has_them(
    visit: Open, server: Running, others: Running, model: str, there: str
) -> None:
    served = others if model in ("directed", "blend") else server
    page = visit(served, f"#model={model}")
    page.locator("#panel").wait_for()
    found = [name.lstrip("#").removesuffix("-field") for name in FIELDSETS if page.locator(name).is_visible()]
    assert set(found) == set(there.split())
    unnamed = page.locator("input:visible, select:visible").evaluate_all(
        "found => found.filter(item => !item.labels.length && !item.ariaLabel).map(item => item.id)"
    )
    assert unnamed == []


def test_another_model(visit: Open, server: Running) -> None:
    page = visit(server, "#seed=4")
    shows(page, server, model="tiny", seed=4)
    page.select_option("#model", "classes")
    page.get_by_text("classes: StyleGAN2, 16").wait_for()
    shows(page, server, model="classes", seed=0, **{"class": 0})
    page.fill("#class", "2")
    shows(page, server, model="classes", seed=0, **{"class": 2})
    assert "class 2" in alt(page)
    until(lambda: "model=classes" in address(page), "the address does not say the model")


def test_directions_edit(visit: Open, others: Running) -> None:
    page = visit(others, "#model=directed")
    slide(page, "#direction-0", 1.5)
    slide(page, "#direction-1", -2)
    assert page.locator("#directions label").all_inner_texts() == ["age 1.5", "smile -2"]
    edit = [{"direction": "age", "amount": 1.5}, {"direction": "smile", "amount": -2}]
    shows(page, others, model="directed", seed=0, edit=edit)
    until(lambda: "edit.age=1.5&edit.smile=-2" in address(page), "the address does not say the edit")
    page.click("#directions-reset")
    shows(page, others, model="directed", seed=0)


def test_a_bundle_that_mixes_takes_a_seed_a_source(visit: Open, others: Running) -> None:
    page = visit(others, "#model=blend&seed=3")
    shows(page, others, model="blend", seeds=[3, 1])
    page.get_by_label("Seed 2").fill("9")
    shows(page, others, model="blend", seeds=[3, 9])


def test_a_stylegan3_is_turned_and_moved(visit: Open, server: Running) -> None:
    page = visit(server, "#model=turned")
    shows(page, server, model="turned", seed=0)
    slide(page, "#rotate", 30)
    slide(page, "#move-x", 0.25)
    slide(page, "#move-y", -0.1)
    shows(page, server, model="turned", seed=0, rotate=30, translate=[0.25, -0.1])
    page.click("#motion-reset")
    shows(page, server, model="turned", seed=0)
    box = page.locator("#picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    x = float(page.input_value("#move-x"))
    assert x == pytest.approx(0.25, abs=0.01)
    until(lambda: "move=0,0.2" in address(page), "the address does not say the move")
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.25, steps=3)
    page.mouse.up()
    assert float(page.input_value("#rotate")) == pytest.approx(90, abs=1), "a quarter turn, counter-clockwise"


def test_a_token_is_asked_for(visit: Open, tiny_bundle: Bundle, said: list[str]) -> None:
    with running({"tiny": tiny_bundle}, tokens=frozenset({"let-me-in"}), reload_seconds=0) as guarded:
        page = visit(guarded)
        page.get_by_text("This server wants a token.").wait_for()
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("no token that this server knows").wait_for()
        page.get_by_label("Token").fill("let-me-in")
        page.get_by_role("button", name="Enter").click()
        until(lambda: alt(page) == "Seed 0 · psi 1", "never drew")
        assert page.locator("#token-form").is_hidden()
        assert page.locator("#status").inner_text() == ""
        assert "let-me-in" not in address(page)
        page.close()
    assert len(said) == 2
    assert all("401 (Unauthorized)" in line for line in said)
    said.clear()


def test_an_error_is_told(visit: Open, tiny_bundle: Bundle) -> None:
    with running({"tiny": tiny_bundle}, limits=Limits(max_pixels=100), reload_seconds=0) as small:
        page = visit(small)
        status = page.get_by_role("status").filter(has_text="256 pixels asked for, 100 is the limit")
        status.wait_for()
        assert status.get_attribute("class") == "error"
        page.close()


def test_a_lost_connection_is_made_again(browser: Browser, one: Running) -> None:
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    sockets: list[WebSocketRoute] = []

    def connect(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket("**/v1/stream", connect)
    page.goto(f"{one.url}/#seed=1")
    shows(page, one, seed=1)
    sockets[0].close()
    page.get_by_text("The connection is lost. Trying again").wait_for()
    page.fill("#seed", "2")
    shows(page, one, seed=2)
    assert len(sockets) == 2
    assert page.locator("#status").inner_text() == ""
    context.close()
