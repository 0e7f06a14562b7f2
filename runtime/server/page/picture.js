// Frames onto the canvas, in their order, and how many a second.

const SMALL = 128; // pixels of a side up to which enlarged ones stay sharp squares
const SECOND = 1000;

export class Picture {
  #canvas;
  #context;
  #newest = 0;
  #arrived = 0;
  #times = [];

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
  }

  async show(blob, label) {
    const order = ++this.#arrived;
    const bitmap = await createImageBitmap(blob);
    if (order > this.#newest) {
      this.#newest = order;
      this.#draw(bitmap, label);
    }
    bitmap.close();
  }

  #draw(bitmap, label) {
    const { width, height } = bitmap;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
      this.#canvas.classList.toggle("small", width <= SMALL);
    }
    this.#context.clearRect(0, 0, width, height);
    this.#context.drawImage(bitmap, 0, 0);
    if (this.#canvas.getAttribute("aria-label") !== label) this.#canvas.setAttribute("aria-label", label);
    this.#times.push(performance.now());
  }

  // Frames that were shown over the last second.
  get rate() {
    const since = performance.now() - SECOND;
    while (this.#times.length && this.#times[0] < since) this.#times.shift();
    return this.#times.length;
  }
}
