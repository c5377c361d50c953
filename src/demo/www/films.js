// The films of a patient: fetched from the PACS of the demonstration, or taken out of the chart where they stand there.
import { el, json, show } from './dom.js';
import { Viewer } from './viewer.js';

let shown = [];

/** The figure of a film, by SOP Instance UID or by reference of the resource that holds it. */
export function figureOf(key) {
  return shown.find((film) => film.key === key)?.figure ?? null;
}

export async function showFilms(section, patient) {
  shown = list(patient.resources);
  const figures = el('div', { class: 'figures' });
  shown.forEach((film) => {
    film.body = el('div', { class: 'film-body' }, el('p', { role: 'status' }, 'Fetching the film.'));
    film.figure = el('figure', { class: 'film', 'data-film': film.key, tabindex: '-1' },
      el('figcaption', {}, el('strong', {}, film.role), ` ${film.says} `, el('span', { class: 'when' }, film.when.slice(0, 10))), film.body);
    figures.append(film.figure);
  });
  show(section, el('h3', { id: 'films-title' }, 'Films'),
    shown.length ? figures : el('p', {}, 'No film is recorded for this patient.'));
  const viewers = [];
  await Promise.all(shown.map(async (film) => {
    try {
      const picture = film.attachment ? await attached(film.attachment) : await stored(film.key);
      const viewer = new Viewer(picture, `${film.role} film, ${film.says} ${film.when.slice(0, 10)}`, viewers);
      viewers.push(viewer);
      film.body.replaceChildren(viewer.element, label(picture, patient));
    } catch (error) {
      film.body.replaceChildren(el('p', { class: 'failed' }, error.message));
    }
  }));
}

/** Earlier films first, as time runs; the newest one is current. */
function list(resources) {
  const films = [];
  for (const r of resources) {
    if (r.resourceType === 'ImagingStudy') {
      for (const series of r.series ?? []) {
        for (const instance of series.instance ?? []) {
          films.push({ key: instance.uid, when: r.started ?? '', says: r.description ?? '' });
        }
      }
    } else if (r.resourceType === 'Media' && r.content?.data) {
      films.push({ key: `Media/${r.id}`, when: r.createdDateTime ?? '', attachment: r.content, says: `${r.content.title ?? 'a picture in the chart'}` });
    } else if (r.resourceType === 'Binary' && r.contentType?.startsWith('image/')) {
      films.push({ key: `Binary/${r.id}`, when: '', attachment: r, says: 'a picture attached to a document' });
    }
  }
  films.sort((a, b) => a.when.localeCompare(b.when));
  films.forEach((film, at) => { film.role = at === films.length - 1 ? 'Current' : 'Prior'; });
  return films;
}

/** A film of the PACS: its values as they were stored, and what its header says of them. */
async function stored(instance) {
  const header = await json(`/demo/films/${encodeURIComponent(instance)}`);
  const response = await fetch(`/demo/films/${encodeURIComponent(instance)}/pixels`);
  if (!response.ok) throw new Error('The film could not be read.');
  const bytes = new DataView(await response.arrayBuffer());
  const values = new Float32Array(bytes.byteLength / 2);
  for (let at = 0; at < values.length; at += 1) {
    values[at] = bytes.getUint16(at * 2, true) * header.slope + header.intercept;
  }
  return { ...header, values };
}

/** A PNG or JPEG that stands in the chart. */
async function attached({ contentType, data }) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: contentType }));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const values = new Float32Array(bitmap.width * bitmap.height);
  for (let at = 0; at < values.length; at += 1) values[at] = pixels[at * 4];
  return { values, rows: bitmap.height, columns: bitmap.width, inverted: false, window_center: 128, window_width: 256 };
}

/** What is written in the file; a file of somebody else is told. */
function label(picture, patient) {
  if (!picture.patient_id) return null;
  const person = patient.resources.find((r) => r.resourceType === 'Patient');
  const own = person?.identifier?.some((i) => i.value === picture.patient_id);
  const said = `${picture.modality ?? ''} ${picture.view ?? ''} ${picture.columns} × ${picture.rows} · ${picture.manufacturer ?? ''}`;
  return el('p', { class: own ? 'label' : 'label failed' },
    said, el('br'), `Label in the file: ${picture.patient_id} ${(picture.patient_name ?? '').replace(/\^+/g, ' ')}`,
    own ? '' : ' (somebody else)');
}
