/** Particles that follow the drift field, one Euler step at a time. */

import { driftNorm, kernelDrift } from "./kernel_drift.js";
import { normals, standardNormal, uniforms } from "./random.js";
import { toy } from "./toys.js";

const NUM_PARTICLES = 400;
const NUM_DATA = 500;
const MAX_DATA = 1500;
const SPREAD = 0.6; // standard deviation of the particles at first
const CLUSTER = { points: 40, std: 0.1 };

export class ParticleFlow {
  constructor(name = "two_moons") {
    this.kernel = "laplacian";
    this.bandwidth = 0.2;
    this.stepSize = 0.2;
    this.seed = 0;
    this.reset(name);
  }

  /** New particles and new data, of another seed every time. */
  reset(name = this.name) {
    this.name = name;
    this.seed += 1;
    this.data = Float64Array.from(toy(name, NUM_DATA, this.seed));
    const noise = standardNormal(~this.seed, 2 * NUM_PARTICLES);
    this.particles = Float64Array.from(noise, (value) => SPREAD * value);
    this.steps = 0;
    this.draws = uniforms(this.seed);
    this.measure();
  }

  /** Computes the field where the particles are. */
  measure() {
    const { particles, data, kernel, bandwidth } = this;
    this.velocities = kernelDrift(particles, data, kernel, bandwidth);
    this.norm = driftNorm(this.velocities);
  }

  /** Moves every particle along its velocity. */
  step() {
    for (let i = 0; i < this.particles.length; i++) {
      this.particles[i] += this.stepSize * this.velocities[i];
    }
    this.steps += 1;
    this.measure();
  }

  /** Adds data around a place; of too many, the oldest are dropped. */
  addData(x, y, { points, std } = CLUSTER) {
    const normal = normals(this.draws);
    const added = [];
    for (let i = 0; i < points; i++) {
      added.push(x + std * normal(), y + std * normal());
    }
    const all = [...this.data, ...added];
    this.data = Float64Array.from(all.slice(-2 * MAX_DATA));
  }

  /** Adds a cluster of data somewhere in [-2, 2]. */
  addCluster() {
    this.addData(4 * this.draws() - 2, 4 * this.draws() - 2);
  }
}
