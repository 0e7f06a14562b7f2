// From what is drawn to what the server is asked, and to words for people.

export function parameters(state, model) {
  const asked = { model: state.model, psi: state.psi };
  if (state.more.length) asked.seeds = [state.seed, ...state.more];
  else asked.seed = state.seed;
  if (model.classes) asked.class = state.class;
  if (state.noise !== "const") asked.noise = state.noise;
  const mix = [];
  if (state.to !== null && state.t > 0) mix.push({ seed: state.to, weight: state.t });
  if (state.layers.length) mix.push({ seed: state.mixSeed, layers: state.layers });
  if (mix.length) asked.mix = mix;
  const edit = Object.entries(state.directions).map(([direction, amount]) => ({ direction, amount }));
  if (edit.length) asked.edit = edit;
  if (state.motion) {
    asked.rotate = state.motion.rotate;
    asked.translate = [state.motion.x, state.motion.y];
  }
  return asked;
}

// `walks`: the place on the way is left out, which changes with every frame.
export function described(state, model, walks = false) {
  const parts = [walks ? way(state) : seeds(state), `psi ${state.psi}`];
  if (model.classes) parts.push(`class ${state.class}`);
  if (state.noise !== "const") parts.push(state.noise === "none" ? "no noise" : `noise of seed ${state.noise}`);
  if (state.layers.length) parts.push(`layers ${ranges(state.layers)} of seed ${state.mixSeed}`);
  for (const [name, amount] of Object.entries(state.directions)) parts.push(`${name} ${amount}`);
  if (state.motion) parts.push(`turned by ${state.motion.rotate}°, moved by ${state.motion.x}, ${state.motion.y}`);
  return parts.join(" · ");
}

function seeds({ seed, more, to, t }) {
  if (more.length) return `Seeds ${[seed, ...more].join(", ")}`;
  return to === null ? `Seed ${seed}` : `Seed ${seed}, ${Math.round(t * 100)} % of the way to ${to}`;
}

const way = ({ seed, to }) => `Random walk from seed ${seed}${to === null ? "" : ` to ${to}`}`;

// [0, 1, 2, 5] as "0-2, 5".
function ranges(rows) {
  const spans = [];
  for (const row of rows) {
    const last = spans.at(-1);
    if (last && row === last[1] + 1) last[1] = row;
    else spans.push([row, row]);
  }
  return spans.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(", ");
}

export function fileName(state) {
  const way = state.to === null ? "" : `-to-${state.to}-${Math.round(state.t * 100)}`;
  return `${state.model}-seed${[state.seed, ...state.more].join("-")}${way}.png`;
}
