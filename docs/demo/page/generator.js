/** A generator that was exported to ONNX: noise in, images out. */

export class Generator {
  /**
   * @param {object} entry - what `models.json` says of the model.
   * @param {object} engine - from `loadEngine`.
   */
  static async load(entry, engine) {
    const url = new URL(entry.file, import.meta.url).href;
    return new Generator(entry, engine, await engine.createSession(url));
  }

  constructor(entry, engine, session) {
    this.entry = entry;
    this.engine = engine;
    this.session = session;
    this.previous = Promise.resolve();
  }

  /** How many random numbers make one image. */
  get noiseSize() {
    return this.entry.noise_shape.reduce((a, b) => a * b, 1);
  }

  /**
   * Generates a batch of images in one forward pass.
   *
   * @param {number[]} labels - class numbers, one for each image.
   * @param {number} guidance - strength of the class.
   * @param {Float32Array|number[]} noise - `noiseSize` numbers for each image.
   * @returns {Promise<{samples: Float32Array, milliseconds: number}>} samples
   *     in [-1, 1], of shape (images, height, width, channels).
   */
  draw({ labels, guidance = 1, noise }) {
    // A session takes one batch at a time.
    const result = this.previous.then(() =>
      this.run(this.inputs(labels, guidance, noise)),
    );
    this.previous = result.catch(() => {});
    return result;
  }

  inputs(labels, guidance, noise) {
    const { Tensor } = this.engine;
    const count = labels.length;
    const all = {
      labels: () => new Tensor("int32", Int32Array.from(labels), [count]),
      guidance: () =>
        new Tensor("float32", new Float32Array(count).fill(guidance), [count]),
      noise: () =>
        new Tensor("float32", Float32Array.from(noise), [
          count,
          ...this.entry.noise_shape,
        ]),
    };
    const names = this.session.inputNames;
    return Object.fromEntries(names.map((name) => [name, all[name]()]));
  }

  async run(inputs) {
    const start = performance.now();
    const outputs = await this.session.run(inputs);
    const samples = await outputs.samples.getData();
    return { samples, milliseconds: performance.now() - start };
  }
}
