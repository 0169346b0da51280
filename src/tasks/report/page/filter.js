// Which captions are shown: a form, and the same in the page's address, so that it can be kept.
const kSorts = {
  step: ['first steps first', (a, b) => a.step - b.step],
  newest: ['last steps first', (a, b) => b.step - a.step],
  low: ['lowest reward first', (a, b) => meanReward(a) - meanReward(b)],
  high: ['highest reward first', (a, b) => meanReward(b) - meanReward(a)],
  spread: ['largest spread first', (a, b) => spreadOf(b) - spreadOf(a)],
  long: ['longest caption first', (a, b) => longest(b) - longest(a)],
};

const rewardsOf = group => group.captions.map(caption => caption.reward).filter(isNumber);
const meanReward = group => {
  const rewards = rewardsOf(group);
  return rewards.reduce((a, b) => a + b, 0) / (rewards.length || 1);
};
const spreadOf = group => {
  const rewards = rewardsOf(group);
  return rewards.length ? Math.max(...rewards) - Math.min(...rewards) : 0;
};
const longest = group => Math.max(...group.captions.map(caption => caption.num_tokens));
const textOf = caption => caption.tokens ? caption.tokens.join('') : caption.text;

const kNumbers = ['step_from', 'step_to', 'reward_from', 'reward_to', 'tokens_from', 'tokens_to'];
const kDefaults = {kind: 'rollouts', sort: 'step', text: '', image: '',
  ...Object.fromEntries(kNumbers.map(name => [name, '']))};

/** The filter that the address holds. */
function filterOfAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const filter = {...kDefaults};
  for (const name of Object.keys(kDefaults)) if (given.has(name)) filter[name] = given.get(name);
  if (!(filter.sort in kSorts)) filter.sort = kDefaults.sort;
  const kinds = Object.keys(report.captions).filter(kind => report.captions[kind].groups.length);
  if (!kinds.includes(filter.kind)) filter.kind = kinds.includes('rollouts') ? 'rollouts' : 'eval';
  return filter;
}

function keepInAddress(filter) {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(filter))
    if (value !== kDefaults[name]) kept.set(name, value);
  try {
    history.replaceState(null, '', `#${kept}`);
  } catch {
    // A page inside another one may have no address of its own.
  }
}

const within = (value, from, to) =>
  (from === '' || value >= Number(from)) && (to === '' || value <= Number(to));

/** Whether a caption is one that is looked for; text in questions counts for all captions. */
function captionMatches(caption, group, filter) {
  const wanted = filter.text.toLowerCase();
  const says = text => text.toLowerCase().includes(wanted);
  const rewardAsked = filter.reward_from !== '' || filter.reward_to !== '';
  if (rewardAsked && !isNumber(caption.reward)) return false;
  return (!rewardAsked || within(caption.reward, filter.reward_from, filter.reward_to)) &&
    within(caption.num_tokens, filter.tokens_from, filter.tokens_to) &&
    (wanted === '' || says(textOf(caption)) || says(String(group.id)) ||
     group.questions.some(question => says(question.text)));
}

function groupsOf(filter) {
  const groups = report.captions[filter.kind].groups.filter(group =>
    within(group.step, filter.step_from, filter.step_to) &&
    (filter.image === '' || String(group.id) === filter.image) &&
    group.captions.some(caption => captionMatches(caption, group, filter)));
  return groups.sort(kSorts[filter.sort][1]);
}

/** Builds the form; `changed` is called with every new filter. */
function buildFilter(filter, changed) {
  const form = byId('filter');
  const range = (title, name, step) => h('fieldset', {}, h('legend', {}, title),
    h('input', {type: 'number', name: `${name}_from`, step, value: filter[`${name}_from`],
      'aria-label': `${title} from`, placeholder: 'from'}), ' – ',
    h('input', {type: 'number', name: `${name}_to`, step, value: filter[`${name}_to`],
      'aria-label': `${title} to`, placeholder: 'to'}));
  const kind = (name, title) => h('label', {}, h('input', {type: 'radio', name: 'kind', value: name,
    checked: filter.kind === name, disabled: !report.captions[name].groups.length}), title);
  form.replaceChildren();
  fill(form, {}, [
    h('fieldset', {class: 'kinds'}, h('legend', {}, 'Captions of'), kind('rollouts', 'Training'),
      kind('eval', 'Held-out images')),
    range('Step', 'step', 1), range('Reward', 'reward', 'any'), range('Tokens', 'tokens', 1),
    h('label', {}, h('span', {class: 'name'}, 'Text, question or image id'),
      h('input', {type: 'search', name: 'text', value: filter.text})),
    h('label', {}, h('span', {class: 'name'}, 'Order'),
      h('select', {name: 'sort'}, Object.entries(kSorts).map(([name, [title]]) =>
        h('option', {value: name, selected: filter.sort === name}, title)))),
    filter.image ? h('button', {type: 'button', name: 'image', value: filter.image, click: () =>
      changed({...filter, image: ''}, true)}, `only image ${filter.image} ✕`) : null,
    h('button', {type: 'button', click: () =>
      changed({...kDefaults, kind: filter.kind}, true)}, 'Clear')]);
  form.onsubmit = event => event.preventDefault();
  form.oninput = () => {
    const given = new FormData(form);
    const next = {...filter};
    for (const name of Object.keys(kDefaults)) if (given.has(name)) next[name] = given.get(name);
    filter = next;
    changed(next, false);
  };
}
