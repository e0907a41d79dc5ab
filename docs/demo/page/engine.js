/**
 * The engine that runs the networks: onnxruntime-web on WebGPU or WebAssembly.
 *
 * WebGPU has a build of its own, which is fetched only where there is a GPU.
 */

const RUNTIME = new URL("./runtime/", import.meta.url).href;
const MAX_THREADS = 4;

/**
 * Loads the engine.
 *
 * @param {?string} wanted - "webgpu" or "wasm"; null chooses the faster one
 *     that this browser has.
 * @returns {Promise<{name: string, createSession: function, Tensor: function}>}
 */
export async function loadEngine(wanted = null) {
  if (wanted !== "wasm" && (await hasWebGPU(wanted === "webgpu"))) {
    return load("ort.jspi.min.mjs", "webgpu", "WebGPU");
  }
  const threads = self.crossOriginIsolated
    ? Math.min(MAX_THREADS, navigator.hardwareConcurrency)
    : 1;
  const name = `WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}`;
  return load("ort.wasm.min.mjs", "wasm", name, threads);
}

/** Whether there is a GPU: one made of software counts only on request. */
async function hasWebGPU(software) {
  // The build for WebGPU suspends WebAssembly while the GPU computes.
  if (!navigator.gpu || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) return false;
  const { isFallbackAdapter, architecture } = adapter.info;
  return software || !(isFallbackAdapter || architecture === "swiftshader");
}

async function load(file, provider, name, threads = 1) {
  const ort = await import(RUNTIME + file);
  ort.env.wasm.wasmPaths = RUNTIME;
  ort.env.wasm.numThreads = threads;
  const options = {
    executionProviders: [provider],
    // More of it takes longer than it saves in networks as small as these.
    graphOptimizationLevel: "basic",
    logSeverityLevel: 3, // errors only
  };
  return {
    name,
    Tensor: ort.Tensor,
    createSession: (url) => ort.InferenceSession.create(url, options),
  };
}
