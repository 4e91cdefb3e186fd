'use strict';
// Texts and elements. What comes from a run gets into the page through node() alone, which makes nodes of text.

/** An element: attributes, listeners as functions, children as texts or nodes. */
function node(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') made.addEventListener(name, value);
    else if (name === 'style') Object.assign(made.style, value);
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
const list = (value) => (Array.isArray(value) ? value : []);
const minus = (text) => text.replace('-', '\u2212');

/** A number for a person: four or so digits, thousands with a letter. */
function figure(value) {
  if (!isNumber(value)) return '\u2013';
  const size = Math.abs(value);
  if (size === 0) return '0';
  for (const [limit, letter] of [[1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e4, 'k']]) {
    if (size >= limit) return minus((value / (letter === 'k' ? 1e3 : limit)).toPrecision(4).replace(/\.?0+$/, '')) + letter;
  }
  if (size < 1e-4) return minus(value.toExponential(2));
  return minus(String(Number(value.toPrecision(4))));
}

/** A count with its thousands apart. */
const count = (value) => (isNumber(value) ? value.toLocaleString('en') : '\u2013');
const fixed = (value, digits) => (isNumber(value) ? minus(value.toFixed(digits)) : '\u2013');

function percent(logprob) {
  const share = 100 * Math.exp(logprob);
  if (share < 0.01) return '<0.01%';
  return (share >= 99.95 || share < 0.1 ? share.toPrecision(3) : share.toFixed(1)) + '%';
}

/** `7:12`, `3:05:10`, `2d 4h`. */
function duration(seconds) {
  if (!isNumber(seconds) || seconds < 0) return '\u2013';
  const whole = Math.round(seconds), two = (number) => String(number).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return `${Math.floor(whole / 86400)}d ${Math.floor(whole / 3600) % 24}h`;
}

/** A table in a box that scrolls; cells are texts, and numbers stand to the right. */
function table(heads, rows) {
  const cell = (tag, value) => (value instanceof Node ? node(tag, null, value)
    : node(tag, { class: typeof value === 'number' || /^[\u2212\d<-][\d.,:e\u2212+]*[kMGTP%]?$/.test(value) ? 'number' : null },
      typeof value === 'number' ? figure(value) : value ?? '\u2013'));
  return node('div', { class: 'scroll', tabindex: 0 }, node('table', null,
    node('thead', null, node('tr', null, heads.map((head) => node('th', { scope: 'col' }, head)))),
    node('tbody', null, rows.map((row) => node('tr', null, row.map((value) => cell('td', value)))))));
}

/** Puts newer nodes into a box; what scrolls in it, and has the focus, goes on so. */
function refill(box, nodes) {
  const scrolls = () => [...box.querySelectorAll('.scroll')];
  const before = scrolls(), focused = before.indexOf(document.activeElement), places = before.map((one) => one.scrollLeft);
  box.replaceChildren(...nodes.flat(2).filter((one) => one !== null && one !== undefined && one !== false));
  scrolls().forEach((one, index) => {
    if (places[index]) one.scrollLeft = places[index];
    if (index === focused) one.focus({ preventScroll: true });
  });
}

function select(label, options, value, change) {
  const box = node('select', { change: () => change(box.value) },
    options.map(([key, text]) => node('option', { value: key, selected: String(key) === String(value) }, text)));
  return node('label', null, label, box);
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const seriesColour = (index) => colour(`--c${index % 8}`);
