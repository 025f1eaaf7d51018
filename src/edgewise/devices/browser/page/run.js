// One process: load a model, run it once, then warm up and time it, in a frame of its own.
import {clockStep} from './common.js';

const MOST_SAMPLES = 10_000;

function filled(type, count, seed) {
  const arrays = {float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array,
                  bool: Uint8Array, int64: BigInt64Array, int16: Int16Array, uint16: Uint16Array, uint32: Uint32Array};
  if (!arrays[type]) throw new Error(`inputs of type ${type} are not made here`);
  const made = new arrays[type](count);
  let state = seed * 2 + 1;  // the same numbers in every browser
  for (let i = 0; i < count; i++) {
    state = (state * 48271) % 2147483647;
    made[i] = type.startsWith('float') ? state / 2147483647 : type === 'int64' ? BigInt(state % 2) : state % 2;
  }
  return made;
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);

async function litert(job, bytes) {
  const {loadLiteRt, loadAndCompile, Tensor} = await import('@litertjs/core');
  const start = performance.now();
  await loadLiteRt(new URL('pkg/@litertjs/core/wasm/', location.href).href, {threads: job.threads > 1});
  const runtime = performance.now();
  const model = await loadAndCompile(bytes, {accelerator: job.delegate, cpuOptions: {numThreads: job.threads}});
  const load = performance.now();
  const inputs = model.getInputDetails().map((each) => {
    const shape = [...each.shape].map((size) => Math.max(size, 1));
    return new Tensor(filled(each.dtype, product(shape), job.seed), shape);
  });
  let results = [];
  const call = async () => {
    for (const old of results) old.delete();
    results = await model.run(inputs);
  };
  return {call, runtime_ms: runtime - start, load_ms: load - runtime};
}

async function onnx(job, bytes) {
  const start = performance.now();
  const ort = await import('onnxruntime-web');
  ort.env.wasm.wasmPaths = new URL('pkg/onnxruntime-web/dist/', location.href).href;
  ort.env.wasm.numThreads = job.threads;
  const runtime = performance.now();
  const session = await ort.InferenceSession.create(bytes, {executionProviders: [job.delegate]});
  const load = performance.now();
  const feeds = {};
  for (const meta of session.inputMetadata) {
    const given = job.shapes[meta.name];
    const shape = given ?? meta.shape.map((size, axis) => {
      if (typeof size === 'number') return size;
      if (axis === 0) return job.batch;
      throw new Error(`input '${meta.name}' leaves '${size}' open: give its size with --shape`);
    });
    feeds[meta.name] = new ort.Tensor(meta.type, filled(meta.type, product(shape), job.seed), shape);
  }
  return {call: async () => { await session.run(feeds); }, runtime_ms: runtime - start, load_ms: load - runtime};
}

// A sample is so many calls that one step of the clock is below 1 % of it.
async function timed(job, call) {
  const step = clockStep();
  const begin = performance.now();
  await call();
  const first_ms = performance.now() - begin;
  if (job.purpose === 'load') return {first_ms, clock_step_ms: step, warmup_ms: [], samples_ms: [], calls: 1};
  const warmup_ms = [];
  const most = job.warmup_runs ?? Infinity;
  for (const end = performance.now() + 500; warmup_ms.length < most
       && (job.warmup_runs !== null || performance.now() < end || warmup_ms.length < 5);) {
    const start = performance.now();
    await call();
    warmup_ms.push(performance.now() - start);
  }
  const known = warmup_ms.length ? warmup_ms : [first_ms];
  const typical = known.reduce((a, b) => a + b) / known.length;
  const calls = Math.max(1, Math.ceil(100 * step / Math.max(typical, step / 100)));
  const samples_ms = [];
  const from = performance.now();
  const latest = from + job.max_s * 1000;
  const earliest = from + Math.min(job.min_s, job.max_s) * 1000;
  let now = from;
  do {
    const start = performance.now();
    for (let each = 0; each < calls; each++) await call();
    now = performance.now();
    samples_ms.push((now - start) / calls);
  } while (now < latest && samples_ms.length < MOST_SAMPLES
           && (samples_ms.length < job.runs || now < earliest));
  return {first_ms, clock_step_ms: step, warmup_ms, samples_ms, calls};
}

async function main(job) {
  if (job.threads > 1 && !crossOriginIsolated) {
    throw new Error('no threads: this page is not cross-origin isolated (open it by https, or on localhost)');
  }
  if (job.delegate === 'webgpu' && !('gpu' in navigator)) throw new Error('this browser offers no WebGPU here');
  const warnings = [];
  for (const level of ['warn', 'error']) {
    const old = console[level].bind(console);
    console[level] = (...said) => { if (warnings.length < 20) warnings.push(said.join(' ').slice(0, 200)); old(...said); };
  }
  const bytes = new Uint8Array(await (await fetch(job.model)).arrayBuffer());
  const one = await (job.runtime === 'onnxruntime-web' ? onnx : litert)(job, bytes);
  return {runtime_ms: one.runtime_ms, load_ms: one.load_ms, ...await timed(job, one.call), warnings};
}

addEventListener('message', async (event) => {
  if (event.source !== parent || event.origin !== location.origin) return;
  let found;
  try { found = await main(event.data); }
  catch (error) { found = {failed: String(error?.message ?? error).slice(0, 300)}; }
  parent.postMessage(found, location.origin);
});
parent.postMessage('ready', location.origin);
