// Makes a page live. The page is complete without this file: it only says times in the reader's
// zone, refetches the parts of the page that changed, and says when it can no longer do so.
(() => {
'use strict';
const root = document.documentElement, body = document.body;
root.classList.add('js');
const skew = Date.now() - Number(body.dataset.now || Date.now());
const now = () => Date.now() - skew;
const $$ = (query, within = document) => [...within.querySelectorAll(query)];

// --- times -------------------------------------------------------------------
const two = (n) => String(n).padStart(2, '0');
function took(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' m ' + two(s % 60) + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + two(Math.floor(s / 60) % 60) + ' m';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s / 3600) % 24 + ' h';
}
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });
function said(at) {
  const ago = now() - at;
  if (ago >= 0 && ago < 60e3) return 'just now';
  if (ago >= 0 && ago < 3600e3) return Math.floor(ago / 60e3) + ' min ago';
  if (ago >= 0 && ago < 86400e3) return Math.floor(ago / 3600e3) + ' h ago';
  return day.format(at) + ', ' + clock.format(at);
}
function localise(within) {
  for (const el of $$('time[datetime]:not(.raw)', within)) {
    const at = Date.parse(el.dateTime);
    if (Number.isNaN(at)) continue;
    if (!el.dataset.utc) el.dataset.utc = el.textContent;
    const text = said(at);
    if (el.textContent !== text) el.textContent = text;
    el.title = full.format(at) + ' (' + el.dataset.utc + ')';
  }
}
function tick() {
  for (const el of $$('[data-since]')) el.textContent = took(now() - Number(el.dataset.since));
  for (const el of $$('[data-until]')) {
    const left = Number(el.dataset.until) - now();
    el.textContent = left > 0 ? 'in ' + took(left) : took(-left) + ' ago';
  }
}
for (const el of $$('[data-zone]')) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone !== 'UTC') el.textContent = 'Times in ' + zone + ', UTC on hover';
}
localise(document); tick();
setInterval(tick, 1000);
setInterval(() => localise(document), 30e3);

// --- copying: a control that needs a script is made by the script ----------------
function copyable(within) {
  for (const el of $$('[data-copy]', within)) {
    if (el.nextElementSibling?.classList.contains('copy')) continue;
    const button = document.createElement('button');
    button.type = 'button'; button.className = 'quiet copy';
    button.textContent = 'Copy';
    button.setAttribute('aria-label', 'Copy ' + (el.dataset.copy || 'text'));
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(el.textContent.trim());
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
    el.after(button);
  }
}
copyable(document);

// --- parts ---------------------------------------------------------------------
const parts = () => $$('[data-v][id]').map((el) => el.id);
function address(list) {
  const url = new URL(location.href);
  url.hash = ''; url.searchParams.delete('refresh'); url.searchParams.delete('notice');
  url.searchParams.set('part', list.join(','));
  return url;
}
function busy(el) {
  if (el.contains(document.activeElement) && document.activeElement !== body) return true;
  const selection = getSelection();
  if (selection && !selection.isCollapsed && el.contains(selection.anchorNode)) return true;
  return $$('input,textarea,select', el).some((i) => i.tagName === 'SELECT'
    ? [...i.options].some((o) => o.selected !== o.defaultSelected)
    : i.value !== i.defaultValue || i.checked !== i.defaultChecked);
}
function put(old, fresh) {
  document.getElementById('updated-' + old.id)?.remove();
  const open = new Map($$('details[id]', old).map((d) => [d.id, d.open]));
  for (const d of $$('details[id]', fresh)) if (open.has(d.id)) d.open = open.get(d.id);
  localise(fresh); copyable(fresh);
  fresh.classList.add('swapped');
  old.replaceWith(fresh);
  tick();
}
function swap(fresh) {
  const old = document.getElementById(fresh.id);
  if (!old || old.dataset.v === fresh.dataset.v) return;
  if (!busy(old)) return put(old, fresh);
  // Somebody is reading, selecting or typing here: say so, and let them choose the moment.
  document.getElementById('updated-' + old.id)?.remove();
  const button = document.createElement('button');
  button.type = 'button'; button.id = 'updated-' + old.id; button.textContent = 'Updated, show';
  button.addEventListener('click', () => put(document.getElementById(fresh.id), fresh));
  old.before(button);
}
async function refetch(list) {
  const answer = await fetch(address(list), { cache: 'no-cache', headers: { Accept: 'text/html' } });
  if (answer.redirected || answer.status === 401 || answer.status === 403) return location.reload();
  if (!answer.ok) throw new Error('status ' + answer.status);
  const doc = new DOMParser().parseFromString(await answer.text(), 'text/html');
  if (doc.title) document.title = doc.title;
  const icon = doc.querySelector('link[rel=icon]'), shown = document.querySelector('link[rel=icon]');
  if (icon && shown && icon.getAttribute('href') !== shown.getAttribute('href')) shown.href = icon.getAttribute('href');
  for (const el of $$('[data-v][id]', doc)) swap(document.adoptNode(el));
  document.dispatchEvent(new CustomEvent('refreshed'));
}
let timer = 0, failed = 0;
function soon() {
  if (timer) return;
  timer = setTimeout(async () => {
    timer = 0;
    try { await refetch(parts()); failed = 0; well(); }
    catch { failed += 1; unwell(); if (failed < 10) setTimeout(soon, 2000 * failed); }
  }, 250);
}

// --- one stream a tab, none while hidden: browsers allow six connections a host -----
const topics = body.dataset.topics;
const line = document.getElementById('conn');
let stream = null, heard = Date.now(), grey = 0;
function well() {
  heard = Date.now();
  clearTimeout(grey); grey = 0;
  if (line) line.hidden = true;
}
function unwell() {
  if (grey || document.hidden) return;
  const since = clock.format(heard) + ':' + two(new Date(heard).getSeconds());
  grey = setTimeout(() => {
    if (!line) return;
    line.firstElementChild.textContent = 'Not live since ' + since + '. Retrying.';
    line.hidden = false;
  }, 5000);
}
function connect() {
  if (!topics || stream || document.hidden) return;
  stream = new EventSource('/live?topics=' + encodeURIComponent(topics));
  let first = true;
  // Whatever changed between the page and the stream, or while it was cut, is read now.
  stream.onopen = () => { well(); if (!first || failed) soon(); first = false; };
  stream.onmessage = (event) => {
    well();
    document.dispatchEvent(new CustomEvent('changed', { detail: event.data }));
    if (!event.data.startsWith('log:')) soon();
  };
  stream.addEventListener('beat', well);
  stream.addEventListener('reset', () => { well(); document.dispatchEvent(new CustomEvent('changed', { detail: 'reset' })); soon(); });
  stream.onerror = () => { unwell(); if (stream && stream.readyState === 2) { stream = null; setTimeout(connect, 4000); } };
}
function disconnect() { stream?.close(); stream = null; clearTimeout(grey); grey = 0; }
if (topics) {
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return disconnect();
    soon(); connect();
    document.dispatchEvent(new CustomEvent('changed', { detail: 'reset' }));
  });
  addEventListener('pagehide', disconnect);
  // A hidden tab keeps its title and icon true, for a few bytes.
  setInterval(() => { if (document.hidden) refetch(['none']).catch(() => {}); }, 20e3);
  // A stream that says nothing for longer than two beats is cut, whatever the browser believes.
  setInterval(() => { if (stream && Date.now() - heard > 35e3) { disconnect(); unwell(); connect(); } }, 5e3);
  // The page may have changed between its making and now: connect, then read once.
  soon(); connect();
}
const notice = document.querySelector('.notice.bad');
if (notice) notice.focus();
})();
