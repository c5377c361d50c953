// The draft report: statements, the evidence and the films they rest on, tied to each other both ways.
import { el, json, show } from './dom.js';
import { figureOf } from './films.js';

/** Lines of a list that are shown at once. */
const MOST = 8;

const words = {
  en: {
    title: 'Draft report', page: 'the report as a page', urgency: 'Suggested urgency', none: 'No finding is stated. This does not say that the examination is normal.',
    evidence: 'Evidence', hint: 'Choose a statement to see what it rests on, or a piece of evidence to see what rests on it.',
    examined: 'Examined', notExamined: 'Not shown to the model', failed: 'Could not be had or used', nothing: 'Nothing.', notKept: 'Not kept of the model’s answer',
    partial: 'possibly not all', more: 'Further:', film: 'film', citedBy: 'cited by', statement: 'statement',
  },
  ko: {
    title: '판독 초안', page: '보고서 페이지', urgency: '제안 긴급도', none: '기술된 소견이 없습니다. 검사가 정상이라는 뜻은 아닙니다.',
    evidence: '근거', hint: '문장을 선택하면 근거가, 근거를 선택하면 문장이 표시됩니다.',
    examined: '검토한 자료', notExamined: '모델에 제시하지 않은 자료', failed: '얻지 못했거나 사용하지 못한 자료', nothing: '없음.', notKept: '모델 답변 중 채택하지 않은 것',
    partial: '일부 누락 가능', more: '그 밖에:', film: '영상', citedBy: '인용', statement: '문장',
  },
};

export async function showReport(section, url, language) {
  const id = url.split('/').at(-1);
  const page = await json(`/demo/reports/${encodeURIComponent(id)}`);
  const w = words[language] ?? words.en;
  const films = new Map(page.pictures.map((p) => [p.evidence, p.instance_uid ?? local(p.record)]));
  const evidence = new Map(page.evidence.map((item) => [item.id, item]));
  const marks = [];

  const light = (ids, statements) => {
    clear();
    for (const { node, id: of, number } of marks) {
      if (ids.includes(of) || statements.includes(number)) node.classList.add('lit');
    }
    for (const of of ids) {
      const film = films.get(of) && figureOf(films.get(of));
      film?.classList.add('lit');
      rowOf(evidence.get(of)?.reference)?.classList.add('lit');
    }
  };
  const statement = (s) => {
    const node = el('li', { value: s.number, class: 'statement' },
      el('button', { type: 'button', class: 'plain', onclick: () => light(s.evidence, [s.number]) }, s.text),
      ' ', s.evidence.map((of) => el('a', {
        href: `#evidence-${of}`, class: 'cite',
        onclick: (event) => {
          event.preventDefault();
          light(s.evidence, [s.number]);
          const film = films.has(of) ? figureOf(films.get(of)) : null;
          (film ?? document.getElementById(`evidence-${of}`))?.scrollIntoView({ block: 'nearest' });
          (film ?? document.getElementById(`evidence-${of}`))?.focus({ preventScroll: true });
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
          (films.has(item.id) ? figureOf(films.get(item.id)) : rowOf(item.reference))?.scrollIntoView({ block: 'nearest' });
        },
      }, el('strong', {}, item.id), ` ${item.kind}${item.date ? `, ${item.date}` : ''}: ${item.text}`),
      item.cited_by.length ? el('small', {}, ` · ${w.citedBy} ${item.cited_by.join(', ')}`) : null);
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
      : el('p', {}, w.none),
    page.rejected.length ? [el('h4', {}, w.notKept), items(page.rejected, (r) => `${r.what}: ${r.why}`)] : null,
    el('h4', {}, w.evidence),
    el('p', { class: 'hint' }, w.hint),
    el('ul', { class: 'evidence' }, shown.map(line)),
    el('div', { class: 'ledger' },
      el('div', {}, el('h4', {}, w.examined), items(page.examined, (e) => `${e.what}: ${e.resources}, ${e.origin}${e.complete ? '' : ` (${w.partial})`}`)),
      el('div', {}, el('h4', {}, w.notExamined), items(page.evidence.filter((item) => !item.shown), (item) => `${item.kind}: ${item.text}${item.why_not ? `: ${item.why_not}` : ''}`)),
      el('div', {}, el('h4', {}, w.failed), items(page.failed, (gap) => `${gap.what}: ${gap.why}`))));
  section.lang = language;
}

/** Takes every mark away. */
export function clear() {
  document.querySelectorAll('.lit').forEach((node) => node.classList.remove('lit'));
}

/** `Type/id` of an absolute reference. */
const local = (reference) => reference?.split('/').slice(-2).join('/');

function rowOf(reference) {
  return reference ? document.querySelector(`#chart [data-reference="${CSS.escape(local(reference))}"]`) : null;
}
