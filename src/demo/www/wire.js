// The exchange as it went over the wire, for those who integrate.
import { copier, el, show } from './dom.js';

export function showWire(section, { address, headers, request, status, replyHeaders, reply }) {
  const sent = [`POST ${address}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)].join('\n');
  const got = [`HTTP ${status}`, ...replyHeaders.map(([name, value]) => `${name}: ${value}`)].join('\n');
  const body = JSON.stringify(request);
  const curl = `curl -sS -X POST '${address}' ${Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`).join(' ')} --data-binary '${body.replaceAll("'", "'\\''")}'`;
  show(section,
    el('h3', { id: 'wire-title' }, 'Over the wire'),
    el('p', { class: 'hint' }, 'The token is one of this demonstration: it opens this patient’s data in this process and nothing else.'),
    part('Request', sent, request),
    part('Reply', got, reply),
    el('details', {}, el('summary', {}, 'curl'), el('div', { class: 'code' }, copier('Copy', () => curl), pre(curl))));
}

function part(title, head, body) {
  const text = typeof body === 'string' ? body : JSON.stringify(body, null, 2);
  return el('details', {}, el('summary', {}, title),
    el('div', { class: 'code' }, copier('Copy', () => text), pre(`${head}\n\n${text}`)));
}

const pre = (text) => el('pre', { tabindex: '0' }, el('code', {}, text));
