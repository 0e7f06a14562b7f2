"""Whoever comes to the page: with a keyboard, a phone, in the dark, or with less motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runtime.server.page.looking import Open, shows
from tests.runtime.server.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

pytestmark = pytest.mark.browser

PHONE: ViewportSize = {"width": 360, "height": 740}
DARK = "rgb(19, 21, 24)"
TOUCHABLE = 44
"""CSS pixels of a button's side that a finger hits (WCAG 2.5.5)."""


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
