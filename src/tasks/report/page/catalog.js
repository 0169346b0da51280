// Which metrics make which chart. A chart without values is left out; metrics that no chart names
// get charts of their own at the end.
//
// line: [metric, name, options]; options.band: metric of the deviation that is shaded around it.
// stacked: lines are layers on top of each other.
const catalog = [
  {title: 'What it learns', charts: [
    {title: 'Reward', about: 'mean; shaded: standard deviation within groups', lines: [
      ['critic/rewards/mean', 'training', {band: 'reward_std'}], ['val/reward/mean', 'held out']]},
    {title: 'Accuracy', about: 'questions answered right', lines: [
      ['reward/accuracy', 'training'], ['val/reward/accuracy', 'held out'],
      ['val/reward/accuracy_without_caption', 'without a caption']]},
    {title: 'Caption length', about: 'tokens', lines: [
      ['response_length/mean', 'training'], ['val/response_length/mean', 'held out']]},
    {title: 'Longest caption', about: 'tokens', lines: [['response_length/max', 'longest']]},
    {title: 'Best of a step', lines: [
      ['critic/rewards/max', 'reward'], ['critic/advantages/max', 'advantage']]},
    {title: 'Spread within groups', lines: [
      ['reward_std', 'standard deviation'], ['frac_reward_zero_std', 'share of groups without']]},
    {title: 'Cut off at the limit', about: 'share of captions', lines: [
      ['response_length/clip_ratio', 'cut off']]},
    {title: 'Loss', about: 'supervised training', lines: [['train/loss', 'loss']]},
  ]},
  {title: 'Questions', charts: [
    {title: 'Answers', about: 'share of those asked', lines: [
      ['reward/abstained', 'the caption does not say']]},
    {title: 'Do questions tell captions apart?', about: 'share of questions', lines: [
      ['reward/question_agreement', 'agreement'], ['reward/questions_all_right', 'all right'],
      ['reward/questions_none_right', 'none right']]},
    {title: 'Left out', about: 'answers and captions without a reward', lines: [
      ['reward/invalid_answers', 'answers'], ['reward/invalid_captions', 'captions']]},
  ]},
  {title: 'The update', charts: [
    {title: 'KL from the reference', about: 'per token', lines: [['actor/kl_loss', 'KL']]},
    {title: 'KL from the sampler', about: 'per token', lines: [['actor/ppo_kl', 'KL']]},
    {title: 'Entropy', about: 'nats per token', lines: [['actor/entropy', 'entropy']]},
    {title: 'Clip fraction', about: 'share of tokens', lines: [['actor/pg_clipfrac', 'clipped']]},
    {title: 'Gradient norm', lines: [
      ['actor/grad_norm', 'policy'], ['train/grad_norm', 'model']]},
    {title: 'Rollout–training mismatch', about: 'of a token’s probability', lines: [
      ['training/rollout_probs_diff_mean', 'mean']]},
    {title: 'Largest mismatch', about: 'of a token’s probability', lines: [
      ['training/rollout_probs_diff_max', 'largest']]},
    {title: 'Policy loss', lines: [['actor/pg_loss', 'loss']]},
    {title: 'Learning rate', lines: [['actor/lr', 'policy'], ['train/lr', 'model']]},
    {title: 'Skipped updates', lines: [
      ['actor/skipped_updates', 'policy'], ['train/skipped_updates', 'model']]},
  ]},
  {title: 'Time and memory', charts: [
    {title: 'Seconds of a step', stacked: true, lines: [
      ['timing_s/data', 'data'], ['timing_s/gen', 'generation'], ['timing_s/reward', 'reward'],
      ['timing_s/share', 'sharing'], ['timing_s/update_actor', 'update']]},
    {title: 'Seconds of generation', stacked: true, lines: [
      ['timing_s/gen_prefill', 'prompts'], ['timing_s/gen_decode', 'decoding'],
      ['timing_s/gen_sample', 'sampling'], ['timing_s/gen_host', 'host']]},
    {title: 'Throughput', about: 'tokens per second', lines: [
      ['perf/throughput', 'whole step'], ['perf/rollout_decode_tokens_per_s', 'decoding'],
      ['perf/rollout_prefill_tokens_per_s', 'prompts']]},
    {title: 'Waiting for other ranks', about: 'seconds', lines: [
      ['perf/rank_idle_s/mean', 'mean'], ['perf/rank_idle_s/max', 'longest']]},
    {title: 'Sequences in a decoding pass', lines: [['perf/rollout_mean_batch', 'mean']]},
    {title: 'Key-value cache', about: 'share of pages used', lines: [
      ['perf/rollout_kv_cache_usage', 'at most']]},
  ]},
];

/** Charts to draw: those that have values, and one for each metric that is in none. */
function chartGroups() {
  const metrics = new Set(runs.flatMap(run => Object.keys(run.metrics)));
  const named = new Set();
  const groups = catalog.map(group => ({title: group.title, charts: group.charts.map(chart => {
    const lines = chart.lines.filter(([metric]) => metrics.has(metric));
    for (const [metric] of lines) named.add(metric);
    return {...chart, lines};
  }).filter(chart => chart.lines.length)}));
  const others = [...metrics].filter(metric => !named.has(metric)).sort();
  const alone = metric => ({title: metric, lines: [[metric, 'value']]});
  const is = pattern => others.filter(metric => pattern.test(metric)).map(alone);
  const memory = /memory|mem_/i, term = /^reward\//;
  groups[1].charts.push(...is(term));
  groups[3].charts.push(...is(memory));
  const rest = others.filter(metric => !memory.test(metric) && !term.test(metric)).map(alone);
  return [...groups, {title: 'Further metrics', charts: rest}].filter(group => group.charts.length);
}
