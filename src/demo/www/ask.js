// A button a service: the real hook is sent to the real server, and what comes of it is shown.
import { el, json, post, sentence, show } from './dom.js';
import { showCards } from './cards.js';
import { showState } from './faults.js';
import { clear, reportAt, showReport } from './report.js';
import { showWire } from './wire.js';

const HOOKS = {
  'order-sign': 'when the order is signed',
  'order-select': 'when an order is chosen',
  'patient-view': 'when the chart is opened',
};
const STAGES = {
  chart: 'asking the EHR for the chart',
  films: 'fetching and decoding the films',
  queue: 'waiting for the model',
  model: 'the model reads and writes',
  draft: 'checking the answer and writing card and report',
  store: 'writing to the store',
};
const TICK = 300;

const section = (id) => document.getElementById(id);
let running = null;

/** Takes away what an earlier answer showed, and stops waiting for one. */
export function forget() {
  running?.abort();
  running = null;
  clear();
  for (const id of ['progress', 'cards', 'report', 'wire']) {
    section(id).hidden = true;
    section(id).replaceChildren();
  }
}

/** Services of one moment stand together, the moment an order is signed first; what needs a question stands last. */
export function showServices(patient, services, questions, language) {
  const known = Object.keys(HOOKS);
  const place = (hook) => (known.includes(hook) ? known.indexOf(hook) : known.length);
  const hooks = [...new Set(services.map((service) => service.hook))].toSorted((a, b) => place(a) - place(b));
  const groups = hooks.map((hook) => {
    const fired = services.filter((service) => service.hook === hook).toSorted((a, b) => Number(a.id in questions) - Number(b.id in questions));
    return el('div', { class: 'hook', role: 'group', 'aria-labelledby': `hook-${hook}` },
      el('p', { class: 'hint', id: `hook-${hook}` }, el('strong', {}, hook), `, ${HOOKS[hook] ?? 'as the EHR decides'}`),
      el('div', { class: 'buttons' }, fired.map((service) => serviceOf(patient, service, questions[service.id], language))),
      el('details', {}, el('summary', {}, fired.length === 1 ? 'What it does' : 'What they do'),
        el('dl', {}, fired.map((service) => [el('dt', {}, titleOf(service)), el('dd', {}, service.description)]))));
  });
  show(section('services'), el('h3', { id: 'services-title' }, 'Let a hook fire'),
    groups.length ? groups : el('p', {}, 'This server offers no service.'));
}

const titleOf = (service) => service.title ?? service.id;

function serviceOf(patient, service, codes, language) {
  const title = titleOf(service);
  const select = codes && el('select', { 'aria-label': `Question for ${title}` }, codes.map((code) => el('option', { value: code }, spoken(code))));
  return el('div', { class: 'service' },
    el('button', {
      type: 'button', class: 'fire', 'data-service': service.id, 'data-hook': service.hook,
      onclick: () => ask(patient, service, select?.value, language()),
    }, title), select);
}

/** `effusion-left` as words. */
function spoken(code) {
  const text = code.replaceAll('-', ' ');
  return `${text[0].toUpperCase()}${text.slice(1)}?`;
}

async function ask(patient, service, question, language) {
  forget();
  const abort = new AbortController();
  running = abort;
  const started = performance.now();
  const progress = section('progress');
  const clock = el('strong', {}, '0.0 s');
  const stage = el('span', {}, 'sending the request');
  show(progress, el('h3', { id: 'progress-title' }, titleOf(service)),
    el('p', { class: 'working' }, clock, ' ', stage),
    el('p', { class: 'hidden', role: 'status' }, 'The server works.'));
  progress.scrollIntoView({ block: 'nearest' });
  let request;
  let timer;
  try {
    request = await post(`/demo/patients/${encodeURIComponent(patient.name)}/request`, { hook: service.hook, question });
    const seconds = setInterval(() => { clock.textContent = `${((performance.now() - started) / 1000).toFixed(1)} s`; }, 100);
    const follow = setInterval(async () => {
      const state = await json(`/demo/state?call=${request.hookInstance}`).catch(() => null);
      if (running !== abort || !state) return;
      showState(state);
      if (state.call?.stage) stage.textContent = STAGES[state.call.stage] ?? state.call.stage;
    }, TICK);
    timer = () => { clearInterval(seconds); clearInterval(follow); };
    const headers = { 'Content-Type': 'application/json', 'Accept-Language': language };
    const path = `/cds-services/${encodeURIComponent(service.id)}`;
    const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(request), signal: abort.signal });
    const text = await response.text();
    if (running !== abort) return;
    const took = performance.now() - started;
    timer();
    let reply = text;
    try { reply = JSON.parse(text); } catch { /* shown as it is */ }
    const answered = response.headers.get('content-language') ?? 'en';
    showTiming(progress, service, response, took);
    if (response.ok) showCards(section('cards'), reply.cards ?? [], answered);
    else showRefusal(section('cards'), response, reply);
    showWire(section('wire'), {
      address: new URL(path, location.href).href, headers, request, status: `${response.status} ${response.statusText}`,
      replyHeaders: [...response.headers], reply,
    });
    const links = (reply.cards ?? []).flatMap((card) => card.links ?? []).map((link) => link.url);
    document.getElementById('cards-title')?.focus({ preventScroll: true });
    section('cards').scrollIntoView({ block: 'nearest' });
    const url = links.find((link) => link.startsWith(`${location.origin}/reports/`));
    if (url) await report(url, abort);
  } catch (error) {
    timer?.();
    if (error.name === 'AbortError' || running !== abort) return;
    const message = error instanceof TypeError ? 'The server cannot be reached. Is `curbside demo` still running?' : error.message;
    show(progress, el('h3', { id: 'progress-title' }, titleOf(service)), el('p', { class: 'failed', role: 'alert' }, message));
  }
}

/** The draft a card links to, unless something else was asked for meanwhile. */
async function report(url, abort) {
  const [page, error] = await reportAt(url).then((found) => [found, null], (failed) => [null, failed]);
  if (running !== abort) return;
  if (page) {
    showReport(section('report'), url, page);
    section('cards').append(el('p', { class: 'hint' }, 'Choose a statement of the draft below to see the films and lines of the chart it rests on.'));
  }
  else show(section('report'), el('h3', { id: 'report-title' }, 'Draft report'), el('p', { class: 'failed', role: 'alert' }, error.message));
}

/** How long the whole took, and each stage by the server's own count. */
function showTiming(progress, service, response, took) {
  const metrics = (response.headers.get('server-timing') ?? '').split(',').map((metric) => {
    const [name, ...parameters] = metric.trim().split(';');
    const dur = parameters.find((p) => p.trim().startsWith('dur='));
    return { name, ms: dur ? Number(dur.trim().slice(4)) : NaN };
  }).filter((metric) => metric.name && Number.isFinite(metric.ms));
  const total = metrics.find((metric) => metric.name === 'total')?.ms ?? took;
  const rows = metrics.filter((metric) => metric.name !== 'total').map((metric) => {
    const bar = el('span', { class: 'bar', 'aria-hidden': 'true' });
    bar.style.width = `${Math.max((metric.ms / total) * 100, 0.5)}%`;
    return el('tr', {}, el('th', { scope: 'row' }, metric.name), el('td', { class: 'number' }, `${metric.ms.toFixed(1)} ms`), el('td', { class: 'bars' }, bar));
  });
  show(progress, el('h3', { id: 'progress-title' }, titleOf(service)),
    el('p', { role: 'status' }, `Answered ${response.status} after ${(took / 1000).toFixed(2)} s.`),
    rows.length ? el('table', { class: 'timing' }, el('caption', {}, 'How long each stage took (Server-Timing)'), el('tbody', {}, rows)) : null);
}

/** A refusal in plain words; the server's own sentence comes with it. */
function showRefusal(cards, response, reply) {
  const after = response.headers.get('retry-after');
  const plain = {
    400: 'The request was refused as faulty.',
    404: 'The server does not offer this service.',
    412: 'The patient’s record could not be read, so there is no answer.',
    502: 'A server of the hospital answered wrongly.',
    503: sentence(reply)?.startsWith('no model is available')
      ? 'No model is running. Waiting will not help: whoever runs curbside has to start it anew.'
      : `The server refused at once instead of keeping you waiting.${after ? ` Ask again in ${after} s.` : ''}`,
    504: 'The answer was not ready in time. Nothing was stored, nothing half-done is shown.',
  }[response.status] ?? 'The server failed and has logged why.';
  show(cards, el('h3', { id: 'cards-title', tabindex: '-1' }, 'No card'),
    el('div', { class: 'refusal', role: 'alert' }, el('p', {}, el('strong', {}, plain)), el('p', {}, sentence(reply) ?? '')));
}
