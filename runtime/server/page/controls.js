// The fields of one image: what they show, and what they change.

import { MAX_SEED, number, randomSeed, whole } from "./state.js";

const MAX_PSI = 100; // the server's own bound

export const element = (id) => document.getElementById(id);
export const onClick = (id, action) => element(id).addEventListener("click", action);

// All fields of a model; returns what makes them show a state.
export function controls(store, model) {
  const renders = [
    field(store, "seed", (text) => whole(text, MAX_SEED), (state) => state.seed, (seed) => ({ seed })),
    field(store, "psi-exact", (text) => number(text, MAX_PSI), (state) => state.psi, (psi) => ({ psi })),
    slider(store, "psi", (state) => state.psi, (psi) => ({ psi })),
    ...moreSeeds(store, model),
  ];
  for (const id of ["random", "seed-random"]) onClick(id, () => store.change({ seed: randomSeed() }));
  if (model.classes) renders.push(classes(store, model));
  if (model.noise === "explicit") renders.push(...noise(store));
  return (state) => renders.forEach((render) => render(state));
}

// A number that is typed: what can't be read is marked, and put right when the field is left.
export function field(store, id, read, value, patch) {
  const input = element(id);
  const show = (state) => {
    if (document.activeElement !== input || read(input.value) !== value(state)) input.value = value(state);
  };
  input.addEventListener("input", () => {
    const typed = read(input.value);
    input.setAttribute("aria-invalid", typed === null);
    if (typed !== null) store.change(patch(typed));
  });
  input.addEventListener("blur", () => {
    input.removeAttribute("aria-invalid");
    input.value = value(store.state);
  });
  return show;
}

export function slider(store, id, value, patch) {
  const input = element(id);
  input.addEventListener("input", () => store.change(patch(Number(input.value))));
  return (state) => {
    input.value = value(state);
  };
}

// The other sources of a bundle that mixes inside its graph.
function moreSeeds(store, model) {
  return Array.from({ length: model.seeds_per_image - 1 }, (_, index) => {
    const id = `more-seed-${index}`;
    const place = document.createElement("div");
    place.className = "field";
    const label = Object.assign(document.createElement("label"), { htmlFor: id, textContent: `Seed ${index + 2}` });
    const input = Object.assign(document.createElement("input"), { id, type: "number", min: 0, max: MAX_SEED, step: 1 });
    place.append(label, input);
    element("more-seeds").append(place);
    const changed = (seed) => ({ more: store.state.more.map((other, at) => (at === index ? seed : other)) });
    return field(store, id, (text) => whole(text, MAX_SEED), (state) => state.more[index], changed);
  });
}

function classes(store, model) {
  element("class-field").hidden = false;
  element("class").max = model.classes - 1;
  element("class-range").textContent = `0 to ${model.classes - 1}`;
  return field(store, "class", (text) => whole(text, model.classes - 1), (state) => state.class, (value) => ({ class: value }));
}

function noise(store) {
  let seed = typeof store.state.noise === "number" ? store.state.noise : 0;
  element("noise-field").hidden = false;
  for (const word of ["const", "none"]) {
    element(`noise-${word}`).addEventListener("change", () => store.change({ noise: word }));
  }
  element("noise-seeded").addEventListener("change", () => store.change({ noise: seed }));
  const typed = (value) => {
    seed = value;
    return { noise: value };
  };
  const show = ({ noise: found }) => {
    if (typeof found === "number") seed = found;
    element(typeof found === "number" ? "noise-seeded" : `noise-${found}`).checked = true;
  };
  return [show, field(store, "noise-seed", (text) => whole(text, MAX_SEED), () => seed, typed)];
}
