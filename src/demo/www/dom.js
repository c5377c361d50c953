// Elements and requests. Text becomes text nodes only: nothing here can make markup of what a chart or a model says.

/** An element with its attributes (`on…` are listeners; `null`, `undefined` and `false` are left out) and children. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...given(children));
  return element;
}

/** Children that are there; `null`, `undefined` and `false` are left out. */
const given = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** Replaces what a section shows. */
export function show(section, ...children) {
  section.hidden = false;
  section.replaceChildren(...given(children));
}

/** The JSON at a path of this server; an error carries a sentence for people. */
export async function json(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error('The server cannot be reached. Is `curbside demo` still running?');
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(sentence(body) ?? `The server answered ${response.status}.`);
  return body;
}

export function post(path, body) {
  return json(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

/** What an OperationOutcome says. */
export function sentence(body) {
  const issue = body?.resourceType === 'OperationOutcome' ? body.issue?.[0] : null;
  return issue ? (issue.diagnostics ?? issue.details?.text ?? issue.code) : null;
}

/** A button that copies a text and says so. */
export function copier(label, text) {
  const button = el('button', {
    type: 'button',
    class: 'small',
    onclick: async () => {
      await navigator.clipboard.writeText(text());
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = label; }, 1500);
    },
  }, label);
  return button;
}
