// Where a StyleGAN3's image lies: by sliders, or by dragging the picture.

import { element, onClick, slider } from "./controls.js";

const HALF_TURN = 180;
const MOST = 1; // image widths, either way
const STILL = { rotate: 0, x: 0, y: 0 };

export function motion(store) {
  const patch = (name) => (value) => ({ motion: { ...(store.state.motion ?? STILL), [name]: value } });
  const fields = { rotate: "rotate", x: "move-x", y: "move-y" };
  const renders = Object.entries(fields).map(([name, id]) =>
    slider(store, id, (state) => (state.motion ?? STILL)[name], patch(name)),
  );
  element("motion-field").hidden = false;
  onClick("motion-reset", () => store.change({ motion: null }));
  drag(store, element("picture"));
  return (state) => {
    renders.forEach((render) => render(state));
    const { rotate, x, y } = state.motion ?? STILL;
    element("rotate-value").textContent = `${rotate}°`;
    element("move-x-value").textContent = percent(x);
    element("move-y-value").textContent = percent(y);
  };
}

const percent = (part) => `${Math.round(100 * part)} %`;
const rounded = (value, places) => Number(value.toFixed(places));
const kept = (value) => Math.min(MOST, Math.max(-MOST, rounded(value, 3)));

function drag(store, picture) {
  let before = null;
  picture.classList.add("movable");
  picture.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    picture.setPointerCapture(event.pointerId);
    before = place(picture, event);
  });
  picture.addEventListener("pointermove", (event) => {
    if (!picture.hasPointerCapture(event.pointerId)) return;
    const [from, at] = [before, place(picture, event)];
    before = at;
    const now = store.state.motion ?? STILL;
    if (event.shiftKey) store.change({ motion: { ...now, rotate: turned(now.rotate, from, at) } });
    else store.change({ motion: { ...now, x: kept(now.x + at.x - from.x), y: kept(now.y + at.y - from.y) } });
  });
}

// In image widths, from the left and from the top.
function place(picture, { clientX, clientY }) {
  const box = picture.getBoundingClientRect();
  return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height };
}

// Degrees after a drag around the centre, counter-clockwise, from -180 to 180.
function turned(rotate, from, at) {
  const angle = ({ x, y }) => Math.atan2(0.5 - y, x - 0.5);
  const degrees = rotate + ((angle(at) - angle(from)) * HALF_TURN) / Math.PI;
  const turn = 2 * HALF_TURN;
  return rounded(((((degrees + HALF_TURN) % turn) + turn) % turn) - HALF_TURN, 1);
}
