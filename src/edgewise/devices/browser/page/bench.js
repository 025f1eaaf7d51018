// The page: what browser this is, its link to the server, then one frame after the other, one for
// each process that the server asks for: the runtimes keep a thread count for a page's whole life.
import {clockStep, send} from './common.js';

const say = (text) => { document.querySelector('#state').textContent = text; };

// Requests of several sizes: what was sent and received, the wait for the first byte of the answer,
// the time to read it.
async function link() {
  const observations = [];
  await fetch('echo?bytes=1', {method: 'POST', body: new Uint8Array(1)});  // the connection is open
  for (const size of [1, 200_000, 1, 800_000, 1, 400_000, 1, 1_600_000, 1, 100_000]) {
    for (const [sent, received] of size === 1 ? [[1, 1]] : [[size, 1], [1, 4 * size]]) {
      const start = performance.now();
      const answer = await fetch(`echo?bytes=${received}`, {method: 'POST', body: new Uint8Array(sent)});
      const first = performance.now();
      const got = (await answer.arrayBuffer()).byteLength;
      observations.push([sent, got, first - start, performance.now() - first]);
    }
  }
  return observations;
}

function measure(job) {
  const frame = document.createElement('iframe');
  frame.hidden = true;
  frame.src = 'run.html';
  const ended = new Promise((done) => {
    addEventListener('message', function heard(event) {
      if (event.source !== frame.contentWindow || event.origin !== location.origin) return;
      if (event.data === 'ready') { frame.contentWindow.postMessage(job, location.origin); return; }
      removeEventListener('message', heard);
      done(event.data);
    });
    setTimeout(() => done({failed: `no end within ${job.limit_s} s`}), job.limit_s * 1000);
  });
  document.body.append(frame);
  return ended.finally(() => frame.remove());
}

async function main() {
  new Worker('alive.js');
  say('Looking at this browser and its link …');
  const adapter = 'gpu' in navigator && await navigator.gpu.requestAdapter().catch(() => null);
  await send('hello', {
    user_agent: navigator.userAgent, secure: isSecureContext, isolated: crossOriginIsolated,
    cores: navigator.hardwareConcurrency ?? null, memory_gb: navigator.deviceMemory ?? null,
    webgpu: !!adapter, clock_step_ms: clockStep(), protocol: location.protocol,
    screen: document.visibilityState, link: await link(),
  });
  for (;;) {
    const job = await (await fetch('next', {method: 'POST'})).json();
    if (job.end) break;
    if (job.wait) continue;
    say(`${job.name}, ${job.threads} thread(s) …`);
    const found = await measure(job);
    await send(`result?id=${job.id}`, {...found, visible: document.visibilityState});
  }
  say('Done. You can close this page.');
}

main().catch((error) => { say(String(error)); send('lost', {reason: String(error)}); });
