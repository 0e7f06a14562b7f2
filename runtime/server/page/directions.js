// A slider for each direction that the bundle has.

import { element, onClick } from "./controls.js";

const MOST = 5; // either way: beyond it images fall apart, or the direction is no unit

export function directions(store, model) {
  element("directions-field").hidden = false;
  onClick("directions-reset", () => store.change({ directions: {} }));
  const renders = model.directions.map((name, index) => direction(store, name, `direction-${index}`));
  return (state) => renders.forEach((render) => render(state));
}

function direction(store, name, id) {
  const place = document.createElement("div");
  place.className = "field";
  const label = Object.assign(document.createElement("label"), { htmlFor: id, textContent: `${name} ` });
  const value = document.createElement("output");
  value.htmlFor = id;
  label.append(value);
  const input = Object.assign(document.createElement("input"), { id, type: "range", min: -MOST, max: MOST, step: 0.1 });
  place.append(label, input);
  element("directions").append(place);
  input.addEventListener("input", () => {
    const { [name]: _, ...others } = store.state.directions;
    const amount = Number(input.value);
    store.change({ directions: amount ? { ...others, [name]: amount } : others });
  });
  return (state) => {
    input.value = state.directions[name] ?? 0;
    value.textContent = state.directions[name] ?? 0;
  };
}
