"""The page in Chromium: what it shows is what the server draws, and every field changes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.runtime.server.page.looking import Open, address, alt, pixels, shown, shows, slide, until
from tests.runtime.server.running import Running

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.browser


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
