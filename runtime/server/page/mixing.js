// Layer-wise mixing: which layers a second seed gives, by groups and one by one.

import { element, field, onClick } from "./controls.js";
import { MAX_SEED, randomSeed, whole } from "./state.js";

const TITLES = { coarse: "Coarse", middle: "Middle", fine: "Fine" };
const MEANINGS = { coarse: "pose and shape", middle: "features", fine: "colours and texture" };

export function mixing(store, model) {
  element("mix-field").hidden = false;
  onClick("mix-random", () => store.change({ mixSeed: randomSeed() }));
  const groups = Object.entries(model.layer_groups).filter(([, rows]) => rows.length);
  const toggles = groups.map(([name, rows]) => {
    const button = toggle("mix-groups", TITLES[name], () => store.change({ layers: toggled(store.state.layers, rows) }));
    button.title = MEANINGS[name];
    return { button, rows };
  });
  const every = groups.flatMap(([, rows]) => rows).sort((a, b) => a - b);
  for (const row of every) {
    const button = toggle("mix-layers", row, () => store.change({ layers: toggled(store.state.layers, [row]) }));
    button.setAttribute("aria-label", `Layer ${row}`);
    toggles.push({ button, rows: [row] });
  }
  const showSeed = field(
    store,
    "mix-seed",
    (text) => whole(text, MAX_SEED),
    (state) => state.mixSeed,
    (mixSeed) => ({ mixSeed }),
  );
  return (state) => {
    showSeed(state);
    for (const { button, rows } of toggles) button.setAttribute("aria-pressed", pressed(state.layers, rows));
  };
}

function toggle(place, text, action) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", action);
  element(place).append(button);
  return button;
}

// All of them on, unless all are: then off.
function toggled(layers, rows) {
  const chosen = new Set(layers);
  const all = rows.every((row) => chosen.has(row));
  for (const row of rows) all ? chosen.delete(row) : chosen.add(row);
  return [...chosen].sort((a, b) => a - b);
}

function pressed(layers, rows) {
  const count = rows.filter((row) => layers.includes(row)).length;
  return count === rows.length ? "true" : count ? "mixed" : "false";
}
