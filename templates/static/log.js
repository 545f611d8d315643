// The log viewer: the whole log under an honest scroll bar, made of chunks of 500 lines that are
// fetched as they come near and emptied once they are far. Without this file the page shows a
// window of lines with links.
(() => {
'use strict';
const log = document.getElementById('log');
if (!log) return;
const CHUNK = Number(log.dataset.chunk), LINE = 20, HEAD = 40, KEEP = 2;
const plain = new URL(log.dataset.url, location.href);
let total = Number(log.dataset.lines), done = log.dataset.done === 'yes';
// Where steps begin: a heading stands above that line, and costs its height.
let heads = (log.dataset.heads || '').split(',').filter(Boolean).map(Number);
const sections = [];
const narrow = matchMedia('(max-width: 800px)');
const saved = new URL(location.href).searchParams;
let wrap = saved.has('wrap') ? saved.get('wrap') === '1' : narrow.matches;
let follow = false, missed = 0, filling = false;
let bad = Number(log.dataset.bad), missedBad = 0;
const list = (text) => (text || '').split(',').filter(Boolean).map(Number);
const errors = list(log.dataset.errors), hits = list(log.dataset.hits), isHit = new Set(hits);

const linesOf = (i) => Math.min(CHUNK, total - i * CHUNK);
const headsOf = (i) => heads.filter((h) => h > i * CHUNK && h <= i * CHUNK + linesOf(i)).length;
function size(section) {
  const i = section.index;
  const estimate = linesOf(i) * LINE + headsOf(i) * HEAD;
  // Wrapped lines have no height one could compute: the height seen last stands in.
  section.style.height = section.full && section.count === linesOf(i) ? '' : Math.max(estimate, wrap ? section.seen || 0 : 0) + 'px';
}
function address(i, after) {
  const url = new URL(plain);
  if (after === undefined) url.searchParams.set('chunk', i); else url.searchParams.set('after', after);
  return url;
}
function grow() {
  while (sections.length * CHUNK < total) {
    const section = document.createElement('section');
    section.index = sections.length; section.count = 0; section.full = false; section.seen = 0;
    sections.push(section); log.append(section);
    watch.observe(section);
  }
}
async function load(section) {
  if (section.loading || (section.full && section.count === linesOf(section.index))) return;
  section.loading = true;
  try {
    const answer = await fetch(address(section.index));
    if (!answer.ok) throw new Error('status ' + answer.status);
    section.innerHTML = await answer.text();
    section.count = section.querySelectorAll(':scope > div').length;
    section.full = true;
    mark(section);
  } catch {
    section.textContent = '';
    const again = document.createElement('button');
    again.textContent = 'These lines could not be read. Try again';
    again.addEventListener('click', () => load(section));
    section.append(again);
  } finally { section.loading = false; }
  size(section);
  if (follow) toEnd();
}
function empty(section) {
  if (!section.full || section.contains(document.activeElement)) return;
  const selection = getSelection();
  if (selection && !selection.isCollapsed && selection.containsNode(section, true)) return;
  section.seen = section.offsetHeight;
  section.full = false; section.count = 0;
  section.style.height = section.seen + 'px';
  section.textContent = '';
}
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { entry.target.near = true; load(entry.target); } else entry.target.near = false;
  const near = sections.filter((s) => s.near).map((s) => s.index);
  if (!near.length) return;
  const low = Math.min(...near) - KEEP, high = Math.max(...near) + KEEP;
  for (const section of sections) if (section.index < low || section.index > high) empty(section);
}, { rootMargin: '200% 0px' });

// --- the line or range in the address -------------------------------------------
function range() {
  const match = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash) || /^(\d+)(?:-(\d+))?$/.exec(saved.get('at') || '');
  return match ? [Number(match[1]), Number(match[2] || match[1])] : null;
}
function mark(section) {
  const chosen = range();
  for (const line of section.querySelectorAll(':scope > div')) {
    const n = Number(line.id.slice(1));
    line.classList.toggle('at', Boolean(chosen) && n >= chosen[0] && n <= chosen[1]);
    line.classList.toggle('hit', isHit.has(n));
  }
}
async function jump(n) {
  const section = sections[Math.floor((Math.min(n, total) - 1) / CHUNK)];
  if (!section) return;
  follow = false;
  scrollTo(0, section.getBoundingClientRect().top + scrollY + ((n - 1) % CHUNK) * LINE - innerHeight / 3);
  await load(section);
  const line = document.getElementById('L' + n);
  if (line) scrollTo(0, line.getBoundingClientRect().top + scrollY - innerHeight / 3);
  state();
}
addEventListener('hashchange', () => {
  const chosen = range();
  sections.filter((s) => s.full).forEach(mark);
  if (chosen) jump(chosen[0]);
});
log.addEventListener('click', (event) => {
  const link = event.target.closest('section > div > a:first-child');
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const n = Number(link.parentElement.id.slice(1)), chosen = range();
  const hash = event.shiftKey && chosen ? '#L' + Math.min(n, chosen[0]) + '-L' + Math.max(n, chosen[0]) : '#L' + n;
  const url = new URL(location.href);
  url.searchParams.set('at', hash.slice(2).replace('-L', '-')); url.hash = hash;
  saved.set('at', url.searchParams.get('at'));
  history.replaceState(null, '', url);
  sections.filter((s) => s.full).forEach(mark);
});

// --- following is a consequence of where one reads, never a mode -------------------
const button = document.createElement('button');
button.type = 'button'; button.className = 'follow'; button.hidden = true;
button.addEventListener('click', () => { follow = true; toEnd(); });
log.after(button);
const end = document.getElementById('log-end');
const atEnd = () => end.getBoundingClientRect().top < innerHeight;
function toEnd() {
  filling = true; end.scrollIntoView({ block: 'end' }); missed = missedBad = 0; label();
  const there = scrollY;
  // A reader who scrolled up in this very frame must not be pulled back by the next lines.
  requestAnimationFrame(() => { filling = false; if (scrollY < there) state(); });
}
const count = (n, word) => n.toLocaleString() + ' ' + word + (n === 1 ? '' : 's');
function label() {
  button.hidden = follow || !missed;
  button.textContent = count(missed, 'new line') + (missedBad ? ', ' + count(missedBad, 'error') : '') + ' ↓';
}
function state() {
  if (filling) return;
  follow = !done && atEnd();
  if (follow || atEnd()) missed = missedBad = 0;
  label();
}
addEventListener('scroll', state, { passive: true });
addEventListener('keydown', (event) => {
  if (event.key === 'End' && !event.target.closest('input,textarea,select')) { follow = !done; requestAnimationFrame(toEnd); }
});

// --- new lines: the stream says that there are some, this fetches them -----------------
let fetching = false, again = false;
async function more() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    let left = true;
    while (left) {
      const last = sections.at(-1);
      const known = total, answer = await fetch(address(0, known));
      if (!answer.ok) break;
      const lines = Number(answer.headers.get('x-lines')), text = await answer.text();
      heads = (answer.headers.get('x-heads') || '').split(',').filter(Boolean).map(Number);
      done = answer.headers.get('x-done') === 'yes';
      const fresh = document.createElement('template');
      fresh.innerHTML = text;
      const came = fresh.content.querySelectorAll('div').length;
      const worse = Number(answer.headers.get('x-errors')) - bad;
      bad += worse;
      total = lines; grow();
      // What belongs to a chunk that is on the page is appended; the rest loads when it comes near.
      if (last && last.full && last.count < CHUNK) {
        for (const el of [...fresh.content.children]) {
          const n = el.tagName === 'DIV' ? Number(el.id.slice(1)) : Number(el.dataset.before);
          if (n > (last.index + 1) * CHUNK) break;
          last.append(el);
          if (el.tagName === 'DIV') last.count += 1;
        }
        mark(last);
      }
      sections.slice(Math.max(0, last ? last.index : 0)).forEach((s) => { if (s.near && !s.full) load(s); else size(s); });
      if (!follow) { missed += Math.max(0, total - known); missedBad += Math.max(0, worse); }
      if (follow) toEnd();
      label();
      left = came > 0 && known + came < lines && follow;
      say(total - known, worse);
    }
  } catch { /* the connection line says so, and the next message tries again */ }
  fetching = false;
  if (again) { again = false; setTimeout(more, 100); }
}
document.addEventListener('changed', (event) => {
  if (event.detail.startsWith('log:') || event.detail === 'reset') more();
});
document.addEventListener('refreshed', () => { if (!done) more(); });

// --- what came is said to readers, but not more than each 10 s ---------------------------
const voice = document.createElement('p');
voice.className = 'skip'; voice.setAttribute('role', 'status');
log.after(voice);
let unsaid = 0, unsaidBad = 0, speaking = 0;
function say(lines, worse) {
  unsaid += lines; unsaidBad += worse;
  if (!unsaid || speaking) return;
  voice.textContent = count(unsaid, 'new line') + ', ' + (unsaidBad ? count(unsaidBad, 'error') : 'no error');
  unsaid = unsaidBad = 0;
  speaking = setTimeout(() => { speaking = 0; say(0, 0); }, 10e3);
}

// --- marks beside the scroll bar -----------------------------------------------------
function draw() {
  document.querySelector('.map')?.remove();
  const map = document.createElement('div'), seen = new Set();
  map.className = 'map'; map.setAttribute('aria-hidden', 'true');
  for (const [lines, kind] of [[errors, ''], [hits, 'hit']]) for (const n of lines) {
    const at = Math.round((n / total) * 400) / 4;
    if (seen.has(kind + at)) continue;
    seen.add(kind + at);
    const link = document.createElement('a');
    link.href = '#L' + n; link.tabIndex = -1; link.className = kind; link.style.top = at + '%';
    map.append(link);
  }
  if (map.firstChild) log.after(map);
}

// --- keys: none of them changes anything but what is seen ----------------------------------
function step(forward) {
  const marks = hits.length ? hits : errors, at = range()?.[0] || 0;
  const next = forward ? marks.find((n) => n > at) : marks.findLast((n) => n < at);
  if (next) location.hash = '#L' + next;
}
addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input,textarea,select')) return;
  const act = {
    '/': () => document.querySelector('.find input[type=search]')?.focus(),
    n: () => step(true), p: () => step(false), w: () => toggle.click(),
    l: () => navigator.clipboard?.writeText(location.href),
    t: () => { const times = [...document.querySelectorAll('#times > *')], on = times.findIndex((e) => e.tagName === 'STRONG'); times.filter((e) => e.tagName !== 'SPAN')[on % (times.length - 1)]?.click(); },
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});

// --- begin ---------------------------------------------------------------------
function setWrap(on) {
  wrap = on; log.classList.toggle('wrap', on);
  toggle.setAttribute('aria-pressed', String(on));
  sections.forEach((s) => { s.seen = 0; size(s); });
}
const toggle = document.createElement('button');
toggle.type = 'button'; toggle.className = 'quiet'; toggle.textContent = 'Wrap lines';
toggle.addEventListener('click', () => {
  setWrap(!wrap);
  const url = new URL(location.href);
  url.searchParams.set('wrap', wrap ? '1' : '0');
  history.replaceState(null, '', url);
});
const copy = document.createElement('button');
copy.type = 'button'; copy.className = 'quiet'; copy.textContent = 'Copy';
copy.addEventListener('click', async () => {
  // From the server, as printed: most of the lines are not on the page.
  const answer = await fetch(document.getElementById('raw').href, { headers: { Range: 'bytes=0-5242879' } });
  const whole = answer.status === 200 || Number(answer.headers.get('content-range')?.split('/')[1]) <= 5242880;
  if (whole) await navigator.clipboard.writeText(await answer.text());
  copy.textContent = whole ? 'Copied' : 'Too long to copy: see raw';
  setTimeout(() => { copy.textContent = 'Copy'; }, 2000);
});
document.querySelector('#log-tools .links')?.prepend(toggle, copy);
for (const el of document.querySelectorAll('.window')) el.hidden = true;
log.textContent = '';
log.classList.add('live');
grow();
setWrap(wrap);
draw();
const start = range() || (log.dataset.open ? [Number(log.dataset.open)] : null);
history.scrollRestoration = 'manual';
if (start) jump(start[0]); else if (!done || log.dataset.end === 'yes') { follow = !done; toEnd(); }
})();
