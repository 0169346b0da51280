// All charts, with one cursor for them.
function buildCurves() {
  const charts = [];
  const parts = chartGroups().map(group => [
    h('h3', {}, group.title),
    h('div', {class: 'row'}, group.charts.map(spec => {
      const chart = new Chart(spec);
      charts.push(chart);
      return chart.element;
    })),
  ]);
  if (!charts.length) {
    byId('charts').append(h('p', {class: 'note'}, 'The run has no metrics yet.'));
    return;
  }
  byId('charts').append(...parts.flat());
  const drawAll = () => charts.forEach(chart => chart.draw());
  drawAll();
  new ResizeObserver(drawAll).observe(byId('charts'));
  byId('smoothing').addEventListener('input', event => {
    for (const chart of charts) chart.smoothing = Number(event.target.value);
    drawAll();
  });
  walkAlong(charts);
}

/** The pointer and the keyboard move the cursor. */
function walkAlong(charts) {
  const steps = [...new Set(runs.flatMap(run => run.steps))].sort((a, b) => a - b);
  let place = null;
  const go = wanted => {
    place = wanted === null ? null : Math.max(0, Math.min(steps.length - 1, wanted));
    const step = place === null ? null : steps[place];
    for (const chart of charts) chart.setCursor(step);
    byId('cursor').textContent = step === null ? '' : `step ${step}`;
    byId('cursor-captions').hidden = step === null || !hasCaptions();
    byId('cursor-captions').onclick = () => showCaptionsOf(step);
  };
  const nearest = step => steps.reduce(
    (best, one, i) => Math.abs(one - step) < Math.abs(steps[best] - step) ? i : best, 0);
  const keys = {
    ArrowLeft: big => (place === null ? steps.length : place) - (big ? 10 : 1),
    ArrowRight: big => (place === null ? -1 : place) + (big ? 10 : 1),
    Home: () => 0,
    End: () => steps.length - 1,
    Escape: () => null,
  };
  for (const chart of charts) {
    chart.plot.addEventListener('pointermove', event => go(nearest(chart.stepAt(
      event.clientX - chart.plot.getBoundingClientRect().left))));
    chart.element.addEventListener('keydown', event => {
      if (!(event.key in keys)) return;
      event.preventDefault();
      go(keys[event.key](event.shiftKey));
    });
  }
}
