/** From samples in [-1, 1] to pixels, and to a grid on a canvas. */

/** Levels from 0 to 255, rounded and clipped. */
export function toLevels(samples) {
  return Uint8ClampedArray.from(samples, (value) => (value + 1) * 127.5);
}

/** RGBA pixels of image `index` of a batch of levels. */
function toPixels(levels, index, [height, width, channels]) {
  const size = height * width;
  const pixels = new ImageData(width, height);
  const start = index * size * channels;
  for (let i = 0; i < size; i++) {
    for (let channel = 0; channel < 3; channel++) {
      const source = start + i * channels + Math.min(channel, channels - 1);
      pixels.data[4 * i + channel] = levels[source];
    }
    pixels.data[4 * i + 3] = 255;
  }
  return pixels;
}

/** The space between images of a grid, in pixels of the images. */
export function gapOf([, width]) {
  return Math.max(1, Math.round(width / 12));
}

/** Puts a batch onto a canvas, row by row, one pixel for each of an image. */
export function paintGrid(canvas, samples, shape, columns) {
  const [height, width, channels] = shape;
  const levels = toLevels(samples);
  const count = levels.length / (height * width * channels);
  const gap = gapOf(shape);
  canvas.width = columns * (width + gap) - gap;
  canvas.height = Math.ceil(count / columns) * (height + gap) - gap;
  const context = canvas.getContext("2d");
  for (let i = 0; i < count; i++) {
    const x = (i % columns) * (width + gap);
    const y = Math.floor(i / columns) * (height + gap);
    context.putImageData(toPixels(levels, i, shape), x, y);
  }
}
