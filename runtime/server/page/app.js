// The page: learns what is served, ties fields, stream and picture together.

import { models, token, TokenWanted } from "./api.js";
import { controls, element, onClick } from "./controls.js";
import { copies, save } from "./copies.js";
import { directions } from "./directions.js";
import { keys } from "./keys.js";
import { mixing } from "./mixing.js";
import { motion } from "./motion.js";
import { described, parameters } from "./parameters.js";
import { Picture } from "./picture.js";
import { fromFragment, modelOf, Store, toFragment } from "./state.js";
import { Stream } from "./stream.js";
import { Walk } from "./walk.js";

const RATE_SHOWN = 250; // ms between looks at the frames per second
const ADDRESS_REST = 200; // ms without a change until the address follows: browsers bound how often it may

// What stands there already is not said again: a screen reader would read it out with every frame.
function say(message, isError = false) {
  if (element("status").textContent !== message) element("status").textContent = message;
  element("status").classList.toggle("error", isError);
}

function fail(error) {
  if (error instanceof TokenWanted) askForToken(error.message);
  else say(error.message, true);
}

function askForToken(message) {
  const form = element("token-form");
  say(token.get() ? message : "This server wants a token.", Boolean(token.get()));
  form.hidden = false;
  element("token").focus();
}

async function start() {
  let served;
  try {
    served = await models();
  } catch (error) {
    fail(error);
    return;
  }
  const model = served.find(({ name }) => name === modelOf(location.hash)) ?? served[0];
  offer(served, model);
  open(model, served.length > 1);
}

// Another model has other fields: the page begins anew with it.
function offer(served, model) {
  const choice = element("model");
  choice.replaceChildren(...served.map(({ name }) => new Option(name, name, false, name === model.name)));
  element("model-choice").hidden = served.length < 2;
  choice.addEventListener("change", () => begin(`#model=${encodeURIComponent(choice.value)}`));
  const size = `${model.resolution} × ${model.resolution}`;
  const family = model.generation.replace("stylegan", "StyleGAN");
  element("about").textContent = `${model.name}: ${family}, ${size}, ${model.precision} by ${model.backend} on ${model.device}`;
}

function begin(fragment) {
  history.replaceState(null, "", fragment);
  location.reload();
}

function open(model, several) {
  const store = new Store(fromFragment(location.hash, model));
  const picture = new Picture(element("picture"));
  const address = () => toFragment(store.state, model, several);
  const words = (state) => described(state, model, walk.plays);
  let refused = false;
  const stream = new Stream({
    frame: (blob, label) => {
      if (refused) say("");
      refused = false;
      picture.show(blob, label);
    },
    error: (message) => {
      refused = true;
      say(message, true);
    },
    open: () => {
      say("");
      still();
    },
    lost: (wait) => {
      say(`The connection is lost. Trying again in ${Math.ceil(wait / 1000)} s.`, true);
      models().catch((error) => error instanceof TokenWanted && fail(error));
    },
  });
  const ask = (more = {}) => stream.ask({ ...parameters(store.state, model), ...more }, words(store.state));
  const walk = new Walk(store, () => stream.isFree && ask());
  // Losslessly: a still is looked at for longer than a frame.
  const still = () => walk.plays || ask({ format: "png" });
  const renders = fields(store, model);
  const show = (state) => {
    renders.forEach((render) => render(state));
    element("caption").textContent = words(state);
  };
  const follow = later(() => history.replaceState(null, "", address()), ADDRESS_REST);
  store.subscribe((state, why) => {
    if (why === "walk") return;
    show(state);
    if (why === "control") say("");
    if (why !== "arrived") still();
    if (!walk.plays) follow();
  });
  const tell = { say, fail, link: () => new URL(address(), location.href).href };
  copies(store, model, tell);
  onClick("save", () => save(store, model, tell));
  player(walk, picture, model, () => store.change({}, "played"));
  keys(store);
  window.addEventListener("hashchange", () => {
    if (several && modelOf(location.hash) !== model.name) begin(location.hash);
    else store.change(fromFragment(location.hash, model));
  });
  show(store.state);
  element("panel").hidden = false;
}

// The fields that there are for a model; returns what makes them show a state.
function fields(store, model) {
  const renders = [controls(store, model)];
  if (model.seeds_per_image === 1) renders.push(mixing(store, model));
  if (model.directions.length) renders.push(directions(store, model));
  if (model.takes_transform) renders.push(motion(store));
  return renders;
}

function player(walk, picture, model, changed) {
  const button = element("play");
  const fps = element("fps");
  // A bundle that mixes inside its graph takes no mix, and so no walk.
  button.hidden = model.seeds_per_image > 1;
  button.addEventListener("click", () => {
    if (walk.plays) walk.pause();
    else walk.play();
    button.setAttribute("aria-pressed", walk.plays);
    element("play-text").textContent = walk.plays ? "Pause" : "Play";
    fps.textContent = "";
    changed();
  });
  setInterval(() => {
    if (walk.plays) fps.textContent = `${picture.rate} fps`;
  }, RATE_SHOWN);
}

function later(action, rest) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, rest);
  };
}

element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(element("token").value.trim());
  location.reload();
});
start();
