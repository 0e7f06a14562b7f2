"""The page in Chromium: what it shows is what the server draws, and every control changes it."""

from __future__ import annotations

import base64
import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from runtime import Bundle
from runtime.server.limits import Limits
from tests.runtime.server.running import Running, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize, WebSocketRoute

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESKTOP: ViewportSize = {"width": 1200, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
DARK = "rgb(19, 21, 24)"
SECONDS = 15
"""A wish that is not met by then never is; on a machine at rest it takes a few hundredths."""
TOUCHABLE = 44
"""CSS pixels of a button's side that a finger hits (WCAG 2.5.5)."""

Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium of this machine; none is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=found)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def one(tiny_bundle: Bundle) -> Iterator[Running]:
    """A server of one bundle."""
    with running({"tiny": tiny_bundle}, reload_seconds=0) as served:
        yield served


@pytest.fixture(scope="module")
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


def shown(page: Page) -> np.ndarray:
    """What is on the canvas, uint8 [H, W, 3]."""
    text = page.evaluate("document.getElementById('picture').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))).convert("RGB"))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait. The page's policy forbids Playwright's own way to: it evaluates text."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def pixels(server: Running, **asked: Any) -> np.ndarray:
    """The server's own picture, uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(server.generate(**asked).raise_for_status().content)).convert("RGB"))


def shows(page: Page, server: Running, **asked: Any) -> None:
    """Wait until the page shows the server's picture of these parameters, and fail where it never does."""
    wanted = pixels(server, **asked)
    until(lambda: np.array_equal(shown(page), wanted), f"never showed {asked}")


def alt(page: Page) -> str:
    return page.locator("#picture").get_attribute("aria-label") or ""


def address(page: Page) -> str:
    """Asked of the page: what Playwright remembers is late while nobody asks it anything."""
    return str(page.evaluate("location.href"))


def slide(page: Page, field: str, value: float) -> None:
    page.locator(field).fill(str(value))


def test_it_draws_as_it_opens(visit: Open, one: Running) -> None:
    page = visit(one)
    shows(page, one, seed=0)
    assert alt(page) == "Seed 0 · psi 1"
    assert page.locator("#picture").get_attribute("class") == "small"
    assert page.evaluate("getComputedStyle(document.getElementById('picture')).imageRendering") == "pixelated"
    assert page.locator("#model").is_hidden(), "there is but one"
    assert page.locator("#token-form").is_hidden()
    assert page.locator("#status").inner_text() == ""


def test_every_field_changes_the_picture(visit: Open, one: Running) -> None:
    page = visit(one)
    page.fill("#seed", "42")
    shows(page, one, seed=42)
    slide(page, "#psi", 0.7)
    shows(page, one, seed=42, psi=0.7)
    assert page.input_value("#psi-exact") == "0.7"
    page.fill("#psi-exact", "-1.25")
    shows(page, one, seed=42, psi=-1.25)
    page.get_by_label("None").check()
    shows(page, one, seed=42, psi=-1.25, noise="none")
    page.fill("#noise-seed", "9")
    shows(page, one, seed=42, psi=-1.25, noise=9)
    page.get_by_label("The checkpoint's own").check()
    shows(page, one, seed=42, psi=-1.25)
    assert alt(page) == "Seed 42 · psi -1.25"


@pytest.mark.parametrize("button", ["#random", "#seed-random"])
def test_a_random_seed(visit: Open, one: Running, button: str) -> None:
    page = visit(one)
    shows(page, one, seed=0)
    page.click(button)
    shows(page, one, seed=int(page.input_value("#seed")))
    assert page.input_value("#seed") != "0"


def test_what_is_no_seed_is_marked_and_put_right(visit: Open, one: Running) -> None:
    page = visit(one, "#seed=5")
    shows(page, one, seed=5)
    page.fill("#seed", "4294967296")
    assert page.get_attribute("#seed", "aria-invalid") == "true"
    page.locator("#seed").blur()
    assert page.input_value("#seed") == "5"


def test_layers_come_from_a_second_seed(visit: Open, one: Running) -> None:
    """Groups and single layers are toggles that agree with each other."""
    page = visit(one, "#seed=3")

    def button(name: str) -> Any:
        return page.get_by_role("button", name=name, exact=True)

    def pressed(*names: str) -> list[str | None]:
        return [button(name).get_attribute("aria-pressed") for name in names]

    shows(page, one, seed=3)
    assert page.get_by_role("button", name="Fine", exact=True).count() == 0, "16 px have no fine layer"
    button("Coarse").click()
    page.fill("#mix-seed", "8")
    shows(page, one, seed=3, mix={"seed": 8, "layers": "coarse"})
    assert pressed("Coarse", "Middle", "Layer 0", "Layer 3", "Layer 4") == ["true", "false", "true", "true", "false"]
    button("Layer 1").click()
    button("Layer 5").click()
    shows(page, one, seed=3, mix={"seed": 8, "layers": [0, 2, 3, 5]})
    assert pressed("Coarse", "Middle", "Layer 1", "Layer 5") == ["mixed", "mixed", "false", "true"]
    assert alt(page) == "Seed 3 · psi 1 · layers 0, 2-3, 5 of seed 8"
    button("Coarse").click()
    button("Middle").click()
    shows(page, one, seed=8)
    page.click("#mix-random")
    shows(page, one, seed=int(page.input_value("#mix-seed")))
    button("Coarse").click()
    button("Middle").click()
    shows(page, one, seed=3)


def test_a_link_draws_the_same(visit: Open, one: Running) -> None:
    page = visit(one, "#seed=7&psi=0.5&noise=3&mix=9&layers=0,5&to=11&t=0.25")
    mix = [{"seed": 11, "weight": 0.25}, {"seed": 9, "layers": [0, 5]}]
    shows(page, one, seed=7, psi=0.5, noise=3, mix=mix)
    page.click("#copy-link")
    page.get_by_text("Copied the link.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    again = visit(one, link.removeprefix(one.url + "/"))
    shows(again, one, seed=7, psi=0.5, noise=3, mix=mix)
    page.evaluate("location.hash = '#seed=2'")
    shows(page, one, seed=2)


def test_a_link_that_makes_no_sense_does_no_harm(visit: Open, one: Running) -> None:
    page = visit(one, "#seed=-1&psi=1e999&noise=x&layers=99,a,1&to=1.5&class=7&edit.x=1&move=1,2,3&more=4&model=<b>")
    shows(page, one, seed=0, mix={"seed": 1, "layers": [1]})


def test_the_address_follows(visit: Open, one: Running) -> None:
    page = visit(one)
    page.fill("#seed", "12")
    until(lambda: address(page).endswith("/#seed=12&psi=1"), "the address stayed")


def test_a_walk_plays_and_pauses(visit: Open, one: Running) -> None:
    page = visit(one, "#psi=0.8&layers=3")
    shows(page, one, seed=0, psi=0.8, mix={"seed": 1, "layers": [3]})
    page.click("#play")
    assert page.get_by_role("button", name="Pause").get_attribute("aria-pressed") == "true"
    until(lambda: (page.locator("#fps").text_content() or "0").split()[0] not in ("", "0"), "no frame was shown")
    assert alt(page).startswith("Random walk from seed 0 to ")
    assert alt(page).endswith(" · psi 0.8 · layers 3 of seed 1")
    page.click("#play")
    assert page.get_by_role("button", name="Play").get_attribute("aria-pressed") == "false"
    assert page.locator("#fps").text_content() == ""
    until(lambda: "&t=" in address(page), "the address does not say where the walk is")
    parts = dict(part.split("=") for part in address(page).partition("#")[2].split("&"))
    assert 0 < float(parts["t"]) < 1

    def state() -> np.ndarray:
        return shown(page)

    until(lambda: alt(page).startswith("Seed 0, "), "the still never came")
    before = state()
    time.sleep(0.3)
    np.testing.assert_array_equal(state(), before)
    link = visit(one, "#" + address(page).partition("#")[2])
    until(lambda: alt(link) == alt(page), "the link's picture never came")
    assert np.abs(shown(link).astype(int) - before).max() <= 1, "the link rounds the place between two seeds"


def test_a_saved_file_has_the_pixels(visit: Open, one: Running, tmp_path: Path) -> None:
    page = visit(one, "#seed=6&mix=2&layers=4")
    with page.expect_download() as found:
        page.click("#save")
    assert found.value.suggested_filename == "tiny-seed6.png"
    found.value.save_as(tmp_path / "saved.png")
    saved = np.asarray(Image.open(tmp_path / "saved.png"))
    np.testing.assert_array_equal(saved, pixels(one, seed=6, mix={"seed": 2, "layers": [4]}))
    page.get_by_text("Saved tiny-seed6.png.").wait_for()


def test_what_makes_the_image_is_copied(visit: Open, one: Running) -> None:
    page = visit(one, "#seed=6&psi=0.5")
    wanted = one.client.post("/v1/code", json={"model": "tiny", "seed": 6, "psi": 0.5}).json()
    for kind, name in (("command", "command"), ("python", "Python"), ("curl", "curl command")):
        page.click(f"#copy-{kind}")
        page.get_by_text(f"Copied the {name}.").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == wanted[kind]
        assert page.locator("#code").inner_text().strip() == wanted[kind].strip()
    page.get_by_role("button", name="Layer 2", exact=True).click()
    page.click("#copy-command")
    page.get_by_text("copy the Python instead").wait_for()


def test_the_keyboard_is_enough(visit: Open, one: Running) -> None:
    page = visit(one, "#seed=5")
    shows(page, one, seed=5)
    page.keyboard.press("ArrowRight")
    shows(page, one, seed=6)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    shows(page, one, seed=5, psi=0.95)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("r")
    shows(page, one, seed=int(page.input_value("#seed")))
    page.keyboard.press("m")
    assert page.input_value("#mix-seed") != "1"
    page.keyboard.press("Space")
    assert page.get_attribute("#play", "aria-pressed") == "true"
    page.keyboard.press("Space")
    assert page.get_attribute("#play", "aria-pressed") == "false"
    page.keyboard.press("?")
    assert page.get_by_text("new second seed").is_visible()
    page.get_by_label("Use these keys").uncheck()
    page.locator("#picture").focus()
    page.keyboard.press("Space")
    assert page.get_attribute("#play", "aria-pressed") == "false", "they are switched off"


def test_a_field_keeps_its_keys_and_the_focus_is_seen(visit: Open, one: Running) -> None:
    page = visit(one, "#seed=5")
    shows(page, one, seed=5)
    page.focus("#seed")
    page.keyboard.press("r")
    assert page.input_value("#seed") == "5"
    page.keyboard.press("ArrowUp")
    shows(page, one, seed=6)
    page.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineWidth"
    assert page.evaluate("document.activeElement.id") == "seed-random"
    assert page.evaluate(outline) == "3px"
    page.focus("#play")
    page.keyboard.press("Space")
    assert page.get_attribute("#play", "aria-pressed") == "true", "pressed once, not twice"
    page.keyboard.press("Space")
    page.focus("#mix-random")
    page.keyboard.press("Space")
    assert page.input_value("#mix-seed") != "1"
    assert page.get_attribute("#play", "aria-pressed") == "false", "the button that has the focus is pressed instead"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(visit: Open, others: Running, scheme: str) -> None:
    page = visit(others, "", viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    shows(page, others, model="directed", seed=0)
    page.tap("#copy-python")
    page.locator("#code").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == DARK) is (scheme == "dark")
    sides = page.locator("button:visible").evaluate_all(
        "found => found.map(item => Math.min(item.offsetWidth, item.offsetHeight))"
    )
    assert len(sides) > 10
    assert min(sides) >= TOUCHABLE


def test_less_motion_where_that_is_wished(visit: Open, one: Running) -> None:
    page = visit(one, "", reduced_motion="reduce")
    duration = "getComputedStyle(document.getElementById('play')).transitionDuration"
    assert page.evaluate(duration) in ("0s", "0s, 0s")


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
