'use strict';

// The run's data, which src/tasks/report/report.cpp puts into the page, and how numbers are
// written.
const report = JSON.parse(document.getElementById('data').textContent);
const runs = report.runs;

const lastStep = run => run.steps.length ? run.steps[run.steps.length - 1] : null;

/** A metric's values, one a step; null where the run has none of that name. */
const columnOf = (run, metric) => run.metrics[metric] || null;

const isNumber = value => typeof value === 'number';

/** [step, value] of the first and the last value that there is. */
function endsOf(run, metric) {
  const column = columnOf(run, metric) || [];
  const at = index => index < 0 ? null : {step: run.steps[index], value: column[index]};
  return {
    first: at(column.findIndex(value => value !== null)),
    last: at(column.findLastIndex(value => value !== null)),
  };
}

/** For people: three digits that mean something. */
function short(value) {
  if (value === null || value === undefined) return '–';
  if (!isNumber(value)) return String(value);  // "nan"
  const size = Math.abs(value);
  let text;
  if (size === 0) text = '0';
  else if (size >= 1e6 || size < 1e-3) text = value.toExponential(1);
  else if (size >= 1000) text = Math.round(value).toLocaleString('en');
  else if (Number.isInteger(value)) text = String(value);
  else if (size < 0.1) text = value.toPrecision(3);
  else text = value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3);
  return text.replace('-', '−').replace('e-', 'e−').replace('e+', 'e');
}

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
