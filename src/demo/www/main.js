// The page: a list of patients, and for the one chosen the chart, the films, the orders and what curbside answers.
import { el, json, show } from './dom.js';
import { forget, showServices } from './ask.js';
import { showChart, showOrders, showPatient } from './chart.js';
import { listen, showState } from './faults.js';
import { showFilms } from './films.js';

const POLL = 2000;
const language = document.getElementById('language');
const section = (id) => document.getElementById(id);
let stories = [];
let chosen = null;
/** Of the patient that is being opened, and of no earlier one. */
let opening = null;
let services = [];
let questions = {};

/** Where a list and a patient do not fit side by side, the list is open only until one is chosen. */
const narrow = window.matchMedia('(max-width: 48rem)');

async function start() {
  listen();
  watch();
  try {
    const [list, discovery, closed] = await Promise.all([json('/demo/patients'), json('/cds-services'), json('/demo/questions')]);
    stories = list.patients;
    services = discovery.services;
    questions = closed;
    section('patients').replaceChildren(...stories.map((story) =>
      el('li', {}, el('a', { href: `#${story.name}`, 'data-patient': story.name },
        el('strong', {}, story.title), el('span', {}, story.about)))));
    const named = () => stories.find((story) => `#${story.name}` === location.hash)?.name;
    // Other anchors, such as that of the skip link, choose nobody.
    window.addEventListener('hashchange', () => named() && open(named(), true));
    document.addEventListener('faults', () => chosen && showFilms(section('films'), chosen));
    await open(named() ?? list.first, false);
  } catch (error) {
    failed('The page could not be loaded', error);
  }
}

/** Opens a patient; one chosen meanwhile takes its place. */
async function open(name, byHand) {
  const mine = (opening = {});
  forget();
  chosen = null;
  for (const link of document.querySelectorAll('[data-patient]')) {
    if (link.dataset.patient === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  let patient;
  try {
    patient = await json(`/demo/patients/${encodeURIComponent(name)}`);
  } catch (error) {
    if (opening === mine) failed('The patient could not be loaded', error);
    return;
  }
  if (opening !== mine) return;
  chosen = patient;
  const story = stories.find((s) => s.name === name);
  showPatient(section('patient'), patient, story);
  showOrders(section('orders'), patient);
  showChart(section('chart'), patient);
  showServices(patient, services, questions, () => language.value);
  section('list').open = !narrow.matches;
  if (byHand) document.getElementById('patient-title').focus();
  await showFilms(section('films'), patient);
  if (opening === mine) document.body.dataset.ready = name;
}

/** Says so in place of a patient, and shows nobody else's chart under it. */
function failed(title, error) {
  show(section('patient'), el('h2', { id: 'patient-title', tabindex: '-1' }, title), el('p', { role: 'alert', class: 'failed' }, error.message));
  for (const id of ['orders', 'services', 'films', 'chart']) section(id).replaceChildren();
}

/** How the server is, for as long as the page is open. */
async function watch() {
  try {
    showState(await json('/demo/state'));
  } catch (error) {
    section('engine').textContent = error.message;
    section('engine').dataset.status = 'amiss';
  }
  setTimeout(watch, POLL);
}

start();
