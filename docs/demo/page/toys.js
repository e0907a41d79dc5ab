/** The toy distributions of `keras_drift.datasets`, in [-2, 2]. */

import { normals, uniforms } from "./random.js";

const EXTENT = 2;
const NOISE = 0.05;

const sign = (uniform) => (uniform() < 0.5 ? -1 : 1);

function twoMoons(uniform, normal) {
  const angle = Math.PI * uniform();
  const scale = (sign(uniform) * EXTENT) / 1.5;
  return [
    scale * (Math.cos(angle) - 0.5) + NOISE * normal(),
    scale * (Math.sin(angle) - 0.25) + NOISE * normal(),
  ];
}

function checkerboard(uniform) {
  const x = EXTENT * (2 * uniform() - 1);
  const row = 2 * (uniform() < 0.5 ? -1 : 0) + Math.abs(Math.floor(x) % 2);
  return [x, row + uniform()];
}

function spirals(uniform, normal) {
  const fraction = Math.sqrt(uniform());
  const angle = 3 * Math.PI * fraction;
  const radius = EXTENT * fraction * sign(uniform);
  return [
    radius * Math.cos(angle) + NOISE * normal(),
    radius * Math.sin(angle) + NOISE * normal(),
  ];
}

function eightGaussians(uniform, normal) {
  const angle = (2 * Math.PI * Math.floor(8 * uniform())) / 8;
  return [
    1.5 * Math.cos(angle) + 0.1 * normal(),
    1.5 * Math.sin(angle) + 0.1 * normal(),
  ];
}

/** One point of each distribution, from uniform and normal numbers. */
const TOYS = {
  two_moons: twoMoons,
  checkerboard,
  spirals,
  eight_gaussians: eightGaussians,
};

/** `count` points of a toy, `[x, y, x, y, ...]`. */
export function toy(name, count, seed) {
  const uniform = uniforms(seed);
  const normal = normals(uniform);
  const points = [];
  for (let i = 0; i < count; i++) points.push(...TOYS[name](uniform, normal));
  return points;
}
