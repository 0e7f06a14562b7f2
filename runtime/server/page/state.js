// What is drawn, as plain data; and how it stands in the page's address.

export const MAX_SEED = 2 ** 32 - 1;
const COMFORTABLE_SEED = 1e6; // random ones are short enough to be read out
const MAX_PSI = 100; // the server's own bound

export const randomSeed = () => Math.floor(Math.random() * COMFORTABLE_SEED);

// `to` and `t`: a walk's place between two seeds. `motion`: null is the checkpoint's own position.
export function initial(model) {
  return {
    model: model.name,
    seed: 0,
    more: Array.from({ length: model.seeds_per_image - 1 }, (_, index) => index + 1),
    psi: model.default_psi,
    class: 0,
    noise: "const",
    mixSeed: 1,
    layers: [],
    directions: {},
    motion: null,
    to: null,
    t: 0,
  };
}

export class Store {
  #listeners = [];

  constructor(state) {
    this.state = state;
  }

  subscribe(listener) {
    this.#listeners.push(listener);
  }

  // Another seed is another place: a walk begins there anew.
  change(patch, why = "control") {
    if ("seed" in patch && !("to" in patch)) patch = { ...patch, to: null, t: 0 };
    this.state = { ...this.state, ...patch };
    for (const listener of this.#listeners) listener(this.state, why);
  }
}

export function toFragment(state, model, several) {
  const start = initial(model);
  const said = new URLSearchParams();
  if (several) said.set("model", state.model);
  said.set("seed", state.seed);
  if (state.more.length) said.set("more", state.more.join(","));
  said.set("psi", state.psi);
  if (model.classes) said.set("class", state.class);
  if (state.noise !== start.noise) said.set("noise", state.noise);
  if (state.layers.length) {
    said.set("mix", state.mixSeed);
    said.set("layers", state.layers.join(","));
  }
  for (const [name, amount] of Object.entries(state.directions)) said.set(`edit.${name}`, amount);
  if (state.motion) said.set("move", [state.motion.rotate, state.motion.x, state.motion.y].join(","));
  if (state.to !== null) {
    said.set("to", state.to);
    said.set("t", state.t.toFixed(4));
  }
  return `#${said.toString().replaceAll("%2C", ",")}`;
}

export function modelOf(fragment) {
  return new URLSearchParams(fragment.slice(1)).get("model");
}

// What makes no sense for the model is left at its start: a link comes from anywhere.
export function fromFragment(fragment, model) {
  const said = new URLSearchParams(fragment.slice(1));
  const state = initial(model);
  const seed = (name, otherwise) => whole(said.get(name), MAX_SEED) ?? otherwise;
  state.seed = seed("seed", state.seed);
  const more = (said.get("more") ?? "").split(",").map((text) => whole(text, MAX_SEED));
  state.more = state.more.map((own, index) => more[index] ?? own);
  state.psi = number(said.get("psi"), MAX_PSI) ?? state.psi;
  if (model.classes) state.class = whole(said.get("class"), model.classes - 1) ?? 0;
  if (model.noise === "explicit") state.noise = said.get("noise") === "none" ? "none" : seed("noise", "const");
  if (model.seeds_per_image === 1) {
    state.mixSeed = seed("mix", state.mixSeed);
    const layers = (said.get("layers") ?? "").split(",").map((text) => whole(text, model.num_ws - 1));
    state.layers = [...new Set(layers.filter((row) => row !== null))].sort((a, b) => a - b);
    state.to = seed("to", null);
    state.t = state.to === null ? 0 : Math.min(1, Math.max(0, number(said.get("t"), 1) ?? 0));
  }
  for (const name of model.directions) {
    const amount = number(said.get(`edit.${name}`), MAX_PSI);
    if (amount) state.directions[name] = amount;
  }
  const moved = (said.get("move") ?? "").split(",").map((text) => number(text, 360));
  if (model.takes_transform && moved.length === 3 && !moved.includes(null)) {
    state.motion = { rotate: moved[0], x: moved[1], y: moved[2] };
  }
  return state;
}

export function whole(text, most) {
  return /^\d{1,10}$/.test(text ?? "") && Number(text) <= most ? Number(text) : null;
}

export function number(text, bound) {
  const value = text === null || text === undefined || String(text).trim() === "" ? NaN : Number(text);
  return Math.abs(value) <= bound ? value : null;
}
