// Shortcuts. None where a field has the focus, and none once they are switched off.

import { element } from "./controls.js";
import { MAX_SEED } from "./state.js";

const PSI_STEP = 0.05;
const MIN_PSI = -1; // as the slider
const MAX_PSI = 1.5;
const KEPT = "stylegan-edge keys";

export function keys(store) {
  const seed = (step) => store.change({ seed: Math.min(MAX_SEED, Math.max(0, store.state.seed + step)) });
  const psi = (step) => {
    const value = Math.min(MAX_PSI, Math.max(MIN_PSI, store.state.psi + step));
    store.change({ psi: Number(value.toFixed(2)) });
  };
  const click = (id) => () => element(id).click();
  const actions = {
    " ": click("play"),
    ArrowLeft: () => seed(-1),
    ArrowRight: () => seed(1),
    ArrowUp: () => psi(PSI_STEP),
    ArrowDown: () => psi(-PSI_STEP),
    r: click("random"),
    m: click("mix-random"),
    s: click("save"),
    "?": list,
  };
  const on = element("keys-on");
  on.checked = localStorage.getItem(KEPT) !== "off";
  on.addEventListener("change", () => localStorage.setItem(KEPT, on.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    if (!on.checked || !action || event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
    event.preventDefault();
    action();
  });
}

// Whether what has the focus needs the key itself, or the page scrolls by it.
function isTaken({ key, target }) {
  if (target.closest("input, select, textarea, pre")) return true;
  if (key === " " && target.closest("button, summary, a")) return true;
  const scrolls = document.documentElement.scrollHeight > innerHeight;
  return (key === "ArrowUp" || key === "ArrowDown") && target.id !== "picture" && scrolls;
}

function list() {
  const details = element("shortcuts");
  details.open = !details.open;
  if (details.open) details.querySelector("summary").focus();
}
