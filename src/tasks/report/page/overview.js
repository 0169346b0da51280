// What came of the run, in a few figures.
function buildOverview() {
  const first = runs[0];
  byId('run-name').textContent = runs.map(run => run.name).join(' and ');
  document.title = `${byId('run-name').textContent} · caprl report`;
  const parts = runs.flatMap(run => run.notes.map(note =>
    h('p', {class: 'note'}, runs.length > 1 ? `${run.name}: ${note}` : note)));
  if (runs.length > 1)
    parts.push(h('p', {class: 'runs'}, runs.map((run, i) => h('span', {title: run.folder},
      h('span', {class: i ? 'stroke second' : 'stroke'}), run.name))));
  parts.push(h('dl', {class: 'tiles'}, tiles()), facts(first));
  byId('overview').append(...parts);
  byId('footer').textContent =
    `Written ${report.written} by caprl ${report.version} from ${first.folder}.`;
}

/** [title, run → {value, about} or null] */
const tileKinds = [
  ['Steps', run => ({value: String(lastStep(run) ?? 0),
    about: run.total_steps === null ? '' : `of ${run.total_steps}`})],
  ['Held-out reward', run => change(run, 'val/reward/mean')],
  ['Held-out accuracy', run => change(run, 'val/reward/accuracy')],
  ['Reward', run => change(run, 'critic/rewards/mean')],
  ['Loss', run => change(run, 'train/loss')],
  ['Caption length', run => change(run, 'response_length/mean')],
  ['KL', run => (columnOf(run, 'actor/kl_loss') || []).some(Boolean)
    ? change(run, 'actor/kl_loss') : null],
  ['Time', run => {
    const seconds = (columnOf(run, 'timing_s/step') || []).filter(isNumber);
    if (!seconds.length) return null;
    const sum = seconds.reduce((a, b) => a + b, 0);
    return {value: duration(sum), about: `${duration(sum / seconds.length)} a step`};
  }],
];

function change(run, metric) {
  const {first, last} = endsOf(run, metric);
  if (!first) return null;
  return {value: short(last.value), exact: last.value, metric,
    about: first.step === last.step ? `step ${last.step}`
      : `from ${short(first.value)} (step ${first.step})`};
}

function tiles() {
  return tileKinds.map(([title, of]) => {
    const shown = runs.map(of);
    if (shown.every(one => one === null)) return null;
    return h('div', {class: 'tile'}, h('dt', {}, title), shown.map((one, i) =>
      h('dd', {class: i ? 'second' : null}, one === null ? '–' : [
        h('data', {value: one.exact ?? one.value, 'data-tile': one.metric}, one.value),
        h('small', {}, runs.length > 1 ? `${runs[i].name} · ` : '', one.about)])));
  });
}

function facts(run) {
  const config = new Map(run.config);
  const baseName = path => path.split('/').filter(Boolean).pop() || '';
  const wanted = [
    ['policy', 'policy.model', baseName], ['answerer', 'reward.answerer.model', baseName],
    ['captions of an image', 'rollout.n'], ['images of a step', 'data.train_batch_size'],
    ['advantages', 'algorithm.adv_estimator'], ['learning rate', 'optimizer.lr'],
    ['seed', 'run.seed'], ['device', 'run.device'],
  ];
  const shown = wanted.filter(([, key]) => config.get(key));
  if (config.get('reward.shuffle_rewards') === 'true')
    shown.push(['rewards', 'reward.shuffle_rewards', () => 'shuffled (a control)']);
  return h('p', {class: 'facts'}, shown.map(([name, key, form = text => text], i) =>
    [i ? ' · ' : '', `${name} `, h('b', {}, form(config.get(key)))]));
}
