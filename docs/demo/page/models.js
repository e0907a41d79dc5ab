/** The models of the page: each is loaded when it is first chosen. */

import { loadEngine } from "./engine.js";
import { Generator } from "./generator.js";

export class Models {
  /** Reads the list of models; `engine` is chosen as in `loadEngine`. */
  static async load(engine) {
    const list = await fetch(new URL("./models.json", import.meta.url));
    return new Models((await list.json()).models, engine);
  }

  constructor(entries, engine) {
    this.entries = entries;
    this.engine = loadEngine(engine);
    this.generators = new Map();
  }

  /** What `models.json` says of a model. */
  entry(name) {
    const entry = this.entries.find((one) => one.name === name);
    if (!entry) {
      const names = this.entries.map((one) => one.name).join(", ");
      throw new RangeError(`No model is called "${name}". There are: ${names}`);
    }
    return entry;
  }

  isLoaded(name) {
    return this.generators.has(name);
  }

  /** The generator of this name, a promise. */
  generator(name) {
    if (!this.generators.has(name)) {
      const loading = this.start(this.entry(name));
      loading.catch(() => this.generators.delete(name)); // the next try loads
      this.generators.set(name, loading);
    }
    return this.generators.get(name);
  }

  /** Loads a model; where WebGPU fails, WebAssembly may not. */
  async start(entry) {
    try {
      return await Generator.load(entry, await this.engine);
    } catch {
      this.engine = loadEngine("wasm");
      return Generator.load(entry, await this.engine);
    }
  }
}
