"""How the page of a verification looks, and its script."""

from __future__ import annotations

STYLE = """
.verdict { border-radius: 8px; padding: 1rem 1.25rem; border: 2px solid; margin: 1rem 0 }
.verdict strong { display: block; font-size: 2rem; line-height: 1.2 }
.verdict p { margin: .3rem 0 0; color: var(--ink) }
.verdict.passed { color: var(--good); background: var(--good-page) }
.verdict.bad { color: var(--bad); background: var(--bad-page) }
.copy { display: flex; gap: .5rem; align-items: start }
.copy pre { flex: 1 } button { font: inherit; margin: .5rem 0; padding: .55rem .9rem; color: var(--ink);
  background: var(--card); border: 1px solid var(--strong); border-radius: 4px; cursor: pointer }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem } dt { color: var(--soft) } dd { margin: 0 }
.layers { display: grid; grid-template-columns: minmax(0, 5fr) minmax(14rem, 2fr); gap: 1.5rem; align-items: start }
.views { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem; align-items: start }
@media (max-width: 46rem) { .layers, .views { grid-template-columns: minmax(0, 1fr) } dl { display: block }
  dt { margin-top: .4rem } }
figure { margin: 0 }
figcaption, .compare label { color: var(--soft); font-size: .875rem; display: block; margin: .3rem 0 }
.views img { width: 100%; border-radius: 2px } .views img.small { image-rendering: pixelated }
.compare { --at: 50% } .frame { position: relative } .over { position: absolute; inset: 0;
  clip-path: inset(0 calc(100% - var(--at)) 0 0) }
.frame::after { content: ""; position: absolute; top: 0; bottom: 0; left: calc(var(--at) - 1px); width: 2px;
  background: #fff; box-shadow: 0 0 0 1px #000 }
.compare input { width: 100%; margin: 0; height: 2rem }
summary { cursor: pointer; padding: .4rem 0 } .picture { border-top: 1px solid var(--line); margin-top: 1.5rem }
"""
SCRIPT = """
for (const slider of document.querySelectorAll(".compare input")) {
  slider.addEventListener("input", () => {
    slider.closest(".compare").style.setProperty("--at", slider.value + "%");
    slider.setAttribute("aria-valuetext", slider.value + " % reference");
  });
}
for (const button of document.querySelectorAll(".copy button")) {
  button.addEventListener("click", async () => {
    const text = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch { button.textContent = "Selected: press Ctrl+C"; }
  });
}
"""
"""Nothing is lost without it but the wipe and the button."""
