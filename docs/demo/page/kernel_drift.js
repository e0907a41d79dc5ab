/**
 * The velocity field of `keras_drift.drifts.KernelDrift`, in the plane.
 *
 * V(x) = sum_j k(x, y_j) y_j / sum_j k(x, y_j), over the data, minus the same
 * over the other particles: row normalization, self-interaction excluded.
 */

/** Logarithms of kernels, by the square of distance over bandwidth. */
export const LOG_KERNELS = {
  laplacian: (squared) => -Math.sqrt(squared),
  gaussian: (squared) => -0.5 * squared,
};

/**
 * The mean of the points near a place, weighted by the kernel.
 *
 * @param {number} skipped - index of a point that does not count, or -1.
 * @returns {number[]} the mean; the place itself if no point counts.
 */
function meanNear(x, y, points, skipped, logKernel, bandwidth) {
  const scale = 1 / bandwidth ** 2;
  const count = points.length / 2;
  const logs = new Float64Array(count);
  let largest = -Infinity;
  for (let j = 0; j < count; j++) {
    const dx = points[2 * j] - x;
    const dy = points[2 * j + 1] - y;
    const log = logKernel((dx * dx + dy * dy) * scale);
    logs[j] = j === skipped ? -Infinity : log;
    if (logs[j] > largest) largest = logs[j];
  }
  if (largest === -Infinity) return [x, y];
  let mass = 0;
  let sumX = 0;
  let sumY = 0;
  for (let j = 0; j < count; j++) {
    // Relative to the largest kernel, so that they do not all underflow.
    const weight = Math.exp(logs[j] - largest);
    mass += weight;
    sumX += weight * points[2 * j];
    sumY += weight * points[2 * j + 1];
  }
  return [sumX / mass, sumY / mass];
}

/**
 * Computes the velocity of each particle.
 *
 * @param {Float64Array} particles - x and y of each, one after the other.
 * @param {Float64Array} data - the same for the data.
 * @param {string} kernel - "laplacian" or "gaussian".
 * @param {number} bandwidth - in the units of the plane.
 * @returns {Float64Array} velocities, in the order of the particles.
 */
export function kernelDrift(particles, data, kernel, bandwidth) {
  const log = LOG_KERNELS[kernel];
  const velocities = new Float64Array(particles.length);
  for (let i = 0; i < particles.length / 2; i++) {
    const [x, y] = [particles[2 * i], particles[2 * i + 1]];
    const near = meanNear(x, y, data, -1, log, bandwidth);
    const here = meanNear(x, y, particles, i, log, bandwidth);
    velocities[2 * i] = near[0] - here[0];
    velocities[2 * i + 1] = near[1] - here[1];
  }
  return velocities;
}

/** The root mean square length of velocities. */
export function driftNorm(velocities) {
  if (velocities.length === 0) return 0;
  const squares = velocities.reduce((sum, v) => sum + v * v, 0);
  return Math.sqrt(squares / (velocities.length / 2));
}
