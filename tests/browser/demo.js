// A demonstration and a browser in front of it, for as long as the tests run.
import { spawn } from 'node:child_process';
import path from 'node:path';
import puppeteer from 'puppeteer-core';

const PORT = 18480;
const PATIENCE = 300_000;
export const BASE = `http://127.0.0.1:${PORT}`;

/** Starts `curbside demo`; its end is the end of the tests. */
export async function start(binary, model) {
  const options = ['demo', '--port', String(PORT), ...(model ? ['--model', model] : [])];
  const mine = () => fetch(`${BASE}/demo/state`).then((r) => r.ok).catch(() => false);
  if (await mine()) throw new Error(`something answers at ${BASE} already`);
  const demo = spawn(binary, options, { stdio: ['ignore', 'ignore', 'inherit'] });
  let ended = false;
  demo.on('exit', () => { ended = true; });
  process.on('exit', () => demo.kill());
  const until = Date.now() + PATIENCE;
  while (!ended && Date.now() < until) {
    if (await mine()) return demo;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the demonstration did not start');
}

export async function browser() {
  return puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    timeout: 120_000,
    protocolTimeout: 600_000,
    args: ['--no-sandbox', '--force-color-profile=srgb', '--font-render-hinting=none'],
  });
}

/** A page that remembers what went wrong on it: errors on the console, failed requests, requests to anybody else. */
export async function open(chromium, { width = 1440, height = 1000, scale = 1, touch = false } = {}) {
  const page = await chromium.newPage();
  await page.setViewport({ width, height, deviceScaleFactor: scale, hasTouch: touch, isMobile: touch });
  page.wrong = [];
  page.on('console', (message) => {
    if (message.type() === 'error') page.wrong.push(`console: ${message.text()} ${message.location().url ?? ''}`);
  });
  page.on('pageerror', (error) => page.wrong.push(`script: ${error.message}`));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(BASE)) page.wrong.push(`asked somebody else: ${url}`);
  });
  // Only a hang ends a wait: the machine may be busy.
  page.setDefaultTimeout(180_000);
  return page;
}

export async function visit(page, patient) {
  await page.goto(`${BASE}/${patient ? `#${patient}` : ''}`);
  if (patient) await page.evaluate((name) => { if (location.hash !== `#${name}`) location.hash = name; }, patient);
  await page.waitForFunction((name) => document.body.dataset.ready && (!name || document.body.dataset.ready === name), {}, patient ?? null);
}

/** Fires the hook of a service and waits until the server has answered. */
export async function fire(page, service, hook) {
  const selector = `[data-service="${service}"]${hook ? `[data-hook="${hook}"]` : ''}`;
  await page.click(selector);
  await answered(page);
}

export async function answered(page) {
  await page.waitForFunction(() => document.querySelector('#progress .failed') || document.getElementById('progress').textContent.includes('Answered'));
  await page.waitForFunction(() => !document.querySelector('#cards .links a[href*="/reports/"]') || !document.getElementById('report').hidden);
}

export const text = (page, selector) => page.$eval(selector, (node) => node.textContent);

export async function screenshot(page, name) {
  // What sticks to the window stands at the top of the picture.
  await page.evaluate(() => window.scrollTo({ top: 0, behavior: 'instant' }));
  await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** What a person sees of the page with that part at the top. */
export async function view(page, part, name) {
  await page.evaluate((id) => document.getElementById(id).scrollIntoView({ block: 'start', behavior: 'instant' }), part);
  await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}.png`) });
}
