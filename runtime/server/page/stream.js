// Frames over a WebSocket: at most two asked for at a time, the newest wish next, and again after a lost connection.

import { token } from "./api.js";

const IN_FLIGHT = 2; // one is drawn while the other is on its way
const FIRST_WAIT = 500; // ms until a lost connection is tried again, doubled each time
const LONGEST_WAIT = 10_000;

export class Stream {
  #socket = null;
  #sent = 0;
  #answered = 0;
  #wish = null;
  #head = null;
  #notes = new Map(); // by number of what was asked
  #wait = FIRST_WAIT;

  // on.frame(blob, note of what was asked), on.error(message), on.open(), on.lost(ms until the next attempt).
  constructor(on) {
    this.on = on;
    this.#connect();
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  get isFree() {
    return this.isOpen && this.#sent - this.#answered < IN_FLIGHT;
  }

  // Ask for a frame; a wish that waits is replaced. The note comes back with the frame. Ask again on.open.
  ask(asked, note) {
    this.#wish = { asked, note };
    this.#send();
  }

  #send() {
    if (this.#wish === null || !this.isFree) return;
    this.#sent += 1;
    this.#socket.send(JSON.stringify({ ...this.#wish.asked, id: this.#sent }));
    this.#notes.set(this.#sent, this.#wish.note);
    this.#wish = null;
  }

  #connect() {
    const address = new URL("v1/stream", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    const protocols = ["stylegan-edge"];
    if (token.get()) protocols.push(`bearer.${token.get()}`);
    this.#socket = new WebSocket(address, protocols);
    this.#socket.binaryType = "blob";
    this.#sent = this.#answered = 0;
    this.#notes.clear();
    this.#socket.addEventListener("open", () => {
      this.#wait = FIRST_WAIT;
      this.on.open();
    });
    this.#socket.addEventListener("message", (event) => this.#receive(event.data));
    this.#socket.addEventListener("close", () => this.#lost());
  }

  // An answer settles what was asked before it too: of two that wait the server drops the older.
  #receive(data) {
    if (typeof data === "string") {
      this.#head = JSON.parse(data);
      if (!this.#head.error) return;
      this.on.error(this.#head.error);
    } else {
      this.on.frame(data.slice(0, data.size, `image/${this.#head.format}`), this.#notes.get(this.#head.id));
    }
    this.#answered = this.#head.id ?? this.#sent;
    for (const id of this.#notes.keys()) if (id <= this.#answered) this.#notes.delete(id);
    this.#send();
  }

  #lost() {
    const wait = this.#wait * (0.75 + Math.random() / 2); // a server that returns is not asked by all at once
    this.#wait = Math.min(LONGEST_WAIT, 2 * this.#wait);
    this.on.lost(wait);
    setTimeout(() => this.#connect(), wait);
  }
}
