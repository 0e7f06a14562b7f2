// A walk through w: from a seed to a random one, and on from there.

import { randomSeed } from "./state.js";

const LEG = 3000; // ms from one seed to the next
const CALM_LEG = 9000; // where less motion is wished
const LONGEST_STEP = 100; // ms that one frame may skip: a hidden tab or a stall is no jump
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Walk {
  #store;
  #draw;
  #frame = 0;
  #before = 0;

  // draw() asks for a frame of the store's state, where there is room for one.
  constructor(store, draw) {
    this.#store = store;
    this.#draw = draw;
  }

  get plays() {
    return this.#frame !== 0;
  }

  play() {
    this.#before = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#step(now));
  }

  pause() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #step(now) {
    this.#frame = requestAnimationFrame((next) => this.#step(next));
    const passed = Math.min(LONGEST_STEP, Math.max(0, now - this.#before));
    this.#before = now;
    const { to, t } = this.#store.state;
    const further = (to === null ? 0 : t) + passed / (calm.matches ? CALM_LEG : LEG);
    if (further >= 1) this.#store.change({ seed: to ?? randomSeed(), to: randomSeed(), t: 0 }, "arrived");
    else if (to === null) this.#store.change({ to: randomSeed(), t: further }, "arrived");
    else this.#store.change({ t: further }, "walk");
    this.#draw();
  }
}
