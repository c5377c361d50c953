// The draft report: statements, the evidence and the films they rest on, tied to each other both ways.
import { el, json, show } from './dom.js';
import { figureOf } from './films.js';

/** Lines of a list that are shown at once. */
const MOST = 8;

/** What this page says beside the words of the report's own page, which come with the report as `w`. */
const HERE = {
  en: { page: 'the report as a page', hint: 'Choose a statement to see what it rests on, or a piece of evidence to see what rests on it.', more: 'Further:', film: 'film' },
  ko: { page: '보고서 페이지', hint: '문장을 선택하면 근거가, 근거를 선택하면 문장이 표시됩니다.', more: '그 밖에:', film: '영상' },
};

/** What the report at that address holds. */
export const reportAt = (url) => json(`/demo/reports/${encodeURIComponent(url.split('/').at(-1))}`);

export function showReport(section, url, page) {
  const w = { ...page.w, ...(HERE[page.w.lang] ?? HERE.en) };
  const films = new Map(page.pictures.map((p) => [p.evidence, p.instance_uid ?? local(p.record)]));
  const evidence = new Map(page.evidence.map((item) => [item.id, item]));
  const marks = [];

  /** The film, or the line of the chart, that a piece of evidence is. */
  const placeOf = (of) => (films.has(of) ? figureOf(films.get(of)) : rowOf(evidence.get(of)?.reference));
  const light = (ids, statements) => {
    clear();
    for (const { node, id: of, number } of marks) {
      if (ids.includes(of) || statements.includes(number)) node.classList.add('lit');
    }
    ids.forEach((of) => placeOf(of)?.classList.add('lit'));
  };
  const statement = (s) => {
    const node = el('li', { value: s.number, class: 'statement' },
      el('button', { type: 'button', class: 'plain', onclick: () => light(s.evidence, [s.number]) }, s.text),
      ' ', s.evidence.map((of) => el('a', {
        href: `#evidence-${of}`, class: 'cite',
        onclick: (event) => {
          event.preventDefault();
          light(s.evidence, [s.number]);
          const source = placeOf(of) ?? document.getElementById(`evidence-${of}`);
          source?.scrollIntoView({ block: 'nearest' });
          source?.focus({ preventScroll: true });
        },
      }, of, films.has(of) ? ` ${w.film}` : '')));
    marks.push({ node, number: s.number });
    return node;
  };
  const line = (item) => {
    const node = el('li', { id: `evidence-${item.id}`, tabindex: '-1' },
      el('button', {
        type: 'button', class: 'plain',
        onclick: () => {
          light([item.id], item.cited_by);
          placeOf(item.id)?.scrollIntoView({ block: 'nearest' });
        },
      }, el('strong', {}, item.id), ` ${item.kind}${item.date ? `, ${item.date}` : ''}: ${item.text}`),
      item.cited_by.length ? el('small', {}, ` · ${w.cited_by} ${item.cited_by.join(', ')}`) : null);
    marks.push({ node, id: item.id });
    return node;
  };
  const bullets = (list, of) => el('ul', {}, list.map((item) => el('li', {}, of(item))));
  const items = (list, of) => {
    if (!list.length) return el('p', {}, w.nothing);
    const rest = list.slice(MOST);
    return [bullets(list.slice(0, MOST), of), rest.length ? el('details', {}, el('summary', {}, `${w.more} ${rest.length}`), bullets(rest, of)) : []];
  };
  const shown = page.evidence.filter((item) => item.shown);

  show(section,
    el('h3', { id: 'report-title' }, w.title, ' ', el('a', { class: 'aside', href: new URL(url).pathname, target: '_blank' }, w.page)),
    page.banner && el('p', { class: 'draft' }, page.banner),
    page.study && el('p', {}, page.study),
    page.urgency && el('p', { class: `urgency ${page.urgency}` }, `${w.urgency}: `, el('strong', {}, page.urgency_words ?? page.urgency)),
    page.sections.length
      ? page.sections.map((s) => [el('h4', {}, s.title), el('ol', { class: 'statements' }, s.statements.map(statement))])
      : el('p', {}, w.no_finding),
    page.looked_for && el('p', {}, page.looked_for),
    page.rejected.length ? [el('h4', {}, w.rejected), items(page.rejected, (r) => `${r.what}: ${r.why}`)] : null,
    el('h4', {}, w.evidence),
    el('p', { class: 'hint' }, w.hint),
    el('ul', { class: 'evidence' }, shown.map(line)),
    el('div', { class: 'ledger' },
      el('div', {}, el('h4', {}, w.examined), items(page.examined, (e) => `${e.what}: ${e.resources}, ${e.origin}${e.complete ? '' : ` (${w.not_all})`}`)),
      el('div', {}, el('h4', {}, sentenceCase(w.not_shown)), items(page.evidence.filter((item) => !item.shown), (item) => `${item.kind}: ${item.text}${item.why_not ? `: ${item.why_not}` : ''}`)),
      el('div', {}, el('h4', {}, w.failed), items(page.failed, (gap) => `${gap.what}: ${gap.why}`))));
  section.lang = w.lang;
}

/** Takes every mark away. */
export function clear() {
  document.querySelectorAll('.lit').forEach((node) => node.classList.remove('lit'));
}

const sentenceCase = (words) => words[0].toUpperCase() + words.slice(1);

/** `Type/id` of an absolute reference. */
const local = (reference) => reference?.split('/').slice(-2).join('/');

function rowOf(reference) {
  return reference ? document.querySelector(`#chart [data-reference="${CSS.escape(local(reference))}"]`) : null;
}
