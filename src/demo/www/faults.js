// The switches that make a part of the hospital fail, and how the model's engine is.
import { el, post } from './dom.js';

const SERVER = {
  works: 'works', error: 'answers with errors', silent: 'never answers', garbage: 'answers nonsense', missing: 'has nothing (404)',
};
const CHOICES = {
  ehr: SERVER,
  pacs: SERVER,
  engine: {
    works: 'works', slow: 'slow', late: 'too slow for the deadline', busy: 'busy: the queue is full', loading: 'still loading',
    dies: 'dies under the next answer', broken: 'broken, given up',
  },
};

export function listen() {
  for (const [part, choices] of Object.entries(CHOICES)) {
    const select = document.getElementById(`fault-${part}`);
    select.append(...Object.entries(choices).map(([value, text]) => el('option', { value }, text)));
    select.addEventListener('change', send);
  }
  document.getElementById('fault-none').addEventListener('click', () => {
    for (const part of Object.keys(CHOICES)) document.getElementById(`fault-${part}`).value = 'works';
    send();
  });
}

async function send() {
  const wanted = Object.fromEntries(Object.keys(CHOICES).map((part) => [part, document.getElementById(`fault-${part}`).value]));
  try {
    showState(await post('/demo/faults', wanted));
    document.dispatchEvent(new CustomEvent('faults'));
  } catch (error) {
    document.getElementById('engine').textContent = error.message;
  }
}

export function showState({ engine, faults }) {
  for (const part of Object.keys(CHOICES)) {
    const select = document.getElementById(`fault-${part}`);
    if (document.activeElement !== select) select.value = faults[part];
    // What is not there yet cannot fail.
    if (part === 'engine') select.disabled = faults.engine === 'works' && engine.status !== 'ready';
  }
  const failing = ['ehr', 'pacs'].filter((part) => faults[part] !== 'works').map((part) => `the ${part.toUpperCase()} ${SERVER[faults[part]]}`);
  if (['slow', 'late', 'dies'].includes(faults.engine)) failing.push(`the model: ${CHOICES.engine[faults.engine]}`);
  const says = {
    ready: engine.taken >= engine.places
      ? 'Model: busy, the queue is full.'
      : engine.taken > 0 ? 'Model: working.' : 'Model: ready.',
    loading: `Model: loading (${engine.says}). Services that need none answer already.`,
    degraded: `Model: not to be asked just now. ${engine.says}`,
    broken: `Model: none. ${engine.says}`,
    absent: 'Model: none was started. Services that need none answer.',
  }[engine.status];
  const text = failing.length ? `${says} Made to fail: ${failing.join(', ')}.` : says;
  const place = document.getElementById('engine');
  // Only a change is announced.
  if (place.textContent !== text) place.textContent = text;
  place.dataset.status = failing.length || engine.status !== 'ready' || engine.taken >= engine.places ? 'amiss' : 'ready';
}
