// Responses token by token: coloured, sorted, filtered, and one held-out prompt through the run.

const PAINTS = {
  difference: 'b \u2212 t', teacher: 'the teacher\u2019s surprise', student: 'the student\u2019s surprise', entropy: 'entropy', ratio: 'ratio', advantage: 'advantage', age: 'age of the weights',
};
/** Colours that only responses of training have, with the member that has their numbers. */
const MEASURED = { entropy: 'h', ratio: 'r', advantage: 'a' };
const ORDERS = {
  divergence: 'divergence', worst: 'worst token', reward: 'lowest reward', longest: 'longest', shortest: 'shortest', newest: 'latest step', oldest: 'earliest step', forks: 'share of forks',
};
const PAGE = 12;
const tokens = { paint: 'difference', order: 'divergence', kind: '', teacher: '', tag: '', verdict: '', from: '', to: '', text: '', prompt: null, only: null, shown: PAGE };

/** Whether an environment said a token, which nobody sampled. */
const isGiven = (sample, index) => list(sample.given).some(([start, count]) => index >= start && index < start + count);
/** b - t of a token, in nats; null where one of them is missing. */
const difference = (sample, index) => (!isGiven(sample, index) && isNumber(sample.b[index]) && isNumber(sample.t[index]) ? sample.b[index] - sample.t[index] : null);
/** What the step measured at a token: `h`, `r` or `a`; null where it was not recorded. */
const measureOf = (sample, name, index) => { const value = list(sample[name])[index]; return !isGiven(sample, index) && isNumber(value) ? value : null; };
const versionOf = (sample, index) => (sample.versions ? sample.versions[index] : sample.version);
/** Versions between the one that sampled a token and the one that was trained on it. */
const ageOf = (sample, index) => (sample.kind === 'train' && isNumber(versionOf(sample, index)) ? Math.max(0, sample.step - 1 - versionOf(sample, index)) : null);
/** What the teacher would rather have written there: texts (of some tokens ids) and log-probabilities. */
function choicesOf(sample, index) {
  const flat = list(list(sample.top)[index]), choices = [];
  for (let place = 0; place + 1 < flat.length; place += 2) choices.push([typeof flat[place] === 'number' ? `id ${flat[place]}` : JSON.stringify(flat[place]), flat[place + 1]]);
  return choices;
}
/** Whether the response leaves there what its teacher would have written; false where that is not known. */
const isFork = (sample, index) => list(sample.forks).includes(index);
const worstOf = (sample) => sample.ids.reduce((worst, _, index) => Math.max(worst, difference(sample, index) ?? -Infinity), -Infinity);
const textOf = (sample) => (sample.pieces ? sample.pieces.join('') : sample.response ?? '');

/** What is behind a token: a colour by how much of what is chosen it has. */
function paintOf(sample, index) {
  const [value, full, name] = {
    difference: () => [difference(sample, index), 3, difference(sample, index) > 0 ? '--bad' : '--good'],
    teacher: () => [isNumber(sample.t[index]) ? -sample.t[index] : null, 6, '--other'],
    student: () => [isNumber(sample.b[index]) ? -sample.b[index] : null, 6, '--other'],
    entropy: () => [measureOf(sample, 'h', index), 3, '--other'],
    ratio: () => {
      const ratio = measureOf(sample, 'r', index);
      return ratio === null ? [null] : [Math.log(Math.max(ratio, 1e-9)), Math.log(2), ratio > 1 ? '--bad' : '--good'];
    },
    advantage: () => { const value = measureOf(sample, 'a', index); return [value, 3, value < 0 ? '--bad' : '--good']; },
    age: () => [ageOf(sample, index), 8, '--other'],
  }[tokens.paint]();
  if (value === null || isGiven(sample, index)) return '';
  const share = Math.min(1, Math.abs(value) / full) ** 0.7;
  return share < 0.02 ? '' : `rgba(${colour(name)}, ${(0.75 * share).toFixed(3)})`;
}

/** A token's text with what cannot be seen made visible. */
function visible(piece) {
  if (piece === '') return [node('span', { class: 'mark' }, '\u00b7')];
  const parts = [];
  for (const part of piece.split(/(\n|\t|\r)/)) {
    if (part === '\n') parts.push(node('span', { class: 'mark' }, '\u21b5'), '\n');
    else if (part === '\t' || part === '\r') parts.push(node('span', { class: 'mark' }, part === '\t' ? '\u2192' : '\u240d'));
    else if (part !== '') parts.push(part);
  }
  return parts;
}

/** One line about a token. */
function detailOf(sample, index) {
  const parts = [`token ${index + 1} of ${sample.length} `, node('b', null, sample.pieces ? JSON.stringify(sample.pieces[index]) : `id ${sample.ids[index]}`)];
  if (sample.pieces) parts.push(` id ${sample.ids[index]}`);
  if (isGiven(sample, index)) return [...parts, ' \u00b7 the environment said it'];
  if (isNumber(sample.b[index])) parts.push(` \u00b7 student ${fixed(sample.b[index], 4)} (${percent(sample.b[index])})`);
  if (isNumber(sample.t[index])) parts.push(` \u00b7 teacher ${fixed(sample.t[index], 4)} (${percent(sample.t[index])})`);
  const gap = difference(sample, index);
  parts.push(gap === null ? ' \u00b7 b \u2212 t is not known' : ` \u00b7 b \u2212 t ${fixed(gap, 4)}`);
  const entropy = measureOf(sample, 'h', index), ratio = measureOf(sample, 'r', index), advantage = measureOf(sample, 'a', index);
  if (entropy !== null) parts.push(` \u00b7 entropy ${fixed(entropy, 4)}`);
  if (ratio !== null) parts.push(` \u00b7 ratio ${fixed(ratio, 4)}`);
  if (advantage !== null) parts.push(` \u00b7 advantage ${fixed(advantage, 4)}`);
  const choices = choicesOf(sample, index);
  if (choices.length > 0) {
    parts.push(` \u00b7 ${isFork(sample, index) ? 'a fork: ' : ''}the teacher\u2019s choices: `);
    choices.forEach(([text, logprob], place) => parts.push(place > 0 ? ', ' : '', node('b', null, text), ` ${percent(logprob)}`));
  }
  const version = versionOf(sample, index), age = ageOf(sample, index);
  if (isNumber(version)) parts.push(` \u00b7 weights ${version}${age ? `, ${age} behind` : ''}`);
  return parts;
}

function card(sample, redraw) {
  const detail = node('p', { class: 'detail', 'aria-live': 'polite' });
  const forks = new Set(list(sample.forks));
  const classOf = (index) => [isGiven(sample, index) ? 'given' : sample.pieces ? '' : 'id', forks.has(index) ? 'fork' : ''].join(' ').trim() || null;
  const marks = sample.ids.map((id, index) => node('i', { class: classOf(index), 'data-index': index, style: { background: paintOf(sample, index) } },
    sample.pieces ? visible(sample.pieces[index]) : `${id}`));
  const response = node('p', { class: 'response', tabindex: 0, role: 'group', 'aria-label': `response, ${sample.length} tokens` }, marks,
    sample.length > sample.ids.length ? node('span', { class: 'soft' }, ` \u2026 ${sample.length - sample.ids.length} more tokens`) : null);
  let now = -1;
  const show = (index) => {
    if (index < 0 || index >= marks.length) return;
    if (now >= 0) marks[now].classList.remove('now');
    now = index;
    marks[now].classList.add('now');
    detail.replaceChildren(...detailOf(sample, index).map((part) => (part instanceof Node ? part : document.createTextNode(part))));
  };
  const pointed = (event) => { const mark = event.target.closest('i[data-index]'); if (mark) show(Number(mark.dataset.index)); };
  response.addEventListener('mouseover', pointed);
  response.addEventListener('click', pointed);
  response.addEventListener('keydown', (event) => {
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: marks.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(Math.min(marks.length - 1, Math.max(0, to)));
    if (now >= 0) marks[now].scrollIntoView({ block: 'nearest' });
  });
  const facts = [node('b', null, `step ${count(sample.step)}`), sample.kind === 'evaluation' ? 'held out' : sample.kind];
  if (sample.teacher) facts.push(`teacher ${sample.teacher}`);
  for (const tag of list(sample.tags)) facts.push(`#${tag}`);
  facts.push(isNumber(sample.divergence) ? ['b \u2212 t ', node('b', null, fixed(sample.divergence, 4)), ' a token'] : 'b \u2212 t is not known');
  if (sample.passed !== undefined) facts.push(node('span', { class: sample.passed ? 'pass' : 'fail' }, `${sample.passed ? '\u2713 right' : '\u2717 wrong'}, reward ${figure(sample.reward)}`));
  if (sample.forks) facts.push(`${count(sample.forks.length)} forks`);
  facts.push(`${count(sample.length)} tokens, ${sample.finish === 'length' ? 'cut short' : sample.finish}`);
  const others = sample.kind === 'evaluation' && tokens.prompt === null
    ? node('button', { type: 'button', click: () => { Object.assign(tokens, { prompt: sample.prompt, only: null, shown: PAGE }); redraw(); } }, 'through the run') : null;
  return node('article', { class: 'card' }, node('header', null, facts.map((fact) => node('span', null, fact)), others),
    node('p', { class: 'prompt' }, sample.prompt), response,
    sample.pieces ? null : node('p', { class: 'prompt' }, sample.response ?? ''), detail);
}

function chosenSamples(samples) {
  if (tokens.only !== null) return samples.filter((sample) => sample === tokens.only);
  const wanted = tokens.text.toLowerCase();
  const chosen = samples.filter((sample) => (tokens.prompt === null || (sample.prompt === tokens.prompt && sample.kind === 'evaluation'))
    && (!tokens.kind || sample.kind === tokens.kind) && (!tokens.teacher || sample.teacher === tokens.teacher)
    && (!tokens.tag || list(sample.tags).includes(tokens.tag))
    && (!tokens.verdict || (tokens.verdict === 'none' ? sample.passed === undefined : String(sample.passed) === tokens.verdict))
    && (tokens.from === '' || sample.step >= Number(tokens.from)) && (tokens.to === '' || sample.step <= Number(tokens.to))
    && (!wanted || sample.prompt.toLowerCase().includes(wanted) || textOf(sample).toLowerCase().includes(wanted)));
  if (tokens.prompt !== null) return chosen.sort((a, b) => a.step - b.step);
  const down = (value) => (value === null || value === undefined || !Number.isFinite(value) ? Infinity : -value);
  const key = {
    divergence: (sample) => down(sample.divergence), worst: (sample) => down(worstOf(sample)), reward: (sample) => sample.reward ?? Infinity,
    longest: (sample) => -sample.length, shortest: (sample) => sample.length, newest: (sample) => -sample.step, oldest: (sample) => sample.step,
    forks: (sample) => (sample.forks ? -sample.forks.length / Math.max(1, sample.ids.length) : Infinity),
  }[tokens.order];
  const keyed = chosen.map((sample) => [key(sample), sample]);
  return keyed.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1].step - b[1].step)).map(([, sample]) => sample);
}

/** The tokens of the chosen responses that cost most, a row each. */
function expensive(samples, redraw) {
  const all = [];
  for (const sample of samples) {
    sample.ids.forEach((_, index) => { const gap = difference(sample, index); if (gap !== null && gap > 0) all.push([gap, sample, index]); });
  }
  all.sort((a, b) => b[0] - a[0]);
  if (all.length === 0) return null;
  const hasChoices = samples.some((sample) => sample.top);
  const rows = all.slice(0, 12).map(([gap, sample, index]) => [
    node('button', { type: 'button', click: () => { tokens.only = sample; redraw(); } }, `step ${count(sample.step)}`), fixed(gap, 3),
    sample.pieces ? JSON.stringify(sample.pieces[index]) : `id ${sample.ids[index]}`,
    sample.pieces ? `\u2026${sample.pieces.slice(Math.max(0, index - 8), index).join('')}` : '\u2013', percent(sample.b[index]), percent(sample.t[index]),
    ...(hasChoices ? [choicesOf(sample, index).slice(0, 1).map(([text, logprob]) => `${text} ${percent(logprob)}`)[0] ?? '\u2013'] : []),
  ]);
  return node('details', null, node('summary', null, 'the most expensive tokens of these responses'),
    table(['response', 'b \u2212 t', 'token', 'after', 'student', 'teacher', ...(hasChoices ? ['the teacher\u2019s choice'] : [])], rows));
}

function legend() {
  const shade = (name, share) => node('i', { style: { background: `rgba(${colour(name)}, ${0.75 * share ** 0.7})` } });
  if (tokens.paint === 'difference') {
    return node('span', { class: 'scale' }, '\u22123 nats', shade('--good', 1), shade('--good', 0.3), node('i', null), shade('--bad', 0.3), shade('--bad', 1), '+3: the teacher would not have written it');
  }
  if (tokens.paint === 'ratio' || tokens.paint === 'advantage') {
    const [low, high, ends] = tokens.paint === 'ratio' ? ['\u00bd', '2: likelier now than when it was sampled', ['--good', '--bad']]
      : ['\u22123: made less likely', '+3', ['--bad', '--good']];
    return node('span', { class: 'scale' }, low, shade(ends[0], 1), shade(ends[0], 0.3), node('i', null), shade(ends[1], 0.3), shade(ends[1], 1), high);
  }
  const full = { age: '8 versions', entropy: '3 nats' }[tokens.paint] ?? '6 nats';
  return node('span', { class: 'scale' }, '0', node('i', null), shade('--other', 0.3), shade('--other', 1), full);
}

function tokenControls(samples, redraw) {
  const change = (key) => (value) => { tokens[key] = value; tokens.shown = PAGE; tokens.only = null; redraw(); };
  const some = (values, all) => [['', all], ...[...new Set(values)].filter(Boolean).sort().map((value) => [value, value])];
  const box = (key, label, type) => {
    const input = node('input', { type, value: tokens[key], change: () => change(key)(input.value) });
    return node('label', null, label, input);
  };
  const prompts = new Map();
  for (const sample of samples) if (sample.kind === 'evaluation') prompts.set(sample.prompt, (prompts.get(sample.prompt) ?? 0) + 1);
  const followed = [...prompts.entries()].filter(([, times]) => times > 1).map(([prompt]) => prompt);
  const short = (prompt) => (prompt.length > 48 ? `${prompt.slice(0, 48)}\u2026` : prompt).replace(/\s+/g, ' ');
  const teachers = some(samples.map((sample) => sample.teacher), 'all'), tags = some(samples.flatMap((sample) => list(sample.tags)), 'all');
  const paints = Object.entries(PAINTS).filter(([key]) => !MEASURED[key] || key === tokens.paint || samples.some((sample) => sample[MEASURED[key]]));
  const numbers = followed.map((prompt, index) => [index, short(prompt)]);
  return node('div', { class: 'controls' },
    select('colour', paints, tokens.paint, change('paint')),
    select('sort by', Object.entries(ORDERS), tokens.order, change('order')),
    select('kind', some(samples.map((sample) => sample.kind), 'all').map(([key, text]) => [key, key === 'evaluation' ? 'held out' : text]), tokens.kind, change('kind')),
    teachers.length > 2 ? select('teacher', teachers, tokens.teacher, change('teacher')) : null,
    tags.length > 1 ? select('tag', tags, tokens.tag, change('tag')) : null,
    samples.some((sample) => sample.passed !== undefined)
      ? select('verdict', [['', 'all'], ['true', 'right'], ['false', 'wrong'], ['none', 'not judged']], tokens.verdict, change('verdict')) : null,
    box('from', 'from step', 'number'), box('to', 'to', 'number'), box('text', 'with text', 'search'),
    followed.length > 0 ? select('one held-out prompt through the run', [['', 'no'], ...numbers], followed.indexOf(tokens.prompt) < 0 ? '' : followed.indexOf(tokens.prompt),
      (value) => change('prompt')(value === '' ? null : followed[Number(value)])) : null,
    legend());
}

/** Says in a page of its watcher that there are newer responses; what is being read does not move for them. */
function newsOf(run, load) {
  const news = node('p', { class: 'soft', role: 'status' });
  const refresh = () => {
    const more = connection.live && run.samples ? (run.samples_total ?? 0) - run.samples_seen : 0;
    // Asked for before the watcher had read any of them.
    if (more > 0 && run.samples.length === 0) load();
    else if (more === 0) news.replaceChildren();
    else news.replaceChildren(`${more > 0 ? count(more) : 'Other'} new responses. `, node('button', { type: 'button', click: load }, 'show them'));
    return true;
  };
  refresh();
  return { news, refresh };
}

function showTokens(place, run, redraw, load) {
  const samples = list(run.samples), { news, refresh } = newsOf(run, load);
  place.append(news);
  if (samples.length === 0) {
    const isWaiting = connection.live && !run.samples && !run.samples_failure;
    place.append(node('p', null, isWaiting ? 'Reading the responses \u2026' : run.samples_failure
      ?? 'This run\u2019s folder has no responses: samples.jsonl is missing or empty.'));
    return refresh;
  }
  const chosen = chosenSamples(samples);
  place.append(tokenControls(samples, redraw));
  const alone = tokens.only !== null || tokens.prompt !== null;
  place.append(node('p', { class: 'soft', role: 'status' }, `${count(chosen.length)} of ${count(samples.length)} responses on this page; the run recorded ${count(run.samples_total)}. `,
    alone ? node('button', { type: 'button', click: () => { Object.assign(tokens, { only: null, prompt: null }); redraw(); } }, 'show all') : null));
  if (samples.every((sample) => !sample.pieces)) {
    place.append(node('p', { class: 'soft' }, 'This run did not record which text each token is (an older version has written it): tokens are shown by their ids, the text below.'));
  }
  const table = expensive(chosen, redraw);
  if (table) place.append(table);
  const cards = node('div', { class: 'cards' });
  const more = node('button', { type: 'button', click: () => { const from = tokens.shown; tokens.shown += PAGE; add(from); } }, 'more responses');
  const add = (from) => {
    cards.append(...chosen.slice(from, tokens.shown).map((sample) => card(sample, redraw)));
    more.hidden = tokens.shown >= chosen.length;
  };
  place.append(node('h2', null, tokens.prompt === null ? 'Responses' : 'One prompt through the run'),
    node('p', { class: 'soft' }, 'Point at a token, or walk along a response with the arrow keys, for its numbers.',
      samples.some((sample) => sample.forks) ? ' A line under a token is a fork: its teacher would rather have written another.' : ''), cards, more);
  add(0);
  return refresh;
}
