// The list of groups, a few at a time.
const kGroupsAtOnce = 6;

const hasCaptions = () => Object.values(report.captions).some(kind => kind.groups.length);

function buildCaptions() {
  if (!hasCaptions()) {
    byId('filter').remove();
    byId('found').textContent = 'The run has no captions: it is supervised, ' +
      'log.rollouts is off, or no step is done yet.';
    return;
  }
  showCaptions(filterOfAddress(), true);
  window.addEventListener('hashchange', () => {
    if (location.hash.includes('=')) showCaptions(filterOfAddress(), true);
  });
  new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting)) byId('more').click();
  }, {rootMargin: '600px'}).observe(byId('more'));
}

function showCaptions(filter, buildForm) {
  if (buildForm) buildFilter(filter, (next, rebuild) => {
    keepInAddress(next);
    showCaptions(next, rebuild);
  });
  const groups = groupsOf(filter);
  sayWhatIsFound(filter, groups);
  const list = byId('groups');
  list.replaceChildren();
  const others = new Map();  // image → groups of it
  for (const group of report.captions[filter.kind].groups)
    others.set(group.id, (others.get(group.id) || 0) + 1);
  const more = byId('more');
  const show = () => {
    const shown = list.children.length;
    list.append(...groups.slice(shown, shown + kGroupsAtOnce).map(group => groupCard(group, filter,
      others.get(group.id) > 1 && filter.image === '' ? () => {
        const next = {...kDefaults, kind: filter.kind, image: String(group.id)};
        keepInAddress(next);
        showCaptions(next, true);
        byId('captions').scrollIntoView();
      } : null)));
    more.hidden = list.children.length >= groups.length;
  };
  more.onclick = show;
  show();
}

function sayWhatIsFound(filter, groups) {
  const {groups: all, num_steps: numSteps} = report.captions[filter.kind];
  const steps = new Set(all.map(group => group.step));
  const what = filter.kind === 'eval' ? 'evaluations' : 'steps';
  byId('found').textContent =
    `${groups.length} of ${all.length} images with their captions. The page holds the first few ` +
    `of ${steps.size < numSteps ? `${steps.size} of` : 'each of'} ${numSteps} ${what}` +
    `; all are in ${runs[0].folder}/${filter.kind}.`;
}

/** The captions nearest to a step. */
function showCaptionsOf(step) {
  const filter = filterOfAddress();
  const steps = report.captions[filter.kind].groups.map(group => group.step);
  const nearest = String(steps.reduce((best, one) =>
    Math.abs(one - step) < Math.abs(best - step) ? one : best));
  const next = {...kDefaults, kind: filter.kind, step_from: nearest, step_to: nearest};
  keepInAddress(next);
  showCaptions(next, true);
  byId('captions').scrollIntoView();
}
