// The part of GitHub Flavored Markdown that cards are written in, as elements: paragraphs, headings, lists, strong, emphasis.
// HTML, links and pictures stay the text they are. <https://github.github.com/gfm/>
import { el } from './dom.js';

const ENTITIES = { '&lt;': '<', '&gt;': '>', '&amp;': '&', '&quot;': '"', '&#39;': "'" };

export function markdown(text) {
  const root = el('div', { class: 'markdown' });
  let paragraph = [];
  let lists = [];
  const flush = () => {
    if (paragraph.length) root.append(el('p', {}, inline(paragraph.join('\n'))));
    paragraph = [];
  };
  for (const line of text.split(/\r?\n/)) {
    const item = /^(\s*)(?:[-*+]|(\d+)[.)])\s+(.*)$/.exec(line);
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    if (item) {
      flush();
      const depth = item[1].length;
      while (lists.length && lists.at(-1).depth > depth) lists.pop();
      if (!lists.length || lists.at(-1).depth < depth) {
        const list = el(item[2] ? 'ol' : 'ul');
        const parent = lists.at(-1)?.list.lastElementChild ?? root;
        parent.append(list);
        lists.push({ depth, list });
      }
      lists.at(-1).list.append(el('li', {}, inline(item[3])));
    } else if (heading) {
      flush();
      lists = [];
      root.append(el('p', { class: 'heading' }, el('strong', {}, inline(heading[2]))));
    } else if (!line.trim()) {
      flush();
      lists = [];
    } else if (lists.length && /^\s/.test(line)) {
      lists.at(-1).list.lastElementChild.append(' ', ...inline(line.trim()));
    } else {
      lists = [];
      paragraph.push(line);
    }
  }
  flush();
  return root;
}

/** Text with `**strong**`, `*emphasis*`, backslash escapes and character references, as nodes. */
function inline(text) {
  const nodes = [];
  let plain = '';
  const flush = () => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = '';
  };
  for (let at = 0; at < text.length; at += 1) {
    const rest = text.slice(at);
    const entity = /^&(?:lt|gt|amp|quot|#39);/.exec(rest);
    const strong = /^\*\*(?=\S)((?:\\.|[^\\])*?)\*\*/s.exec(rest);
    const emphasis = /^([*_])(?=\S)((?:\\.|[^\\*_])+?)\1/s.exec(rest);
    if (rest[0] === '\\' && /^\\[!-/:-@[-`{-~]/.test(rest)) {
      plain += rest[1];
      at += 1;
    } else if (entity) {
      plain += ENTITIES[entity[0]];
      at += entity[0].length - 1;
    } else if (strong) {
      flush();
      nodes.push(el('strong', {}, inline(strong[1])));
      at += strong[0].length - 1;
    } else if (emphasis) {
      flush();
      nodes.push(el('em', {}, inline(emphasis[2])));
      at += emphasis[0].length - 1;
    } else {
      plain += rest[0];
    }
  }
  flush();
  return nodes;
}
