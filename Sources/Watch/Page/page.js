// The page: its views, its theme, and what is in the address.

(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const runs = list(data.runs);
  const views = { overview: 'Overview', tokens: 'Tokens', ...(data.live || runs.some((run) => run.spans) ? { stages: 'Stages' } : {}), compare: 'Compare' };
  const place = document.getElementById('view'), tabs = document.getElementById('tabs');
  let current = 0, shown = 'overview', refresh = () => true;

  const load = async () => {
    const run = runs[current];
    await loadSamples(run, current);
    if (shown === 'tokens' && run === runs[current]) redraw();
  };
  const draw = () => {
    if (shown === 'compare') return showCompare(place, runs, redraw);
    if (shown === 'stages') return showStages(place, runs[current], data.live);
    if (shown !== 'tokens') return showOverview(place, runs[current], redraw);
    if (data.live && !runs[current].samples && !runs[current].samples_failure) load();
    return showTokens(place, runs[current], redraw, load);
  };
  const redraw = () => {
    clearGraphs();
    place.replaceChildren();
    for (const tab of tabs.children) {
      const isShown = tab.dataset.view === shown;
      tab.setAttribute('aria-selected', String(isShown));
      tab.tabIndex = isShown ? 0 : -1;
    }
    document.getElementById('title').textContent = shown === 'compare' ? 'Runs' : runs[current].name;
    document.getElementById('run-choice').hidden = runs.length < 2 || shown === 'compare';
    refresh = draw();
    showLive();
  };
  const showLive = () => {
    if (!data.live) return;
    const badge = document.getElementById('live'), [text, isOn] = liveText(runs[current]);
    badge.hidden = shown === 'compare' && runs.length > 1 && connection.isOpen;
    if (badge.textContent !== text) badge.textContent = text;
    badge.classList.toggle('on', isOn);
  };
  // Many events make one drawing, and at most one a second.
  let timer = null, last = 0;
  const changed = (index) => {
    showLive();
    if (index === undefined || (index !== current && shown !== 'compare') || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      last = performance.now();
      if (refresh()) return;
      const top = window.scrollY;
      redraw();
      window.scrollTo(0, top);
    }, Math.max(50, last + 1000 - performance.now()));
  };
  const show = (view) => {
    // Links of older pages say members.
    const name = view === 'members' ? 'stages' : view;
    shown = Object.hasOwn(views, name) ? name : runs.every((run) => run.endpoint) ? 'stages' : 'overview';
    redraw();
  };

  for (const [view, text] of Object.entries(views)) {
    tabs.append(node('button', { role: 'tab', type: 'button', 'data-view': view, 'aria-controls': 'view', click: () => { location.hash = view; } }, text));
  }
  tabs.addEventListener('keydown', (event) => {
    const all = [...tabs.children], index = all.indexOf(document.activeElement);
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: all.length - 1 }[event.key];
    if (index < 0 || to === undefined) return;
    event.preventDefault();
    const next = all[(to + all.length) % all.length];
    next.focus();
    next.click();
  });
  const choice = document.getElementById('run');
  runs.forEach((run, index) => choice.append(node('option', { value: index }, `${index + 1}: ${run.name}`)));
  choice.addEventListener('change', () => {
    current = Number(choice.value);
    Object.assign(tokens, { only: null, prompt: null, teacher: '', tag: '', kind: '', verdict: '', shown: PAGE });
    redraw();
  });

  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const theme = document.getElementById('theme');
  const setTheme = (name) => {
    document.documentElement.dataset.theme = name;
    theme.textContent = name === 'dark' ? 'light' : 'dark';
    theme.setAttribute('aria-label', `show the page ${theme.textContent}`);
  };
  theme.addEventListener('click', () => { setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'); redraw(); });
  dark.addEventListener('change', () => { setTheme(dark.matches ? 'dark' : 'light'); redraw(); });
  setTheme(dark.matches ? 'dark' : 'light');
  document.getElementById('foot').textContent = `Made by ${data.program}${typeof Dygraph === 'function' ? '; curves by dygraphs (MIT licence)' : ''}.`;
  window.addEventListener('hashchange', () => show(location.hash.slice(1)));
  if (runs.length === 0) place.append(node('p', null, 'This page has no run.'));
  else show(location.hash.slice(1));
  if (data.live && runs.length > 0) listen(runs, changed);
})();
