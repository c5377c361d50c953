// The patient's chart as the EHR holds it, in the groups in which the server reads it.
import { el, show } from './dom.js';

const SHOWN = 6;

const category = (resource, code) => [resource.category ?? []].flat().some((c) => c.coding?.some((x) => x.code === code));
const observation = (code) => (r) => r.resourceType === 'Observation' && category(r, code);

const GROUPS = [
  ['Allergies', (r) => r.resourceType === 'AllergyIntolerance'],
  ['Problems', (r) => r.resourceType === 'Condition'],
  ['Medicines', (r) => r.resourceType === 'MedicationRequest'],
  ['Vital signs', observation('vital-signs')],
  ['Laboratory', observation('laboratory')],
  ['Examinations and notes', observation('exam')],
  ['Imaging', (r) => ['ImagingStudy', 'Media', 'DocumentReference'].includes(r.resourceType)],
  ['Reports', (r) => r.resourceType === 'DiagnosticReport'],
];

export function showPatient(section, patient, story) {
  const person = patient.resources.find((r) => r.resourceType === 'Patient') ?? {};
  const facts = [person.gender, person.birthDate && `born ${person.birthDate}`, person.identifier?.[0]?.value].filter(Boolean);
  show(
    section,
    el('h2', { id: 'patient-title', tabindex: '-1' }, name(person), ' ', el('small', {}, facts.join(' · '))),
    el('p', { class: 'story' }, story?.about ?? ''),
  );
}

export function showChart(section, patient) {
  const taken = new Set();
  const groups = GROUPS.map(([title, belongs]) => {
    const resources = patient.resources.filter((r) => !taken.has(r) && belongs(r));
    resources.forEach((r) => taken.add(r));
    resources.sort((a, b) => when(b).localeCompare(when(a)));
    return group(title, resources);
  });
  show(section, el('h3', { id: 'chart-title' }, 'Chart'), groups);
}

export function showOrders(section, patient) {
  const orders = patient.orders.map((order) =>
    el('li', {},
      el('strong', {}, word(order.code ?? order.medicationCodeableConcept) || order.resourceType),
      ` · ${order.status ?? ''} · ${order.resourceType}`,
      order.supportingInfo?.length ? ` · about ${order.supportingInfo.map((s) => s.reference).join(', ')}` : ''));
  show(section, el('h3', { id: 'orders-title' }, 'Draft orders'),
    orders.length ? el('ul', { class: 'orders' }, orders) : el('p', {}, 'None.'));
}

function group(title, resources) {
  const rows = resources.map((r) =>
    el('tr', { 'data-reference': reference(r), tabindex: '-1' },
      el('td', {}, word(r.code ?? r.medicationCodeableConcept ?? r.type) || r.description || r.content?.title || r.resourceType),
      el('td', {}, value(r)),
      el('td', { class: 'when' }, when(r).slice(0, 10))));
  const body = el('tbody', {}, rows.slice(0, SHOWN));
  const more = rows.length > SHOWN && el('button', {
    type: 'button',
    class: 'small',
    onclick: (event) => {
      body.append(...rows.slice(SHOWN));
      event.currentTarget.remove();
      rows[SHOWN].focus();
    },
  }, `${rows.length - SHOWN} older`);
  return el('details', { class: 'group', open: rows.length > 0 },
    el('summary', {}, title, ' ', el('span', { class: 'count' }, rows.length)),
    rows.length
      ? el('table', {}, el('thead', { class: 'hidden' }, el('tr', {}, ['What', 'Value', 'Date'].map((h) => el('th', { scope: 'col' }, h)))), body)
      : el('p', { class: 'none' }, 'Nothing recorded.'),
    more);
}

const reference = (resource) => `${resource.resourceType}/${resource.id}`;

function name(person) {
  const official = person.name?.find((n) => n.use === 'official') ?? person.name?.[0];
  if (!official) return person.id ?? 'A patient';
  return official.text ?? [...(official.given ?? []), official.family].filter(Boolean).join(' ');
}

/** What a CodeableConcept says. */
function word(concept) {
  return concept?.text ?? concept?.coding?.find((c) => c.display)?.display ?? concept?.coding?.[0]?.code ?? '';
}

const quantity = (q) => (q ? `${q.comparator ?? ''}${q.value} ${q.unit ?? q.code ?? ''}`.trim() : '');

function value(r) {
  if (r.resourceType === 'Observation') {
    const parts = (r.component ?? []).map((c) => quantity(c.valueQuantity)).filter(Boolean);
    const flag = r.interpretation?.[0]?.coding?.[0]?.code;
    const said = quantity(r.valueQuantity) || r.valueString || word(r.valueCodeableConcept) || parts.join(' / ');
    return flag && flag !== 'N' ? `${said} (${flag})` : said;
  }
  if (r.resourceType === 'ImagingStudy') return r.modality?.map((m) => m.code).join(', ') ?? '';
  if (r.resourceType === 'AllergyIntolerance') {
    return [r.reaction?.[0]?.manifestation?.map(word).join(', '), r.criticality && `criticality ${r.criticality}`].filter(Boolean).join(', ');
  }
  if (r.resourceType === 'DiagnosticReport') return r.conclusion ?? r.status ?? '';
  return word(r.clinicalStatus) || r.status || '';
}

function when(r) {
  return r.effectiveDateTime ?? r.onsetDateTime ?? r.authoredOn ?? r.started ?? r.createdDateTime ?? r.recordedDate
    ?? r.date ?? r.issued ?? r.effectivePeriod?.start ?? '';
}
