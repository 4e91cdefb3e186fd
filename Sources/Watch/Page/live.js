// A page of its watcher: what comes in is taken into the runs, which are drawn as those of a report.

const connection = { live: false, isOpen: false, ended: null };

/** Takes the end of a list, from a place on, into it; what is absent is null. */
function merged(old, part, from, count) {
  const kept = list(old).slice(0, from);
  while (kept.length < from) kept.push(null);
  kept.push(...list(part));
  while (kept.length < count) kept.push(null);
  return kept;
}

/** Takes what an event says of a run into what is known of it. */
function mergeRun(run, part) {
  for (const name of list(run.headNames)) delete run[name];
  const head = part.head || {};
  Object.assign(run, head, { headNames: Object.keys(head), held: part.held === true });
  if (part.configuration) run.configuration = part.configuration;
  if (part.spans !== undefined) run.spans = part.spans;
  if (part.evaluations) run.evaluations = part.evaluations;
  if (!part.curves) return;
  const from = part.from, whole = from + list(part.curves.ends.step).length;
  if (from === 0) Object.assign(run, { ends: {}, series: {} });
  const names = (a, b) => new Set([...Object.keys(a || {}), ...Object.keys(b || {})]);
  for (const name of names(run.ends, part.curves.ends)) run.ends[name] = merged(run.ends[name], part.curves.ends[name], from, whole);
  for (const name of names(run.series, part.curves.series)) {
    const old = run.series[name] || {}, now = part.curves.series[name] || {};
    run.series[name] = {};
    for (const kind of names(old, now)) run.series[name][kind] = merged(old[kind], now[kind], from, whole);
  }
}

/** Listens to the watcher; `changed` is called with the number of a run, or without where the connection has changed. */
function listen(runs, changed) {
  connection.live = true;
  const source = new EventSource('events');
  const on = (name, take) => source.addEventListener(name, (event) => {
    const part = JSON.parse(event.data), run = runs[part.run];
    if (part.run !== undefined && !run) { location.reload(); return; }
    take(part, run);
    changed(part.run);
  });
  on('run', (part, run) => mergeRun(run, part));
  on('status', (part, run) => { run.status = part.status; run.silence = part.silence; });
  on('end', (part) => { connection.ended = part.why; source.close(); });
  source.addEventListener('open', () => { connection.isOpen = true; changed(); });
  source.addEventListener('error', () => { connection.isOpen = false; changed(); });
}

/** Asks for the responses of a run that are worth a look. */
async function loadSamples(run, index) {
  if (run.isLoading) return;
  run.isLoading = true;
  try {
    const answer = await fetch(`samples?run=${index}`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const got = await answer.json();
    run.samples = list(got.samples);
    run.samples_seen = got.total;
  } catch (error) {
    run.samples_failure = `The responses did not come (${error.message}); is the watcher still there?`;
  }
  run.isLoading = false;
}

/** How a run is, in a few words for the head of the page, and whether it goes on. */
function liveText(run) {
  if (connection.ended) return [`${connection.ended}; this page stays as it is`, false];
  if (!connection.isOpen) return ['the watcher does not answer, trying again', false];
  const done = run.steps_done ?? (run.status ? run.status.version : undefined);
  const step = done === undefined ? 'no step yet' : `step ${count(done)}`;
  if (run.held || run.status) return [`live, ${step}`, true];
  if (run.steps_wanted !== undefined && run.steps_done >= run.steps_wanted) return [`ended after ${step}`, false];
  if (run.endpoint) return ['no answer', false];
  return [run.headNames ? `not running here, ${step}` : 'reading', false];
}
