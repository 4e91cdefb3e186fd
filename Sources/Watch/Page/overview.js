// The overview of one run, and the comparison of several.

function tile(label, value, more) {
  return node('div', { class: 'tile' }, node('span', null, label), node('b', null, value), more ? node('span', null, more) : null);
}

/** The first and last value of a name, as `opd inspect` writes them; null where the run has none. */
const found = (run, name) => (run.last && run.last[name] ? run.last[name] : null);

function tiles(run) {
  const made = [];
  const done = run.steps_done ?? 0;
  made.push(tile('steps', run.steps_wanted === undefined ? count(done) : `${count(done)} of ${count(run.steps_wanted)}`, timeText(run)));
  for (const [label, name] of [['held-out KL', 'eval_teacher_kl'], ['held-out right', 'eval_pass_at_1'], ['held-out loss', 'eval_cross_entropy'], ['training KL', 'teacher_kl'], ['reward', 'reward_mean'], ['loss', 'loss']]) {
    const range = found(run, name);
    if (!range || made.length > 4) continue;
    const teacher = name === 'eval_pass_at_1' ? found(run, 'eval_teacher_pass_at_1') : null;
    const before = range.first.step === range.last.step ? `at step ${count(range.last.step)}`
      : `${range.first.text} at step ${count(range.first.step)}`;
    made.push(tile(label, range.last.text, teacher ? `${before}; the teacher ${teacher.last.text}` : before));
  }
  const bad = run.bad_steps ? run.bad_steps.total : 0, restarts = run.restarts ? run.restarts.total : 0;
  made.push(tile('bad steps', count(bad), `${count(restarts)} ${restarts === 1 ? 'restart' : 'restarts'} of the learner`));
  if (run.flops) {
    const all = run.flops.sampling + run.flops.scoring + run.flops.training;
    made.push(tile('operations', figure(all), `${figure(run.flops.training)} of them in training`));
  }
  return node('div', { class: 'tiles' }, made);
}

function timeText(run) {
  const seconds = list(run.ends && run.ends.seconds);
  if (seconds.length === 0) return null;
  const spent = seconds[seconds.length - 1], steps = list(run.ends.step);
  const text = `${duration(spent)} in its steps`;
  const left = (run.steps_wanted ?? 0) - (run.steps_done ?? 0);
  const back = Math.max(0, steps.length - 11), pace = (spent - seconds[back]) / (steps[steps.length - 1] - steps[back]);
  return left > 0 && isNumber(pace) ? `${text}, about ${duration(left * pace)} left` : text;
}

/** Parts of a whole as one bar: [[name, value, colour]]; without `format` their shares alone are told. */
function stack(parts, whole, format) {
  const sum = parts.reduce((sum, [, value]) => sum + value, 0), all = Math.max(whole, sum);
  if (!(all > 0)) return node('p', { class: 'soft' }, 'nothing yet');
  return [
    node('div', { class: 'stack', role: 'img', 'aria-label': parts.map(([name, value]) => `${name} ${fixed(100 * value / all, 1)}%`).join(', ') },
      parts.map(([, value, paint]) => node('div', { style: { width: `${100 * value / all}%`, background: paint } }))),
    node('ul', { class: 'keys' }, parts.map(([name, value, paint]) => node('li', null,
      node('span', { class: 'swatch', style: { background: paint } }), name, ' ', format ? [node('b', null, format(value)), ' '] : null,
      `${format ? '(' : ''}${fixed(100 * value / all, 1)}%${format ? ')' : ''}`))),
  ];
}

function ledger(run) {
  if (!run.ledger) return null;
  const { generated, trained, discarded, in_flight: flight } = run.ledger;
  const rest = generated - trained - discarded - flight;
  const parts = [['trained', trained, seriesColour(2)], ['discarded', discarded, seriesColour(1)], ['in flight', flight, seriesColour(0)]];
  if (rest > 0) parts.push(['not accounted for', rest, `rgb(${colour('--bad')})`]);
  return node('div', { class: 'panel' }, node('h3', null, 'Tokens'), stack(parts, generated, count),
    node('p', { class: 'soft' }, `${count(generated)} generated = ${count(trained)} trained + ${count(discarded)} discarded + ${count(flight)} in flight`,
      rest === 0 ? '' : ' \u2013 which does not add up: the file is damaged'));
}

/** Where the learner's time went, over all steps. */
function times(run) {
  const sum = (name) => list(run.series && run.series[name] && run.series[name].mean).reduce((sum, value) => sum + (value ?? 0), 0);
  const whole = sum('step_s');
  if (!(whole > 0)) return null;
  const parts = [['training', 'train_s', 2], ['waits for rollouts', 'wait_rollouts_s', 1], ['waits for scores', 'wait_scores_s', 3], ['waits for evaluation', 'wait_evaluation_s', 5]]
    .map(([name, key, index]) => [name, sum(key) / whole, seriesColour(index)]);
  const rest = 1 - parts.reduce((sum, part) => sum + part[1], 0);
  if (rest > 0) parts.push(['else', rest, colour('--soft')]);
  return node('div', { class: 'panel' }, node('h3', null, 'The learner\u2019s time'),
    stack(parts.filter((part) => part[1] > 0), 1),
    node('p', { class: 'soft' }, 'shares of a step, over all steps: who waits for whom'));
}

function events(run) {
  const bad = list(run.bad_steps && run.bad_steps.listed), restarts = list(run.restarts && run.restarts.listed);
  if (bad.length + restarts.length === 0) return null;
  const rows = [...bad.map((step) => [step.step, ['bad step', step.why]]),
    ...restarts.map((step) => [step.step, ['restart', `went on from step ${step.step}, ${step.time}`]])]
    .sort((a, b) => a[0] - b[0]).map(([step, [what, why]]) => [count(step), what, why]);
  return [node('h2', null, 'Bad steps and restarts'),
    node('p', { class: 'soft' }, 'In the charts a bad step is a line, a restart a dashed one.'), table(['step', 'what', 'why'], rows)];
}

function absent(run, missing) {
  const notes = [...list(run.notes)];
  if (missing.length > 0) notes.push(`Not measured in this run: ${missing.map((chart) => chart.title.toLowerCase()).join(', ')}.`);
  if (run.lines_per_point > 1) notes.push(`Each point of a curve is the mean of ${run.lines_per_point} steps; the band has all of them.`);
  return notes.length === 0 ? null : [node('h2', null, 'What to know of this page'), node('ul', { class: 'notes' }, notes.map((note) => node('li', null, note)))];
}

/** Draws charts that have something to show: {title, curves(), marks()}; returns what refreshes them, see drawChart. */
function drawCharts(grid, charts) {
  const hasPoints = (curves) => curves.some((curve) => curve.points.length > 0);
  const drawn = charts.map((chart) => {
    const curves = chart.curves();
    if (!hasPoints(curves)) return null;
    const box = node('section', { class: 'chart' });
    grid.append(box);
    return drawChart(box, chart.chart, curves, chart.marks());
  });
  return () => charts.every((chart, index) => {
    const curves = chart.curves();
    return hasPoints(curves) === Boolean(drawn[index]) && (!drawn[index] || drawn[index](curves, chart.marks()));
  });
}

/** Each view puts itself into `place`, and returns a function that shows newer numbers, or false where all is to be drawn anew. */
function showOverview(place, run, redraw) {
  if (connection.live && !run.headNames) {
    place.append(node('p', null, run.endpoint ? 'The folder of this run is not here; the learner tells who takes part: see Stages.' : 'Reading the folder of this run \u2026'));
    return () => !run.headNames;
  }
  const top = node('div'), grid = node('div', { class: 'charts' }), below = node('div'), facts = node('div');
  const curvesOf = (chart) => curvesIn(chart, [run]).map(([name, title], index) => ({ name: title, colour: seriesColour(index), ...points(run, name, view.x) }));
  const fill = () => {
    const missing = CHARTS.filter((chart) => !chart.named && curvesOf(chart).every((curve) => curve.points.length === 0));
    refill(top, [tiles(run), node('div', { class: 'halves' }, ledger(run), times(run))]);
    refill(below, [events(run), absent(run, missing)]);
    refill(facts, [table(['', ''], list(run.facts))]);
  };
  place.append(top, node('h2', null, 'Curves'), chartControls([run], redraw), grid, below, node('h2', null, 'The run'), facts);
  if (run.configuration) {
    place.append(node('details', null, node('summary', null, 'configuration'), table(['key', 'value'], run.configuration)));
  }
  fill();
  const refresh = drawCharts(grid, CHARTS.map((chart) => ({ chart, curves: () => curvesOf(chart), marks: () => marksOf(run) })));
  const hadConfiguration = Boolean(run.configuration);
  return () => {
    if (hadConfiguration !== Boolean(run.configuration) || !refresh()) return false;
    fill();
    return true;
  };
}

function showCompare(place, runs, redraw) {
  if (runs.length < 2) {
    place.append(node('p', null, `This page has one run. Give opd ${connection.live ? 'watch' : 'report'} several folders to compare them.`));
    return () => true;
  }
  const names = runs.map((run, index) => `${index + 1}: ${run.name}`);
  const ends = node('div'), settings = node('div'), grid = node('div', { class: 'charts' });
  const fill = () => {
    refill(ends, [table(['', ...names], finals(runs))]);
    refill(settings, [differences(runs, names)]);
  };
  place.append(node('h2', null, 'At the end'), ends, node('h2', null, 'Configurations'), settings, node('h2', null, 'Curves'),
    chartControls(runs, redraw), grid);
  fill();
  const refresh = drawCharts(grid, CHARTS.flatMap((chart) => curvesIn(chart, runs).map(([name, title]) => ({
    chart: { ...chart, title: `${chart.title}: ${title}` }, marks: () => [],
    curves: () => runs.map((run, index) => ({ name: names[index], colour: seriesColour(index), ...points(run, name, view.x) })),
  }))));
  return () => {
    if (!refresh()) return false;
    fill();
    return true;
  };
}

/** A number as `opd inspect` writes it, or with its leading digits where four decimals would not tell it. */
const valueText = ({ value, text }) => (value === 0 || (Math.abs(value) >= 0.01 && Math.abs(value) < 1e4) ? minus(text) : figure(value));

/** Rows of what each run has at its end; a name that none has is left out. */
function finals(runs) {
  const rows = [['steps', ...runs.map((run) => count(run.steps_done))],
    ['trained tokens', ...runs.map((run) => (run.ledger ? count(run.ledger.trained) : '\u2013'))],
    ['time in steps', ...runs.map((run) => duration(list(run.ends && run.ends.seconds).slice(-1)[0]))],
    ['bad steps', ...runs.map((run) => count(run.bad_steps && run.bad_steps.total))]];
  for (const chart of CHARTS) {
    for (const [name, title] of chart.curves) {
      if (runs.some((run) => found(run, name))) {
        rows.push([`${chart.title}: ${title}`, ...runs.map((run) => (found(run, name) ? valueText(found(run, name).last) : '\u2013'))]);
      }
    }
  }
  return rows;
}

function differences(runs, names) {
  const maps = runs.map((run) => new Map(list(run.configuration)));
  const keys = [...new Set(maps.flatMap((map) => [...map.keys()]))];
  const rows = keys.map((key) => [key, ...maps.map((map) => map.get(key) ?? '\u2013')])
    .filter((row) => row.slice(2).some((value) => value !== row[1]));
  const without = names.filter((_, index) => !runs[index].configuration);
  const note = without.length > 0 ? node('p', { class: 'soft' }, `No configuration in the folder of ${without.join(', ')}.`) : null;
  return node('div', null, note, rows.length > 0 ? table(['key', ...names], rows) : note ? null : 'They are the same.');
}
