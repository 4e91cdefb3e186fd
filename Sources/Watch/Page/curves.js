// Curves: what charts there are, and how one is drawn, or told in a table where the library is missing.

/** Charts in the order of the page: title, unit, and names of `metrics.jsonl` with what they are called. */
const CHARTS = [
  { title: 'Divergence from the teacher', unit: 'nats a token', curves: [['teacher_kl', 'training'], ['eval_teacher_kl', 'held out'], ['divergence', 'whole distributions']] },
  { title: 'Divergence by place in the response', unit: 'nats a token', curves: [['teacher_kl_from_0', 'from token 0'], ['teacher_kl_from_16', 'from 16'], ['teacher_kl_from_64', 'from 64'], ['teacher_kl_from_256', 'from 256'], ['teacher_kl_from_1024', 'from 1024']] },
  { title: 'Divergence by teacher', unit: 'nats a token', curves: [], named: 'teacher_kl_by_teacher/' },
  { title: 'Divergence by tag', unit: 'nats a token', curves: [], named: 'teacher_kl_by_tag/' },
  { title: 'Divergence by turn', unit: 'nats a token', curves: [], named: 'teacher_kl_by_turn/' },
  { title: 'Turns', unit: 'an episode', curves: [['turns_mean', 'training']] },
  { title: 'How episodes ended', unit: 'share', share: true, curves: [], named: 'episode_ends/' },
  { title: 'Held-out problems right', unit: 'share', share: true, curves: [['eval_pass_at_1', 'student'], ['eval_teacher_pass_at_1', 'teacher'], ['pass_rate', 'in training']] },
  { title: 'Reward', unit: 'mean', curves: [['reward_mean', 'training'], ['eval_reward_mean', 'held out']] },
  { title: 'Loss', unit: '', curves: [['loss', 'training']] },
  { title: 'Cross-entropy of given responses', unit: 'nats a token', curves: [['cross_entropy', 'training'], ['eval_cross_entropy', 'held out']] },
  { title: 'Entropy', unit: 'nats a token', curves: [['entropy', 'student'], ['teacher_entropy', 'teacher']] },
  { title: 'Tokens that the teacher would choose', unit: 'share', share: true, curves: [['teacher_choice_fraction', 'training']] },
  { title: 'Importance ratio', unit: '', curves: [['ratio_mean', 'mean'], ['ratio_max', 'largest']] },
  { title: 'Clipped tokens', unit: 'share', curves: [['clip_fraction', 'training'], ['clamp_fraction', 'log-ratios']] },
  { title: 'Tokens under another tokenizer', unit: 'share', share: true, curves: [['one_to_one_fraction', 'one token on both sides'], ['ungraded_fraction', 'without a grade']] },
  { title: 'Tokens not listed', unit: 'probability', curves: [['tail_mass', 'student'], ['teacher_tail_mass', 'teacher']] },
  { title: 'Gradient norm', unit: 'before clipping', curves: [['grad_norm', 'gradient']] },
  { title: 'Response length', unit: 'tokens', curves: [['response_length_mean', 'training'], ['eval_response_length_mean', 'held out']] },
  { title: 'Responses cut short', unit: 'share', curves: [['truncated_fraction', 'training'], ['eval_truncated_fraction', 'held out']] },
  { title: 'Staleness', unit: 'versions', curves: [['staleness_mean', 'mean'], ['staleness_max', 'largest']] },
  { title: 'Tokens a second', unit: '', curves: [['sampling_tokens_per_second', 'sampling'], ['scoring_tokens_per_second', 'scoring'], ['training_tokens_per_second', 'training']] },
  { title: 'Seconds of a step', unit: 's', curves: [['step_s', 'whole step'], ['train_s', 'training'], ['wait_rollouts_s', 'waits for rollouts'], ['wait_scores_s', 'waits for scores'], ['wait_evaluation_s', 'waits for evaluation']] },
  { title: 'Sampler against trainer', unit: 'nats', curves: [['mismatch_mean', 'mean'], ['mismatch_max', 'largest']] },
  { title: 'Learning rate', unit: '', curves: [['lr', 'rate']] },
];

const AXES = { step: 'steps', seconds: 'time', tokens: 'trained tokens', flops: 'operations' };
const view = { x: 'step', log: false, smooth: 0 };

/** The curves of a chart: those that it always has, or those that these runs have of names of their own. */
function curvesIn(chart, runs) {
  if (!chart.named) return chart.curves;
  const names = new Set(runs.flatMap((run) => Object.keys(run.series || {}).filter((name) => name.startsWith(chart.named))));
  return [...names].sort().map((name) => [name, name.slice(chart.named.length)]);
}

/** The points of a name in a run: [x, value, low, high], by x; empty where the run does not have it. */
function points(run, name, x) {
  const held = run.evaluations && Array.isArray(run.evaluations[name]);
  const ends = held ? run.evaluations.ends : run.ends;
  const curve = held ? { mean: run.evaluations[name] } : run.series && run.series[name];
  const places = ends && ends[x];
  if (!curve || !Array.isArray(places)) return { held, points: [] };
  const made = [];
  list(curve.mean).forEach((value, index) => {
    if (!isNumber(value) || !isNumber(places[index])) return;
    made.push([places[index], value, curve.low ? curve.low[index] : value, curve.high ? curve.high[index] : value]);
  });
  return { held, points: made.sort((a, b) => a[0] - b[0]) };
}

/** A running mean with weights that fall by `weight` a point, without the pull of where it began. */
function smoothed(values, weight) {
  let sum = 0, mass = 0;
  return values.map(([x, value]) => {
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return [x, sum / mass, sum / mass, sum / mass];
  });
}

/** Columns to draw: {name, colour, points, held, faint}. */
function columnsOf(curves) {
  const columns = [];
  for (const curve of curves) {
    if (curve.points.length === 0) continue;
    if (view.smooth > 0 && !curve.held) {
      columns.push({ ...curve, faint: true });
      columns.push({ ...curve, points: smoothed(curve.points, view.smooth) });
    } else {
      columns.push(curve);
    }
  }
  return columns;
}

const formatX = (x) => (view.x === 'seconds' ? duration(x) : view.x === 'step' ? count(Math.round(x)) : figure(x));

/** All columns in rows of one x. */
function rowsOf(columns, bars) {
  const rows = new Map();
  columns.forEach((column, index) => {
    for (const [x, value, low, high] of column.points) {
      if (!rows.has(x)) rows.set(x, new Array(columns.length).fill(null));
      rows.get(x)[index] = bars ? [low, value, high] : value;
    }
  });
  return [...rows.entries()].sort((a, b) => a[0] - b[0]).map(([x, values]) => [x, ...values]);
}

const graphs = [];
/** Draws what comes into sight: a page with all of its curves takes a second, and shows a few of them. */
const sight = typeof IntersectionObserver !== 'function' ? null : new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) target.dispatchEvent(new Event('sight'));
}, { rootMargin: '400px 0px' });
function clearGraphs() {
  if (sight) sight.disconnect();
  while (graphs.length > 0) graphs.pop().destroy();
}
/** On paper everything is in sight. */
window.addEventListener('beforeprint', () => { for (const plot of document.querySelectorAll('.plot')) plot.dispatchEvent(new Event('sight')); });

/** Bad steps as lines, restarts as dashed ones. */
function drawMarks(marks, canvas, area, drawn) {
  for (const mark of marks) {
    const x = drawn.toDomXCoord(mark.x);
    if (x < area.x || x > area.x + area.w) continue;
    canvas.strokeStyle = mark.kind === 'bad' ? `rgb(${colour('--bad')})` : colour('--soft');
    canvas.lineWidth = 1;
    canvas.setLineDash(mark.kind === 'bad' ? [] : [4, 3]);
    canvas.beginPath();
    canvas.moveTo(x, area.y);
    canvas.lineTo(x, area.y + area.h);
    canvas.stroke();
    canvas.setLineDash([]);
  }
}

const hasBars = (columns) => columns.some((column) => column.points.some((point) => point[2] !== point[3]));

/** How each column is drawn. */
function seriesOptions(columns) {
  return Object.fromEntries(columns.map((column, index) => [`c${index}`, {
    color: column.colour, strokeWidth: column.faint ? 0.6 : 1.8, drawPoints: column.held || column.points.length < 2,
    pointSize: 2.5, strokePattern: column.held ? [5, 3] : null, highlightCircleSize: column.faint ? 0 : 4,
  }]));
}

/**
 * A chart: its curves are [{name, colour, points, held}], its marks [{x, kind}]. To be called when `place` is in the page,
 * for the library asks how wide it is. What it returns takes newer curves and marks, and says whether it could draw them.
 */
function drawChart(place, chart, curves, marks) {
  let columns = columnsOf(curves), rows = [], chosen = null, graph = null;
  const bars = hasBars(columns), values = columns.map(() => node('b', null));
  const keys = node('ul', { class: 'keys', 'aria-live': 'off' }, columns.map((column, index) => (column.faint ? null
    : node('li', null, node('span', { class: 'swatch', style: { background: column.colour } }),
      column.name, ' ', values[index]))));
  const where = node('span', { class: 'soft' });
  const showLast = () => {
    chosen = null;
    where.textContent = chart.unit;
    columns.forEach((column, index) => { values[index].textContent = figure(column.points[column.points.length - 1][1]); });
  };
  const at = (row) => {
    if (row < 0 || row >= rows.length) return;
    chosen = row;
    where.textContent = `${AXES[view.x]} ${formatX(rows[row][0])}`;
    columns.forEach((column, index) => {
      const value = rows[row][index + 1];
      values[index].textContent = value === null ? '\u2013' : figure(bars ? value[1] : value);
    });
  };
  place.append(node('h3', null, chart.title, where), keys);
  showLast();
  const hasLibrary = typeof Dygraph === 'function';
  if (hasLibrary) {
    const plot = node('div', { class: 'plot', tabindex: 0, role: 'img',
      'aria-label': `${chart.title}; arrow keys move along it, Escape shows all of it` });
    place.append(plot);
    const draw = () => {
      if (graph) return;
      rows = rowsOf(columns, bars);
      graph = new Dygraph(plot, rows, {
        labels: ['x', ...columns.map((_, index) => `c${index}`)], series: seriesOptions(columns), legend: 'never',
        customBars: bars, connectSeparatedPoints: true, logscale: view.log, gridLineColor: colour('--line'),
        axisLineColor: colour('--line'), valueRange: chart.share && !view.log ? [0, 1.04] : null, xRangePad: 4, yRangePad: 6,
        fillAlpha: 0.18, animatedZooms: false,
        axes: { x: { axisLabelFormatter: formatX, pixelsPerLabel: 55, axisLabelWidth: 70 }, y: { axisLabelFormatter: figure, axisLabelWidth: 48 } },
        underlayCallback: (canvas, area, drawn) => drawMarks(marks, canvas, area, drawn),
        highlightCallback: (event, x, near, row) => at(row),
        unhighlightCallback: showLast,
      });
      graphs.push(graph);
    };
    plot.addEventListener('keydown', (event) => {
      draw();
      const now = chosen ?? rows.length - 1;
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: rows.length - 1, PageUp: now - 20,
        PageDown: now + 20 }[event.key];
      if (event.key === 'Escape') graph.resetZoom();
      if (to === undefined) return;
      event.preventDefault();
      const row = Math.min(rows.length - 1, Math.max(0, to));
      graph.setSelection(row);
      at(row);
    });
    plot.addEventListener('blur', () => {
      // It comes, too, when the page is drawn anew, and the graph is no more.
      if (!graphs.includes(graph)) return;
      graph.clearSelection();
      showLast();
    });
    if (sight) {
      plot.addEventListener('sight', draw);
      sight.observe(plot);
    } else {
      draw();
    }
  }
  const numbers = numbersOf(curves, !hasLibrary);
  place.append(numbers.element);
  const shapeOf = (some) => some.map((column) => `${column.name}/${Boolean(column.faint)}/${Boolean(column.held)}/${column.points.length > 1}`).join();
  return (newer, newerMarks) => {
    const next = columnsOf(newer);
    if (shapeOf(next) !== shapeOf(columns) || hasBars(next) !== bars) return false;
    columns = next;
    marks = newerMarks;
    numbers.fill(newer);
    if (graph) {
      rows = rowsOf(columns, bars);
      // What is enlarged stays so.
      graph.updateOptions({ file: rows });
    }
    if (chosen === null) showLast();
    else if (graph) graph.setSelection(chosen);
    return true;
  };
}

/** Some of the numbers of a chart, evenly chosen, the first and the last among them; made when they are looked at. */
function numbersOf(curves, isOpen) {
  const box = node('div'), element = node('details', { open: isOpen }, node('summary', null, 'numbers'), box);
  const show = () => {
    if (!element.open) return;
    const shown = curves.filter((curve) => curve.points.length > 0);
    const rows = rowsOf(shown, false), wanted = Math.min(rows.length, 12);
    const places = new Set(Array.from({ length: wanted }, (_, index) => Math.round(index * (rows.length - 1) / Math.max(1, wanted - 1))));
    const made = [...places].map((place) => [formatX(rows[place][0]), ...rows[place].slice(1).map(figure)]);
    for (const [name, of] of [['least', Math.min], ['greatest', Math.max]]) {
      made.push([name, ...shown.map((curve) => figure(curve.points.reduce((best, point) => of(best, point[of === Math.min ? 2 : 3]), curve.points[0][1])))]);
    }
    box.replaceChildren(table([AXES[view.x], ...shown.map((curve) => curve.name)], made));
  };
  element.addEventListener('toggle', show);
  show();
  return { element, fill: (newer) => { curves = newer; show(); } };
}

/** Where bad steps and restarts are on the axis that is chosen. */
function marksOf(run) {
  const places = list(run.ends && run.ends.step), xs = list(run.ends && run.ends[view.x]);
  const xOf = (step) => {
    if (view.x === 'step') return step;
    const index = places.findIndex((place) => place >= step);
    return index < 0 ? null : xs[index];
  };
  const marks = [];
  for (const bad of list(run.bad_steps && run.bad_steps.listed)) marks.push({ x: xOf(bad.step), kind: 'bad' });
  for (const restart of list(run.restarts && run.restarts.listed)) marks.push({ x: xOf(restart.step), kind: 'restart' });
  return marks.filter((mark) => isNumber(mark.x));
}

/** What is chosen for all charts of a view. */
function chartControls(runs, redraw) {
  const has = (x) => runs.some((run) => run.ends && list(run.ends[x]).some(isNumber));
  const axes = Object.entries(AXES).filter(([x]) => has(x));
  if (!axes.some(([x]) => x === view.x)) view.x = 'step';
  const smooth = node('input', { type: 'range', min: 0, max: 0.99, step: 0.01, value: view.smooth,
    change: () => { view.smooth = Number(smooth.value); redraw(); } });
  const log = node('input', { type: 'checkbox', checked: view.log, change: () => { view.log = log.checked; redraw(); } });
  return node('div', { class: 'controls' },
    select('along', axes, view.x, (x) => { view.x = x; redraw(); }),
    node('label', null, 'smoothing', smooth), node('label', null, log, 'log scale'),
    typeof Dygraph === 'function'
      ? node('span', { class: 'soft' }, 'drag to enlarge, double-click to go back')
      : node('span', { class: 'soft' }, 'The page was made without a chart library: tables in place of curves.'));
}
