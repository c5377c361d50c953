// Cards as an EHR shows them. <https://cds-hooks.hl7.org/2.0/#card-attributes>
import { el, show } from './dom.js';
import { markdown } from './markdown.js';

const INDICATORS = { info: 'Information', warning: 'Warning', critical: 'Critical' };

export function showCards(section, cards, language) {
  show(section,
    el('h3', { id: 'cards-title', tabindex: '-1' }, cards.length === 1 ? 'The card' : 'The cards'),
    cards.length
      ? cards.map((card) => cardOf(card, language))
      : el('p', { class: 'nothing' }, 'No card: the service has nothing to say here, for example because the order is not one it answers to. An EHR shows nothing.'));
}

function cardOf(card, language) {
  const indicator = Object.hasOwn(INDICATORS, card.indicator) ? card.indicator : 'info';
  return el('article', { class: `card ${indicator}`, lang: language },
    el('p', { class: 'indicator', lang: 'en' }, INDICATORS[indicator]),
    el('h4', {}, card.summary),
    card.detail && markdown(card.detail),
    el('p', { class: 'source' }, el('span', { lang: 'en' }, 'Source: '), address(card.source?.url)
      ? el('a', { href: card.source.url, rel: 'noreferrer', target: '_blank' }, card.source.label)
      : card.source?.label ?? 'not stated'),
    Boolean(card.links?.length) && el('ul', { class: 'links' }, card.links.map((link) =>
      el('li', {}, address(link.url)
        ? el('a', { href: link.url, rel: 'noreferrer', target: '_blank' }, link.label)
        : link.label))),
    suggestions(card),
    overrides(card));
}

function suggestions(card) {
  if (!card.suggestions?.length) return null;
  return el('div', { class: 'suggestions' },
    el('p', { lang: 'en' }, card.selectionBehavior === 'at-most-one' ? 'Suggestions, at most one:' : 'Suggestions:'),
    card.suggestions.map((suggestion) => {
      const told = el('p', { role: 'status', class: 'told', lang: 'en' });
      return el('div', { class: 'suggestion' },
        el('button', {
          type: 'button',
          onclick: () => {
            told.textContent = `An EHR would now do this: ${(suggestion.actions ?? []).map((a) => `${a.type}: ${a.description}`).join('; ') || 'nothing further'}. This demonstration changes no record.`;
          },
        }, suggestion.label, suggestion.isRecommended ? ' (recommended)' : ''), told);
    }));
}

function overrides(card) {
  if (!card.overrideReasons?.length) return null;
  return el('label', { class: 'overrides' }, el('span', { lang: 'en' }, 'Reason for not following it: '),
    el('select', {}, el('option', { value: '' }, '–'),
      card.overrideReasons.map((reason) => el('option', { lang: 'en', value: reason.code ?? '' }, reason.display ?? reason.code))));
}

/** Whether it is an address a page may link to. */
function address(url) {
  return typeof url === 'string' && /^https?:\/\//.test(url);
}
