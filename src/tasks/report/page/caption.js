// One group: its image, its captions side by side, what was asked and answered.
const signed = value => (value > 0 ? '+' : value < 0 ? '−' : '') + Math.abs(value).toFixed(2);

/** Captions of held-out images have no advantage. */
function captionCard(caption, place, matches, hasAdvantage) {
  const way = caption.advantage > 0 ? 'up' : caption.advantage < 0 ? 'down' : '';
  const facts = [`${caption.num_tokens} tokens`];
  if (caption.asked) facts.push(`${caption.right} of ${caption.asked} right`);
  for (const [name, value] of Object.entries(caption.terms || {}))
    facts.push(`${name} ${short(value)}`);
  if (!caption.stopped) facts.push('cut off at the limit');
  return h('article', {class: `caption ${way}${matches ? '' : ' other'}`,
    'aria-label': `Caption ${place + 1}`},
  h('header', {},
    h('span', {class: 'place'}, `#${place + 1}`),
    h('span', {class: 'reward', title: 'reward'},
      isNumber(caption.reward) ? caption.reward.toFixed(2) : 'no reward'),
    hasAdvantage ? h('span', {class: 'advantage', title: 'advantage'},
      `A ${signed(caption.advantage)}`) : null),
  caption.tokens ? shadedTokens(caption) : h('p', {class: 'tokens'}, caption.text),
  h('p', {class: 'meta'}, facts.join(' · ')));
}

/** The less probable a token was, the darker; the pointer or ← and → tell how probable. */
function shadedTokens(caption) {
  const surprising = logprob => Math.min(1, Math.max(0, -logprob / 4)).toFixed(2);
  const info = h('output', {class: 'token-info'});
  const spans = caption.tokens.map((token, i) =>
    h('span', {style: `--surprising: ${surprising(caption.logprobs[i])}`},
      token === '' && i === caption.tokens.length - 1 && caption.stopped ? ' ⏎' : token));
  let chosen = -1;
  const choose = i => {
    if (i < 0 || i >= spans.length) return;
    if (chosen >= 0) spans[chosen].classList.remove('chosen');
    chosen = i;
    spans[i].classList.add('chosen');
    const token = caption.tokens[i] === '' ? 'end' : `“${caption.tokens[i].trim() || '␣'}”`;
    info.textContent = `${token}: probability ${Math.exp(caption.logprobs[i]).toPrecision(2)}, ` +
      `log ${caption.logprobs[i].toFixed(2).replace('-', '−')}`;
  };
  const text = h('div', {class: 'tokens', role: 'group', tabindex: 0, 'aria-label': textOf(caption),
    pointerover: event => choose(spans.indexOf(event.target)),
    keydown: event => {
      const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!move) return;
      event.preventDefault();
      choose(chosen + move);
    }}, spans);
  return [text, info];
}

function picture(group) {
  if (group.image === undefined)
    return h('div', {class: 'no-image', role: 'img', 'aria-label': group.no_image}, group.no_image);
  const image = h('img', {src: report.images[group.image], alt: `image ${group.id}`,
    load: () => image.classList.toggle('tiny', image.naturalWidth < 100)});
  return image;
}

function answerCell(caption, place) {
  const answer = caption.answers.find(one => one.question === place);
  if (!answer) return h('td', {}, '');
  const question = caption.questions[place];
  const [state, mark, words] = answer.invalid ? ['invalid', '', 'no valid answer']
    : answer.given && answer.given === question.right ? ['right', ' ✓', 'right']
    : answer.given && answer.given === question.abstain
    ? ['abstained', '', 'the caption does not say']
    : ['wrong', ' ✗', 'wrong'];
  const told = [words];
  if (answer.output !== undefined) told.push(`the answerer wrote “${answer.output}”`);
  if (answer.probability !== undefined)
    told.push(`the right answer had the probability ${answer.probability}`);
  return h('td', {class: state, title: told.join('; '),
    'aria-label': `${answer.given || 'none'}, ${words}`}, `${answer.given || '?'}${mark}`);
}

function answersTable(group) {
  const numRight = group.captions.reduce((sum, caption) => sum + caption.right, 0);
  const numAsked = group.captions.reduce((sum, caption) => sum + caption.asked, 0);
  const rows = group.questions.map((question, place) => h('tr', {},
    h('th', {scope: 'row'}, h('p', {class: 'question'}, question.text),
      question.options.length ? h('ul', {}, question.options.map(([label, text]) =>
        h('li', {class: label === question.right ? 'correct' : null},
          `${label} ${text}${label === question.right ? ' ✓' : ''}`)))
        : h('span', {class: 'meta'}, `right: ${question.right}`)),
    group.captions.map(caption => answerCell({...caption, questions: group.questions}, place))));
  return h('details', {open: group.questions.length <= 8},
    h('summary', {},
      `${group.questions.length} questions, ${numRight} of ${numAsked} answers right`),
    h('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Questions and answers'},
      h('table', {class: 'answers'},
        h('thead', {}, h('tr', {}, h('th', {scope: 'col'}, 'Question and options'),
          group.captions.map((_, i) => h('th', {scope: 'col'}, `#${i + 1}`)))),
        h('tbody', {}, rows))));
}

function rewardRange(group) {
  const rewards = rewardsOf(group);
  if (!rewards.length) return 'no reward';
  return `reward ${Math.min(...rewards).toFixed(2)} – ${Math.max(...rewards).toFixed(2)}`;
}

/** `showImage`: called to see all steps of this image. */
function groupCard(group, filter, showImage) {
  return h('article', {class: 'group', 'data-step': group.step, 'data-id': group.id},
    h('div', {class: 'side'},
      h('div', {class: 'picture'}, picture(group)),
      h('h3', {}, `step ${group.step}`),
      h('p', {class: 'meta'}, `image ${group.id}`, h('br'),
        rewardRange(group), h('br'),
        showImage ? h('button', {type: 'button', click: showImage}, 'This image in other steps')
          : null)),
    h('div', {},
      h('div', {class: 'captions'}, group.captions.map((caption, i) => captionCard(caption, i,
        captionMatches(caption, group, filter), filter.kind === 'rollouts'))),
      group.questions.length ? answersTable(group) : null));
}
