/** The section with particles in the plane: picture, controls, animation. */

import { ParticleFlow } from "./particle_flow.js";

const EXTENT = 2.5; // the plane is [-2.5, 2.5] in both directions
const MILLISECONDS_PER_STEP = 33;
const STROKE = { points: 4, std: 0.05 }; // data added by one move of a drag

const byId = (id) => document.getElementById(id);

export class Plane {
  constructor() {
    this.flow = new ParticleFlow(byId("data").value);
    this.canvas = byId("particles");
    this.visible = false;
    this.last = 0;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.listenToSettings();
    this.listenToButtons();
    this.listenToPointer();
    this.listenToSurroundings();
    this.readSettings();
    this.setRunning(!this.calm);
    if (this.calm) this.say("Paused, as your system asks for less motion.");
  }

  listenToSettings() {
    for (const id of ["bandwidth", "step-size"]) {
      byId(id).addEventListener("input", () => this.readSettings());
    }
    byId("data").addEventListener("change", () => this.reset());
    byId("kernels").addEventListener("click", ({ target }) => {
      if (!target.value) return;
      for (const button of byId("kernels").children) {
        button.setAttribute("aria-pressed", button === target);
      }
      this.readSettings();
    });
  }

  listenToButtons() {
    const actions = {
      run: () => this.setRunning(!this.running),
      "one-step": () => {
        this.setRunning(false);
        this.flow.step();
        this.paint();
        this.describe();
      },
      reset: () => this.reset(),
      add: () => {
        this.flow.addCluster();
        this.update();
        this.say("A cluster of data was added.");
      },
    };
    for (const [id, action] of Object.entries(actions)) {
      byId(id).addEventListener("click", action);
    }
  }

  listenToPointer() {
    const add = (event) => {
      if (event.buttons === 0) return;
      const box = this.canvas.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width;
      const y = (event.clientY - box.top) / box.height;
      this.flow.addData(EXTENT * (2 * x - 1), EXTENT * (1 - 2 * y), STROKE);
      this.update();
    };
    this.canvas.addEventListener("pointerdown", add);
    this.canvas.addEventListener("pointermove", add);
  }

  listenToSurroundings() {
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.visible = isIntersecting;
      this.schedule();
    }).observe(this.canvas);
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.paint());
  }

  readSettings() {
    const pressed = byId("kernels").querySelector("[aria-pressed=true]");
    this.flow.kernel = pressed.value;
    this.flow.bandwidth = 10 ** Number(byId("bandwidth").value);
    this.flow.stepSize = Number(byId("step-size").value);
    const bandwidth = this.flow.bandwidth.toFixed(2);
    byId("bandwidth-value").textContent = bandwidth;
    byId("bandwidth").setAttribute("aria-valuetext", bandwidth);
    byId("step-size-value").textContent = this.flow.stepSize.toFixed(2);
    this.update();
  }

  /** After a change: a running flow shows it by itself. */
  update() {
    if (this.running && this.visible) return;
    this.flow.measure();
    this.paint();
  }

  reset() {
    this.flow.reset(byId("data").value);
    this.paint();
    if (this.running) this.say("Started again.");
    else this.describe();
  }

  setRunning(running) {
    this.running = running;
    byId("run").textContent = running ? "Pause" : "Run";
    if (running) this.say("Running.");
    else this.describe();
    this.schedule();
  }

  schedule() {
    if (!this.running || !this.visible || this.frame) return;
    this.frame = requestAnimationFrame((now) => {
      this.frame = null;
      if (!this.running || !this.visible) return;
      if (now - this.last >= MILLISECONDS_PER_STEP) {
        this.last = now;
        this.flow.step();
        this.paint();
      }
      this.schedule();
    });
  }

  paint() {
    const { canvas, flow } = this;
    const styles = getComputedStyle(canvas);
    const color = (name) => styles.getPropertyValue(name);
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== size || canvas.height !== size) {
      canvas.width = canvas.height = size;
    }
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, size, size);
    const radius = Math.max(1.5, size / 280);
    paintPoints(context, flow.data, color("--data"), 0.8 * radius, size);
    paintVelocities(context, flow, color("--particle"), size);
    paintPoints(context, flow.particles, color("--particle"), radius, size);
    this.showNumbers();
  }

  showNumbers() {
    const { flow } = this;
    byId("step-count").textContent = flow.steps;
    byId("drift-norm").textContent = flow.norm.toFixed(3);
    const label =
      `${flow.particles.length / 2} particles and ${flow.data.length / 2} ` +
      `data points: ${byId("data").selectedOptions[0].text}`;
    if (this.canvas.ariaLabel !== label) this.canvas.ariaLabel = label;
  }

  /** For a screen reader: only when the particles stand still. */
  describe() {
    this.say(
      `Paused at step ${this.flow.steps}, drift norm ` +
        `${this.flow.norm.toFixed(3)}.`,
    );
  }

  say(text) {
    byId("plane-status").textContent = text;
  }
}

/** From a coordinate of the plane to one of the canvas. */
const toX = (x, size) => (size * (x / EXTENT + 1)) / 2;
const toY = (y, size) => (size * (1 - y / EXTENT)) / 2;

function paintPoints(context, points, color, radius, size) {
  context.fillStyle = color;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = [toX(points[i], size), toY(points[i + 1], size)];
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 2 * Math.PI);
  }
  context.fill();
}

/** A line from each particle to where a step of size one would move it. */
function paintVelocities(context, { particles, velocities }, color, size) {
  context.strokeStyle = color;
  context.globalAlpha = 0.3;
  context.lineWidth = Math.max(1, size / 600);
  context.beginPath();
  for (let i = 0; i < particles.length; i += 2) {
    const [x, y] = [particles[i], particles[i + 1]];
    context.moveTo(toX(x, size), toY(y, size));
    const [endX, endY] = [x + velocities[i], y + velocities[i + 1]];
    context.lineTo(toX(endX, size), toY(endY, size));
  }
  context.stroke();
  context.globalAlpha = 1;
}
