// Markdown of a card as elements. Links, pictures and HTML stay the text they are. <https://github.github.com/gfm/>
import { el } from './dom.js';
import { lexer } from './marked.esm.js';

/** Of the kinds of token that become an element, which. All others are shown as they are written. */
const ELEMENTS = { paragraph: 'p', blockquote: 'blockquote', strong: 'strong', em: 'em', del: 's', list_item: 'li' };
const ENTITIES = { lt: '<', gt: '>', amp: '&', quot: '"', '#39': "'" };

export function markdown(text) {
  return el('div', { class: 'markdown' }, lexer(text).map(node));
}

function node(token) {
  const inside = () => (token.tokens ?? []).map(node);
  switch (token.type) {
    case 'space': return null;
    case 'br': return el('br');
    case 'hr': return el('hr');
    case 'escape': return token.text;
    case 'codespan': return el('code', {}, token.text);
    case 'code': return el('pre', {}, token.text);
    case 'heading': return el('p', { class: 'heading' }, el('strong', {}, inside()));
    case 'list': return el(token.ordered ? 'ol' : 'ul', token.ordered && token.start !== 1 ? { start: token.start } : {}, token.items.map(node));
    case 'text': return token.tokens ? inside() : plain(token.text);
    default: return ELEMENTS[token.type] ? el(ELEMENTS[token.type], {}, inside()) : plain(token.raw);
  }
}

/** What is written with character references, as text. */
function plain(text) {
  return text.replace(/&(lt|gt|amp|quot|#39);/g, (_, name) => ENTITIES[name]);
}
