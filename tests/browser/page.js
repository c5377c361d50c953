// The demonstration's page as a person meets it. Each check prints one line; the first that fails ends the run.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { BASE, answered, browser, fire, open, screenshot, start, text, view, visit } from './demo.js';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [, , binary, model] = process.argv;

const demo = await start(binary, model);
const chromium = await browser();
const checks = [];
// ONLY: a pattern of the names of the checks to run.
const check = (name, run) => new RegExp(process.env.ONLY ?? '').test(name) && checks.push([name, run]);

/** What axe-core finds of serious weight. It is run from outside the page, whose policy lets no foreign script in. */
async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = found.violations.filter((v) => ['serious', 'critical'].includes(v.impact));
  assert.deepEqual(grave.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join('; ')}`), [], name);
}

const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);

async function fail(page, part, how) {
  await page.evaluate(() => { document.getElementById('faults').open = true; });
  await page.select(`#fault-${part}`, how);
  await page.waitForFunction((p, h) => fetch('/demo/state').then((r) => r.json()).then((s) => s.faults[p] === h), {}, part, how);
}

async function mend(page) {
  await page.evaluate(() => { document.getElementById('faults').open = true; });
  await page.click('#fault-none');
  await page.waitForFunction(() => fetch('/demo/state').then((r) => r.json()).then(({ faults, engine }) => Object.values(faults).every((how) => how === 'works') && engine.status === 'ready'));
}

check('the library that the page reads Markdown with is the one published', async () => {
  const published = await readFile(createRequire(import.meta.url).resolve('marked'), 'utf8');
  assert.equal(await fetch(`${BASE}/demo/marked.esm.js`).then((r) => r.text()), published);
});

check('while the model loads the page is there, says so, and services without a model answer', async () => {
  const page = await open(chromium);
  await visit(page, 'demo');
  const engine = await text(page, '#engine');
  assert.match(engine, /^Model: (loading|not to be asked just now|ready)/);
  await fire(page, 'chart-summary');
  assert.equal(await page.$$eval('#cards .card', (cards) => cards.length), 1);
  await screenshot(page, '01-first-sight');
  await accessible(page, 'first sight');
  assert.deepEqual(page.wrong, []);
  await page.close();
  return engine;
});

check('the model becomes ready', async () => {
  const until = Date.now() + 300_000;
  for (;;) {
    const { engine } = await fetch(`${BASE}/demo/state`).then((r) => r.json());
    if (engine.status === 'ready') return engine.model.name;
    assert.ok(['loading', 'degraded'].includes(engine.status) && Date.now() < until, `${engine.status} ${engine.says}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
});

check('every patient loads without a fault', async () => {
  const page = await open(chromium);
  const { patients } = await fetch(`${BASE}/demo/patients`).then((r) => r.json());
  for (const { name, about } of patients) {
    await visit(page, name);
    assert.ok(about, name);
    assert.equal(await page.$eval('[aria-current="page"]', (link) => link.dataset.patient), name);
    // The one patient whose film no file holds.
    const absent = page.wrong.filter((w) => name === 'missing-film' && w.includes('/demo/films/'));
    assert.deepEqual(page.wrong.filter((w) => !absent.includes(w)), [], name);
    page.wrong.length = 0;
  }
  assert.match(await page.evaluate(() => document.title), /curbside/);
  await page.close();
  return `${patients.length} patients`;
});

check('the main path: an order is signed, the card comes, the report is tied to films and chart', async () => {
  const page = await open(chromium);
  await visit(page, 'demo');
  await fire(page, 'imaging-draft-report');
  assert.ok((await text(page, '#cards .indicator')).length > 0);
  const statements = await page.$$('#report .statement');
  assert.ok(statements.length > 0, 'no statement');
  await page.click('#report .statement button');
  const lit = await page.evaluate(() => ({
    evidence: document.querySelectorAll('#report .evidence .lit').length,
    films: document.querySelectorAll('figure.lit').length,
  }));
  assert.ok(lit.evidence > 0 && lit.films > 0, JSON.stringify(lit));
  await screenshot(page, '02-answer');
  await view(page, 'report', '02-view');
  // The other way: a piece of evidence shows which statements rest on it.
  await page.$$eval('#report .evidence li', (items) => items.find((item) => item.querySelector('small'))?.querySelector('button').click());
  assert.ok(await page.$('#report .statement.lit'), 'no statement is marked');
  const stages = await page.$$eval('#progress th', (cells) => cells.map((cell) => cell.textContent));
  assert.deepEqual(stages, ['chart', 'films', 'queue', 'model', 'draft', 'store']);
  const wire = await text(page, '#wire');
  assert.ok(wire.includes('"fhirAuthorization"') && wire.includes('server-timing') && wire.includes('curl'));
  await page.$$eval('#wire details', (all) => all.forEach((one) => { one.open = true; }));
  await screenshot(page, '03-over-the-wire');
  await accessible(page, 'answer');
  assert.deepEqual(page.wrong, []);
  await page.close();
  return stages.join(' ');
});

check('each button is a service of the discovery, and each answers', async () => {
  const page = await open(chromium);
  await visit(page, 'opacity-fever');
  const { services } = await fetch(`${BASE}/cds-services`).then((r) => r.json());
  const buttons = await page.$$eval('[data-service]', (all) => all.map((b) => [b.dataset.service, b.dataset.hook]));
  const named = (pairs) => pairs.map((pair) => pair.join(' on ')).sort();
  assert.deepEqual(named(buttons), named(services.map((s) => [s.id, s.hook])));
  for (const [service, hook] of buttons) {
    await fire(page, service, hook);
    assert.match(await text(page, '#progress'), /Answered 200/, service);
  }
  assert.deepEqual(page.wrong, []);
  await page.close();
  return buttons.map(([service]) => service).join(' ');
});

check('a rule answers without a model, and what it suggests changes nothing here', async () => {
  const page = await open(chromium);
  await visit(page, 'penicillin-allergy');
  await fire(page, 'order-checks', 'order-sign');
  assert.match(await text(page, '#cards .source'), /no AI/);
  const summary = await text(page, '#cards h4');
  assert.match(summary, /Allergy: .*amoxicillin/i);
  await page.click('#cards .suggestion button');
  assert.match(await text(page, '#cards .told'), /delete: .*This demonstration changes no record/);
  assert.ok(await page.$('#cards .overrides option:nth-child(2)'), 'no reason for not following it');
  await screenshot(page, '05-rule');
  await view(page, 'cards', '05-rule-view');
  await accessible(page, 'rule');
  assert.deepEqual(page.wrong, []);
  await page.close();
  return summary;
});

check('an answer in Korean', async () => {
  const page = await open(chromium);
  await visit(page, 'korean');
  await page.select('#language', 'ko');
  await fire(page, 'imaging-draft-report');
  assert.equal(await page.$eval('#cards .card', (card) => card.lang), 'ko');
  await screenshot(page, '04-korean');
  await view(page, 'cards', '04-korean-view');
  assert.deepEqual(page.wrong, []);
  await page.close();
});

check('what a note orders is shown as text and does nothing', async () => {
  const page = await open(chromium);
  await visit(page, 'instructing-note');
  assert.match(await text(page, '#chart'), /Ignore all previous instructions/);
  await fire(page, 'imaging-draft-report');
  const summary = await text(page, '#cards h4');
  assert.match(summary, /opacity, right/i, 'the note wants a normal film');
  await screenshot(page, '06-instructing-note');
  assert.deepEqual(page.wrong, []);
  await page.close();
  return summary;
});

check('what cannot be read, or is no film of an archive, is told', async () => {
  const page = await open(chromium);
  const told = {
    'missing-film': /No AI draft: no film of the study could be read: the archive did not find it/,
    'other-patient-film': /No AI draft: no film of the study could be read: the film belongs to another patient/,
    'real-film': /No AI draft: the loaded model cannot read such a film/,
    'media-film': /AI draft to review/,
    'demo-two': /No card: the service has nothing to say here/,
  };
  for (const [at, [name, words]] of Object.entries(told).entries()) {
    await visit(page, name);
    await fire(page, 'imaging-draft-report');
    assert.match(await text(page, '#cards'), words, name);
    await screenshot(page, `07-${at}-${name}`);
  }
  await page.close();
});

check('an answer never stands under another patient', async () => {
  const page = await open(chromium);
  await visit(page, 'demo');
  await fail(page, 'engine', 'slow');
  await page.click('[data-service="imaging-draft-report"]');
  await page.waitForFunction(() => fetch('/demo/state').then((r) => r.json()).then((s) => s.engine.taken > 0));
  await visit(page, 'normal-film');
  await mend(page);
  await page.waitForFunction(() => fetch('/demo/state').then((r) => r.json()).then((s) => s.engine.taken === 0));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const shown = await page.$$eval('#progress, #cards, #report, #wire', (all) => all.filter((one) => !one.hidden).map((one) => one.id));
  assert.deepEqual(shown, []);
  // Of two choices the later one counts, whichever answer comes first.
  await page.evaluate(() => { location.hash = '#demo'; location.hash = '#korean'; });
  await page.waitForFunction(() => document.body.dataset.ready === 'korean');
  assert.equal(await page.$eval('[aria-current="page"]', (link) => link.dataset.patient), 'korean');
  assert.match(await text(page, '#patient'), /MRN-korean/);
  await page.close();
});

check('by keyboard alone', async () => {
  const page = await open(chromium);
  await visit(page, 'effusion-prior');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.dataset.service === 'imaging-draft-report')) break;
  }
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus is not seen');
  await page.keyboard.press('Enter');
  await answered(page);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'cards-title');
  await page.focus('canvas');
  const pixels = () => page.$eval('canvas', (canvas) => canvas.toDataURL().length + canvas.toDataURL().slice(-2000));
  const seen = new Set([await pixels()]);
  for (const key of ['+', 'ArrowLeft', ']', '.', 'i']) {
    await page.keyboard.press(key);
    seen.add(await pixels());
  }
  assert.equal(seen.size, 6, 'a key changed nothing');
  await page.keyboard.press('0');
  assert.ok(seen.has(await pixels()), 'reset is not the start');
  assert.deepEqual(page.wrong, []);
  await page.close();
});

check('on a phone, at 200 %, in the dark', async () => {
  const phone = await open(chromium, { width: 360, height: 740, scale: 2, touch: true });
  await visit(phone, 'demo');
  assert.ok(await fits(phone), 'the page is wider than 360 px');
  await fire(phone, 'imaging-draft-report');
  assert.ok(await fits(phone), 'the answer is wider than 360 px');
  await screenshot(phone, '08-phone');
  await accessible(phone, 'phone');
  await phone.close();

  const large = await open(chromium, { width: 640, height: 500, scale: 2 });
  await visit(large, 'demo');
  await fire(large, 'imaging-draft-report');
  assert.ok(await fits(large), 'at 200 % the page is wider than the window');
  await screenshot(large, '09-200-percent');
  await large.close();

  const dark = await open(chromium);
  await dark.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }, { name: 'prefers-reduced-motion', value: 'reduce' }]);
  await visit(dark, 'demo');
  await fire(dark, 'imaging-draft-report');
  await dark.click('#report .statement button');
  await screenshot(dark, '10-dark');
  await accessible(dark, 'dark');
  await dark.close();
});

check('each failure is told in plain words, and passes', async () => {
  const page = await open(chromium);
  await visit(page, 'demo');
  const told = [];
  const failures = [
    ['ehr', 'error', 'imaging-draft-report', /No card/], ['ehr', 'garbage', 'chart-summary', /No card/], ['ehr', 'silent', 'chart-summary', /No card/],
    ['pacs', 'error', 'imaging-draft-report', /No AI draft: .*the archive failed/], ['pacs', 'missing', 'imaging-draft-report', /No AI draft: .*did not find it/],
    ['pacs', 'silent', 'imaging-draft-report', /No AI draft: .*did not answer in time/],
    ['engine', 'busy', 'imaging-draft-report', /refused at once/], ['engine', 'loading', 'imaging-draft-report', /refused at once/],
    ['engine', 'broken', 'imaging-draft-report', /No model is running/], ['engine', 'late', 'imaging-draft-report', /not ready in time/],
    ['engine', 'slow', 'imaging-draft-report', /The card/], ['engine', 'dies', 'imaging-draft-report', /The card/],
  ];
  for (const [part, how, service, words] of failures) {
    await fail(page, part, how);
    await page.waitForFunction((which) => document.getElementById('engine').textContent.includes(which) && document.getElementById('engine').dataset.status === 'amiss', {}, part === 'engine' ? 'Model' : part.toUpperCase());
    await fire(page, service);
    const said = await text(page, '#cards');
    assert.match(said, words, `${part} ${how}: ${said}`);
    told.push(`${part} ${how}: ${said.replace(/\s+/g, ' ').slice(0, 140)}`);
    await screenshot(page, `11-${part}-${how}`);
    if (part === 'engine' && how === 'busy') await accessible(page, 'failure');
    await mend(page);
  }
  await fire(page, 'imaging-draft-report');
  assert.match(await text(page, '#cards'), /The card/);
  await page.close();
  return `\n    ${told.join('\n    ')}`;
});

check('progress is the server’s own', async () => {
  const page = await open(chromium);
  await visit(page, 'demo');
  await fail(page, 'engine', 'slow');
  await page.click('[data-service="imaging-draft-report"]');
  await page.waitForFunction(() => document.querySelector('#progress .working')?.textContent.includes('the model reads and writes'));
  await screenshot(page, '12-working');
  await answered(page);
  await mend(page);
  await page.close();
});

check('nothing foreign or inline runs', async () => {
  const page = await open(chromium);
  await visit(page, 'demo');
  const ran = await page.evaluate(async () => {
    const script = document.createElement('script');
    try { script.textContent = 'window.ran = true'; } catch { /* refused already */ }
    document.head.append(script);
    const violated = new Promise((resolve) => document.addEventListener('securitypolicyviolation', (event) => event.effectiveDirective === 'connect-src' && resolve(true)));
    await fetch('http://127.0.0.1:9/').catch(() => {});
    const refused = await Promise.race([violated, new Promise((resolve) => setTimeout(resolve, 5000, false))]);
    let made = false;
    try { document.body.insertAdjacentHTML('beforeend', '<b id="made"></b>'); made = true; } catch { /* refused */ }
    return { ran: window.ran === true, refused, made };
  });
  assert.deepEqual(ran, { ran: false, refused: true, made: false });
  const policy = (await fetch(`${BASE}/`)).headers.get('content-security-policy');
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
  assert.ok(!/unsafe/.test(policy));
  await page.close();
});

let code = 0;
for (const [name, run] of checks) {
  const started = Date.now();
  try {
    const said = await run();
    console.log(`ok  ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)${said ? `: ${said}` : ''}`);
  } catch (error) {
    console.log(`FAILED  ${name}: ${error.stack}`);
    for (const [at, page] of (await chromium.pages()).entries()) {
      const picture = page.screenshot({ path: `${process.env.SCREENSHOTS}/failed-${at}.png` }).catch(() => {});
      await Promise.race([picture, new Promise((resolve) => setTimeout(resolve, 20_000))]);
    }
    code = 1;
    break;
  }
}
demo.kill('SIGTERM');
await Promise.race([chromium.close(), new Promise((resolve) => setTimeout(resolve, 20_000))]);
console.log(code ? 'the page was found wanting' : `all is well; screenshots are in ${process.env.SCREENSHOTS}`);
process.exit(code);
