// One chart: its curves as SVG, and the values at the chosen step.
const kPlot = {height: 170, left: 46, right: 10, top: 8, bottom: 22};

const colorOf = place => `var(--series-${place % 7})`;

/** Round numbers that divide [low, high] into a few parts. */
function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * unit).find(size => size >= raw * 0.999);
  const values = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i)
    values.push(Number((i * step).toPrecision(12)));
  return values;
}

/** Exponential moving average over the values that there are. */
function smoothed(values, weight) {
  let mean = null;
  return values.map(value => {
    if (!isNumber(value)) return value;
    mean = mean === null ? value : weight * mean + (1 - weight) * value;
    return mean;
  });
}

/** The curves of a chart: what is drawn of which run. */
function seriesOf(spec) {
  const series = [];
  runs.forEach((run, runPlace) => {
    let below = run.steps.map(() => 0);
    spec.lines.forEach(([metric, name, options = {}], place) => {
      const values = columnOf(run, metric);
      if (!values) return;
      const color = colorOf(place * runs.length + runPlace);
      const one = {run, runPlace, metric, name, values, color};
      if (options.band) one.band = columnOf(run, options.band);
      // Layers of two runs would hide each other: they are drawn as lines.
      if (spec.stacked && runs.length === 1) {
        one.below = below;
        below = below.map((sum, i) => sum + (isNumber(values[i]) ? values[i] : 0));
        one.above = below.map((sum, i) => isNumber(values[i]) ? sum : values[i]);
      }
      series.push(one);
    });
  });
  return series;
}

class Chart {
  constructor(spec) {
    this.spec = spec;
    this.series = seriesOf(spec);
    this.smoothing = 0;
    this.cursor = null;
    this.plot = svg('svg', {'aria-hidden': 'true'});
    this.legend = h('ul');
    this.element = h('figure', {class: 'chart', tabindex: 0, 'data-title': spec.title,
      'aria-label': `${spec.title}: arrow keys walk along the steps`},
    h('figcaption', {}, spec.title, ' ',
      spec.about ? h('span', {class: 'about'}, spec.about) : null),
    this.plot, this.legend);
    this.showValues();
  }

  /** Steps and values that are on the paper. */
  range() {
    const steps = runs.flatMap(run => run.steps.length ? [run.steps[0], lastStep(run)] : []);
    let low = Infinity, high = -Infinity;
    const see = value => {
      if (!isNumber(value)) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    };
    for (const one of this.series) {
      (one.above || one.values).forEach(see);
      if (one.below) see(0);
      if (one.band) one.values.forEach((value, i) => {
        if (!isNumber(value) || !isNumber(one.band[i])) return;
        see(value - one.band[i]);
        see(value + one.band[i]);
      });
    }
    if (low > high) [low, high] = [0, 1];
    if (low > 0 && low < 0.4 * high) low = 0;
    if (low === high) {
      const margin = Math.abs(low) / 2;
      [low, high] = low === 0 ? [0, 1] : [low - margin, high + margin];
    }
    const margin = (high - low) * 0.05;
    return {first: Math.min(...steps), last: Math.max(...steps),
      low: low === 0 ? 0 : low - margin, high: high + margin};
  }

  draw() {
    const width = this.plot.clientWidth || 340;
    const {first, last, low, high} = this.range();
    const inner = {w: width - kPlot.left - kPlot.right, h: kPlot.height - kPlot.top - kPlot.bottom};
    this.x = step => kPlot.left + (last > first ? (step - first) / (last - first) : 0.5) * inner.w;
    this.y = value => kPlot.top + (1 - (value - low) / (high - low)) * inner.h;
    this.stepAt = x => first + (x - kPlot.left) / inner.w * (last - first);
    this.plot.setAttribute('viewBox', `0 0 ${width} ${kPlot.height}`);
    this.at = svg('line', {class: 'at', y1: kPlot.top, y2: kPlot.height - kPlot.bottom,
      visibility: 'hidden'});
    this.dots = svg('g');
    this.plot.replaceChildren(this.axes(first, last, low, high, width),
      ...this.series.map(one => this.curve(one)), this.at, this.dots);
    this.showCursor();
  }

  axes(first, last, low, high, width) {
    const g = svg('g');
    for (const value of ticks(low, high, 4)) {
      const y = this.y(value);
      g.append(svg('line', {class: 'grid', x1: kPlot.left, x2: width - kPlot.right, y1: y, y2: y}),
        svg('text', {x: kPlot.left - 6, y: y + 4, 'text-anchor': 'end'}, shortTick(value)));
    }
    for (const step of ticks(first, last, Math.max(2, Math.floor(width / 90))))
      if (Number.isInteger(step))
        g.append(svg('text', {x: this.x(step), y: kPlot.height - 6, 'text-anchor': 'middle'},
          step.toLocaleString('en')));
    return g;
  }

  curve(one) {
    const second = one.runPlace ? ' second' : '';
    const g = svg('g', {style: `stroke: ${one.color}; fill: ${one.color}`});
    if (one.above)
      g.append(svg('path', {class: 'layer',
        d: this.area(one, i => one.below[i], i => one.above[i])}));
    if (one.band)
      g.append(svg('path', {class: 'band', d: this.area(one, i => one.values[i] - one.band[i],
        i => one.values[i] + one.band[i])}));
    const values = one.above || one.values;
    if (this.smoothing > 0)
      g.append(svg('path', {class: `curve raw${second}`, d: this.line(one, values)}));
    g.append(svg('path', {class: `curve${second}`,
      d: this.line(one, this.smoothing > 0 ? smoothed(values, this.smoothing) : values)}));
    const present = values.filter(isNumber).length;
    values.forEach((value, i) => {
      if (isNumber(value) && (present === 1 || present * 4 < one.run.steps.length))
        g.append(svg('circle', {cx: this.x(one.run.steps[i]), cy: this.y(value), r: 2.5}));
      if (typeof value === 'string') g.append(this.cross(one.run.steps[i]));
    });
    return g;
  }

  /** Where a value is not finite. */
  cross(step) {
    const x = this.x(step), y = kPlot.top + 5;
    return svg('path', {class: 'not-finite', d: `M${x - 4},${y - 4}l8,8m0,-8l-8,8`});
  }

  line(one, values) {
    let path = '', pen = 'M';
    values.forEach((value, i) => {
      if (typeof value === 'string') pen = 'M';
      if (!isNumber(value)) return;
      path += `${pen}${this.x(one.run.steps[i]).toFixed(1)},${this.y(value).toFixed(1)}`;
      pen = 'L';
    });
    return path;
  }

  area(one, low, high) {
    const there = [];
    one.values.forEach((value, i) => {
      if (isNumber(value) && Number.isFinite(low(i)) && Number.isFinite(high(i))) there.push(i);
    });
    const point = (i, value) =>
      `${this.x(one.run.steps[i]).toFixed(1)},${this.y(value).toFixed(1)}`;
    if (!there.length) return '';
    return 'M' + there.map(i => point(i, high(i))).join('L') + 'L' +
      there.reverse().map(i => point(i, low(i))).join('L') + 'Z';
  }

  setCursor(step) {
    this.cursor = step;
    this.showValues();
    if (this.x) this.showCursor();
  }

  showCursor() {
    this.dots.replaceChildren();
    this.at.setAttribute('visibility', this.cursor === null ? 'hidden' : 'visible');
    if (this.cursor === null) return;
    this.at.setAttribute('x1', this.x(this.cursor));
    this.at.setAttribute('x2', this.x(this.cursor));
    for (const one of this.series) {
      const i = this.indexAtCursor(one);
      const value = i < 0 ? null : (one.above || one.values)[i];
      if (isNumber(value))
        this.dots.append(svg('circle', {cx: this.x(one.run.steps[i]), cy: this.y(value), r: 3.5,
          style: `fill: ${one.color}`}));
    }
  }

  /** Of the newest value up to the cursor; without a cursor of the newest. */
  indexAtCursor(one) {
    return one.values.findLastIndex((value, i) =>
      value !== null && (this.cursor === null || one.run.steps[i] <= this.cursor));
  }

  showValues() {
    const items = new Map();  // by metric: runs share a name
    for (const one of this.series) {
      const item = items.get(one.metric) || h('li', {title: one.metric});
      items.set(one.metric, item);
      const mark = h('i', {class: one.runPlace ? 'second' : null, style: `--color: ${one.color}`});
      const name = one.runPlace ? null : `${one.name} `;
      // The mark of a single run leads its name, those of two their values.
      const parts = runs.length === 1 ? [mark, name] : [name, mark];
      item.append(...parts.filter(part => part !== null), this.newestValue(one));
    }
    this.legend.replaceChildren(...items.values());
  }

  newestValue(one) {
    const i = this.indexAtCursor(one);
    const known = {'data-metric': one.metric, 'data-run': one.runPlace};
    if (i < 0) return h('data', {value: '', ...known}, '–');
    const step = one.run.steps[i];
    const wanted = this.cursor === null ? lastStep(one.run) : this.cursor;
    return h('data', {value: one.values[i], ...known, 'data-step': step}, short(one.values[i]),
      step !== wanted ? h('sub', {}, ` @${step}`) : null);
  }
}

/** As short(), without the digits that round numbers have not. */
function shortTick(value) {
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return short(value);
  return value.toLocaleString('en', {maximumFractionDigits: 4}).replace('-', '−');
}
