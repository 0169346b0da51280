// Every number as it is in metrics.jsonl, and the config. Built when they are opened.
function numberTable(run, place) {
  const names = Object.keys(run.metrics);
  const cell = value => h('td', {class: 'number'}, value === null ? '' : String(value));
  return [runs.length > 1 ? h('h3', {class: 'name'}, run.name) : null,
    h('div', {class: 'wide scroll', tabindex: 0, role: 'region',
      'aria-label': `Numbers of ${run.name}`},
      h('table', {class: 'numbers', 'data-run': place},
        h('thead', {}, h('tr', {}, ['step', ...names].map(name => h('th', {scope: 'col'}, name)))),
        h('tbody', {}, run.steps.map((step, i) => h('tr', {}, h('th', {scope: 'row'}, String(step)),
          names.map(name => cell(run.metrics[name][i])))))))];
}

/** Of two runs what differs comes first. */
function configTable() {
  const configs = runs.map(run => new Map(run.config));
  const keys = [...new Set(configs.flatMap(config => [...config.keys()]))];
  const differs = key => configs.some(config => config.get(key) !== configs[0].get(key));
  const rows = [...keys.filter(differs), ...keys.filter(key => !differs(key))];
  return h('div', {class: 'wide scroll', tabindex: 0, role: 'region', 'aria-label': 'Config'},
    h('table', {},
      runs.length > 1 ? h('thead', {}, h('tr', {}, h('th', {}, 'key'),
        runs.map(run => h('th', {scope: 'col'}, run.name)))) : null,
      h('tbody', {}, rows.map(key => h('tr', {class: differs(key) ? 'differs' : null},
        h('th', {scope: 'row'}, key),
        configs.map(config => h('td', {}, config.get(key) ?? '–')))))));
}

function buildTables() {
  const whenOpened = (id, build) => byId(id).addEventListener('toggle', build, {once: true});
  whenOpened('numbers-details', () => byId('number-tables').append(
    ...runs.flatMap(numberTable).filter(part => part !== null)));
  whenOpened('config-details', () => byId('config-table').append(configTable()));
  const open = () => {
    const place = location.hash.slice(1);
    if (place === 'numbers' || place === 'config') byId(`${place}-details`).open = true;
  };
  open();
  window.addEventListener('hashchange', open);
}
