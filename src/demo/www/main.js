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
    if (!location.hash) section('about').open = true;
    await open(named() ?? list.first, false);
  } catch (error) {
    show(section('patient'), el('h2', { id: 'patient-title' }, 'The page could not be loaded'), el('p', { role: 'alert', class: 'failed' }, error.message));
  }
}

async function open(name, byHand) {
  forget();
  for (const link of document.querySelectorAll('[data-patient]')) {
    if (link.dataset.patient === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const patient = await json(`/demo/patients/${encodeURIComponent(name)}`);
  chosen = patient;
  const story = stories.find((s) => s.name === name);
  showPatient(section('patient'), patient, story);
  showOrders(section('orders'), patient);
  showChart(section('chart'), patient);
  showServices(patient, services, questions, () => language.value);
  section('list').open = !narrow.matches;
  if (byHand) document.getElementById('patient-title').focus();
  await showFilms(section('films'), patient);
  document.body.dataset.ready = name;
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
