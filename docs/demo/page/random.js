/**
 * Random numbers from a seed, the same in every browser.
 *
 * Uniform numbers are those of mulberry32, normal ones come from pairs of them
 * by the Box-Muller transform. They are not NumPy's: a seed gives other noise
 * here than in Python.
 */

/** A function that returns independent uniform numbers in [0, 1). */
export function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A function that returns independent standard normal numbers. */
export function normals(uniform) {
  let spare = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** `count` standard normal numbers of a seed, a Float32Array. */
export function standardNormal(seed, count) {
  return Float32Array.from({ length: count }, normals(uniforms(seed)));
}
