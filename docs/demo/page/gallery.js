/** The section that generates images: controls, two grids, latency. */

import { paintGrid } from "./images.js";
import { standardNormal } from "./random.js";

const ROWS = 5;
const COLUMNS = 5; // of the grid of one class
const MAX_SEED = 2 ** 32 - 1;

const byId = (id) => document.getElementById(id);

export class Gallery {
  /** @param {Models} models */
  constructor(models) {
    this.models = models;
    this.entry = models.entries[0];
    this.label = 0;
    this.makeButtons("models", models.entries, (entry) => entry.title);
    byId("models").addEventListener("click", ({ target }) => {
      if (target.value) this.chooseModel(target.value);
    });
    byId("classes").addEventListener("click", ({ target }) => {
      if (target.value) this.chooseClass(Number(target.value));
    });
    byId("guidance").addEventListener("input", () => this.draw());
    byId("seed").addEventListener("input", () => this.draw());
    byId("another").addEventListener("click", () => this.chooseSeed());
  }

  makeButtons(id, items, textOf) {
    const buttons = items.map((item, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.value = item.name ?? index;
      button.textContent = textOf(item);
      return button;
    });
    byId(id).replaceChildren(...buttons);
  }

  press(id, value) {
    for (const button of byId(id).children) {
      button.setAttribute("aria-pressed", button.value === String(value));
    }
  }

  chooseModel(name) {
    this.entry = this.models.entry(name);
    this.label = Math.min(this.label, this.entry.classes.length - 1);
    this.press("models", name);
    byId("model-description").textContent = this.entry.description;
    this.makeButtons("classes", this.entry.classes, (text) => text);
    this.press("classes", this.label);
    this.limitGuidance();
    return this.draw();
  }

  limitGuidance() {
    const [low, high] = this.entry.guidance;
    const slider = byId("guidance");
    Object.assign(slider, { min: low, max: high, disabled: low === high });
    slider.value = this.entry.default_guidance;
    byId("guidance-hint").textContent = slider.disabled
      ? `This model was trained for one strength, ${low}.`
      : "Higher: clearer classes, less variety.";
  }

  chooseClass(label) {
    this.label = label;
    this.press("classes", label);
    return this.draw();
  }

  chooseSeed() {
    byId("seed").value = Math.floor(Math.random() * (MAX_SEED + 1));
    return this.draw();
  }

  /** What the controls say; the seed within its bounds. */
  settings() {
    const seed = Math.trunc(Number(byId("seed").value)) || 0;
    return {
      entry: this.entry,
      label: this.label,
      guidance: Number(byId("guidance").value),
      seed: Math.min(Math.max(seed, 0), MAX_SEED),
    };
  }

  /** Draws what the controls say; of many changes at once, the last. */
  draw() {
    byId("guidance-value").textContent = Number(byId("guidance").value);
    this.wanted = this.settings();
    this.drawing ??= this.drawWanted().finally(() => {
      this.drawing = null;
    });
    return this.drawing;
  }

  async drawWanted() {
    byId("gallery").setAttribute("aria-busy", "true");
    while (this.wanted) {
      const settings = this.wanted;
      this.wanted = null;
      try {
        await this.drawSettings(settings);
      } catch (error) {
        this.say(`This model does not run here: ${error.message}`);
      }
    }
    byId("gallery").setAttribute("aria-busy", "false");
  }

  async drawSettings(settings) {
    const { entry } = settings;
    if (!this.models.isLoaded(entry.name)) {
      const megabytes = (entry.bytes / 1e6).toFixed(1);
      this.say(`Loading ${entry.title}, ${megabytes} MB…`);
    }
    const generator = await this.models.generator(entry.name);
    const one = await this.drawOneClass(generator, settings);
    const all = await this.drawAllClasses(generator, settings);
    this.say(
      `${ROWS * COLUMNS} images of one class in ` +
        `${format(one)} ms, ${ROWS * entry.classes.length} of all classes in ` +
        `${format(all)} ms. Engine: ${generator.engine.name}.`,
    );
  }

  drawOneClass(generator, { entry, label, guidance, seed }) {
    const name = entry.classes[label];
    const labels = Array(ROWS * COLUMNS).fill(label);
    const caption = `${labels.length} images of class ${name}`;
    const batch = { labels, guidance, seed, columns: COLUMNS };
    return this.show("one-class", generator, batch, caption);
  }

  drawAllClasses(generator, { entry, guidance, seed }) {
    const columns = entry.classes.length;
    const labels = Array.from(
      { length: ROWS * columns },
      (_, index) => index % columns,
    );
    const caption = `A column for each class: ${entry.classes.join(", ")}`;
    const batch = { labels, guidance, seed, columns };
    return this.show("all-classes", generator, batch, caption);
  }

  /** Paints a batch; returns milliseconds of the forward pass. */
  async show(id, generator, { labels, guidance, seed, columns }, caption) {
    const count = labels.length * generator.noiseSize;
    const noise = standardNormal(seed, count);
    const { samples, milliseconds } = await generator.draw({
      labels,
      guidance,
      noise,
    });
    const canvas = byId(id);
    paintGrid(canvas, samples, generator.entry.image_shape, columns);
    canvas.setAttribute("aria-label", `${caption}; seed ${seed}`);
    byId(`${id}-caption`).textContent = caption;
    return milliseconds;
  }

  say(text) {
    byId("gallery-status").textContent = text;
  }
}

function format(milliseconds) {
  return milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0);
}
