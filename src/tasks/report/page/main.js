/** Light or dark as the system is, or as the button says; kept where the browser keeps it. */
function buildTheme() {
  const system = matchMedia('(prefers-color-scheme: dark)');
  let chosen = null;
  try {
    chosen = localStorage.getItem('caprl-theme');
  } catch {
    // A page from disk may have no storage.
  }
  const theme = () => chosen ?? (system.matches ? 'dark' : 'light');
  const show = () => { document.documentElement.dataset.theme = theme(); };
  show();
  system.addEventListener('change', show);
  byId('theme').addEventListener('click', () => {
    chosen = theme() === 'dark' ? 'light' : 'dark';
    show();
    try {
      localStorage.setItem('caprl-theme', chosen);
    } catch {
      // It is forgotten with the page.
    }
  });
}

/** While the run goes on: the page loads itself again, unless it is told not to or being used. */
function buildLive() {
  if (!report.live) return;
  const kSeconds = 15;
  const button = byId('live');
  let on = true, used = 0;
  const say = () => {
    button.textContent = on ? '● live' : '○ paused';
    button.title = on ? `Loads itself again every ${kSeconds} seconds` : 'Go on loading';
  };
  button.hidden = false;
  button.addEventListener('click', () => {
    on = !on;
    say();
  });
  say();
  for (const sign of ['keydown', 'pointerdown', 'input', 'scroll'])
    window.addEventListener(sign, () => { used = Date.now(); }, {passive: true});
  setInterval(() => {
    if (on && !document.hidden && Date.now() - used > kSeconds * 1000) location.reload();
  }, kSeconds * 1000);
}

buildTheme();
buildOverview();
buildCurves();
buildCaptions();
buildTables();
buildLive();
