/**
 * Starts the page.
 *
 * `?engine=wasm` or `?engine=webgpu` chooses the engine, `?model=NAME` the
 * model that it starts with.
 */

import { Gallery } from "./gallery.js";
import { Models } from "./models.js";
import { Plane } from "./plane.js";

new Plane();

async function start() {
  const query = new URLSearchParams(location.search);
  const models = await Models.load(query.get("engine"));
  const gallery = new Gallery(models);

  /** Generates a batch by script: `Generator.draw`, and the model's name. */
  window.keras_drift = {
    draw: async ({ model = gallery.entry.name, ...batch }) =>
      (await models.generator(model)).draw(batch),
  };
  return gallery.chooseModel(query.get("model") ?? models.entries[0].name);
}

start().catch((error) => {
  document.getElementById("gallery-status").textContent =
    `The page did not start: ${error.message}`;
});
