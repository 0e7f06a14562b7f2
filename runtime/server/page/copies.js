// What leaves the page: a PNG file, and what makes the image elsewhere.

import { code, png } from "./api.js";
import { element, onClick } from "./controls.js";
import { fileName, parameters } from "./parameters.js";

const NAMES = { command: "command", python: "Python", curl: "curl command" };
const KEPT = 10_000; // ms that the browser has to write a file before its data goes

// say(message) and fail(error) tell; link() is the page's address as it stands.
export function copies(store, model, { say, fail, link }) {
  for (const [kind, name] of Object.entries(NAMES)) {
    onClick(`copy-${kind}`, async () => {
      try {
        const written = await code(parameters(store.state, model));
        if (written[kind] === null) say("The command line draws no mix and no edit: copy the Python instead.");
        else say(`${await copy(written[kind])} the ${name}.`);
      } catch (error) {
        fail(error);
      }
    });
  }
  onClick("copy-link", async () => say(`${await copy(link())} the link.`));
}

export async function save(store, model, { say, fail }) {
  const { state } = store;
  try {
    const address = URL.createObjectURL(await png(parameters(state, model)));
    const anchor = Object.assign(document.createElement("a"), { href: address, download: fileName(state) });
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(address), KEPT);
    say(`Saved ${anchor.download}.`);
  } catch (error) {
    fail(error);
  }
}

// The text is shown as well, and selected where the browser keeps the clipboard to itself.
async function copy(text) {
  const shown = element("code");
  shown.textContent = text;
  shown.hidden = false;
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(shown);
    return "Press Ctrl+C to copy";
  }
}
