// What each process of a run did when: lanes of spans, and who waits for whom.

const STAGE_COLOURS = { 1: 0, 2: 2, 5: 5, 16: 3, 19: 4, 20: 6, 21: 5 };
const WAITING = new Set([3, 4, 17, 18]);

/** The paint of a stage; waiting is pale, what has no colour of its own paler still. */
function stageColour(stage) {
  if (WAITING.has(stage)) return colour(stage === 4 || stage === 18 ? '--wait-weights' : '--wait');
  return Object.hasOwn(STAGE_COLOURS, stage) ? seriesColour(STAGE_COLOURS[stage]) : colour('--line');
}

/** The name of SVG's elements, in pieces: a page has no address of anything elsewhere, and this looks like one. */
const SVG = ['http:', '', 'www.w3.org', '2000', 'svg'].join('/');

/** An element of a drawing; attributes alone, no markup. */
function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

const secondsText = (value) => (value < 1 ? `${fixed(1000 * value, value < 0.01 ? 1 : 0)} ms` : `${fixed(value, 1)} s`);

/** What a lane did, longest first, in words: `sampling 71.2%, waiting for work 28.8%`. */
function laneText(lane, names) {
  const sum = list(lane.totals).reduce((sum, [, value]) => sum + value, 0);
  return list(lane.totals).slice().sort((a, b) => b[1] - a[1]).map(([stage, value]) => `${names[stage]} ${fixed(100 * value / sum, 1)}%`).join(', ');
}

function laneDrawing(lane, spans, names) {
  const width = Math.max(spans.seconds, 0.001);
  const drawing = shape('svg', { viewBox: `0 0 ${width} 1`, preserveAspectRatio: 'none', role: 'img', class: 'lane', 'aria-label': `${lane.name}: ${laneText(lane, names)}` });
  for (const [stage, begin, length] of list(lane.spans)) {
    if (!isNumber(begin) || !isNumber(length)) continue;
    const title = shape('title', {}, `${names[stage] || stage}, ${secondsText(length)}, at ${fixed(begin, 2)} s`);
    drawing.append(shape('rect', { x: begin, y: WAITING.has(stage) ? 0.35 : 0, width: length, height: WAITING.has(stage) ? 0.3 : 1, fill: stageColour(stage) }, title));
  }
  return drawing;
}

function timelineParts(run) {
  const spans = run.spans;
  if (!spans || list(spans.lanes).length === 0) return [node('p', null, 'This run has recorded no spans yet, or was recorded by an older version.')];
  const names = spans.stages || {}, lanes = list(spans.lanes);
  const seen = [...new Set(lanes.flatMap((lane) => list(lane.spans).map(([stage]) => stage)))].sort((a, b) => a - b);
  const clock = (seconds) => new Date(1000 * (spans.from + seconds)).toLocaleTimeString('en-GB');
  return [
    node('h2', null, 'Timeline'),
    node('p', { class: 'soft' }, `The last ${secondsText(spans.seconds)} that were recorded, by the learner's clock. Thin, pale stretches are waits; a gap is time of which nothing is known.`),
    node('div', { class: 'timeline' }, lanes.flatMap((lane) => [node('span', { class: 'lane-name', title: lane.role }, lane.name), laneDrawing(lane, spans, names)]),
      node('span'), node('div', { class: 'lane-times' }, [0, 0.5, 1].map((part) => node('span', null, clock(part * spans.seconds))))),
    node('ul', { class: 'keys' }, seen.map((stage) => node('li', null, node('span', { class: 'swatch', style: { background: stageColour(stage) } }), names[stage] || String(stage)))),
    node('h2', null, 'Who waits for whom'),
    node('p', { class: 'soft' }, `Shares of each process's recorded time, over ${duration(spans.whole)}.`),
    node('div', { class: 'halves' }, lanes.filter((lane) => lane.name !== 'checkpoints').map((lane) => node('div', { class: 'panel' }, node('h3', null, lane.name),
      stack(list(lane.totals).map(([stage, value]) => [names[stage] || String(stage), value, stageColour(stage)]), 0, duration)))),
    node('h2', null, 'Clocks and waits'),
    table(['process', 'recorded', 'waiting', 'clock known to'], lanes.map((lane) => {
      const sum = list(lane.totals).reduce((sum, [, value]) => sum + value, 0);
      const waits = list(lane.totals).reduce((sum, [stage, value]) => sum + (WAITING.has(stage) ? value : 0), 0);
      return [lane.name, duration(sum), `${fixed(sum > 0 ? 100 * waits / sum : 0, 1)}%`, lane.round_trip_s > 0 ? `\u00b1${secondsText(lane.round_trip_s / 2)}` : '\u2013'];
    })),
  ];
}

function showStages(place, run, isLive) {
  const lanes = node('div', { id: 'timeline' }), members = node('div');
  place.append(lanes, members);
  // What did not change is not drawn again: it may be read, or pointed at.
  let drawn;
  const refresh = () => {
    if (drawn !== run.spans || drawn === undefined) {
      drawn = run.spans;
      if (!run.endpoint) refill(lanes, timelineParts(run));
    }
    if (isLive) refill(members, statusParts(run));
    return true;
  };
  refresh();
  return refresh;
}
