'use strict';

// Everything that comes from a peer goes into the page as text, never as markup.
const $ = id => document.getElementById(id);
const pageSize = 50;
let skip = 0;
let token = null;
let allowsActions = false;
let query = new URLSearchParams();

const outcomes = {
  graceful: 'good', acknowledged: 'good', left_to_server: 'fair', linger_timed_out: 'fair', linger_limit_exceeded: 'fair',
  evicted: 'fair', close_timed_out: 'bad', flush_timed_out: 'bad', peer_reset: 'bad', aborted: 'bad',
};

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function count(number) { return Number(number).toLocaleString('en'); }

function time(seconds) {
  return seconds < 60 ? `${seconds.toFixed(1)} s`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`
    : `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
}

function bytes(number) {
  if (number === undefined || number === null) return '?';
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) { number /= 1000; unit++; }
  return `${unit ? number.toFixed(1) : number} ${units[unit]}`;
}

function bars(list, counts, total) {
  list.replaceChildren(...Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([name, number]) => {
    const row = element('li');
    const meter = element('meter');
    meter.max = Math.max(total, 1);
    meter.value = number;
    meter.setAttribute('aria-label', name);
    row.append(element('span', name), meter, element('span', count(number)));
    return row;
  }));
}

// Why a connection that was asked to close is still here.
function why(row) {
  return row.isDashboard ? 'a page like this one'
    : row.isPeerWindowClosed ? 'the peer does not read'
    : row.unacknowledged > 0 ? `${bytes(row.unacknowledged)} are not acknowledged`
    : row.state === 'Lingering' ? 'waits for the peer\'s end'
    : row.activity === 'Busy' ? `the handler has been busy for ${time(row.busy)}`
    : row.activity === 'Unknown' ? 'the handler was told, and ends by itself'
    : 'waits for a moment between two messages';
}

function drawCloses(picture) {
  const svg = $('closes');
  const last = Math.floor(Date.parse(picture.time) / 1000);
  const highest = Math.max(1, ...picture.closes.map(second => Object.values(second.outcomes).reduce((a, b) => a + b, 0)));
  const bars = [];
  const sums = {};
  for (const second of picture.closes) {
    let y = 120;
    for (const [outcome, number] of Object.entries(second.outcomes)) {
      sums[outcome] = (sums[outcome] || 0) + number;
      const height = 116 * number / highest;
      y -= height;
      const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      bar.setAttribute('x', 720 - (last - second.second + 1) * 6);
      bar.setAttribute('y', y);
      bar.setAttribute('width', 5);
      bar.setAttribute('height', height);
      bar.setAttribute('class', outcomes[outcome] || 'fair');
      bars.push(bar);
    }
  }
  svg.replaceChildren(...bars);
  const text = Object.entries(sums).map(([outcome, number]) => `${outcome.replaceAll('_', ' ')}: ${count(number)}`).join(', ');
  $('closes-text').textContent = text ? `${text}. At most ${count(highest)} in a second.` : 'None yet.';
}

function show(picture) {
  $('phase').textContent = picture.phase;
  $('total').textContent = count(picture.total);
  $('asked').textContent = count(picture.holderCount);
  $('lost').textContent = bytes(picture.lostBytes);
  bars($('states'), picture.states, picture.total);
  bars($('activities'), picture.activities, picture.total);
  drawCloses(picture);

  $('drain').hidden = !picture.drain;
  if (picture.drain) {
    const { since, timeout, atStart, left } = picture.drain;
    $('drain-progress').max = Math.max(1, atStart);
    $('drain-progress').value = Math.max(0, atStart - left);
    const limit = timeout ? `, at most ${time(Math.max(0, timeout - since))} more` : ', without a limit';
    $('drain-text').textContent = `${count(left)} of ${count(atStart)} connections are left after ${time(since)}${limit}.`;
  }

  $('holders').hidden = picture.holders.length === 0;
  $('holders-none').hidden = picture.holders.length > 0;
  $('holders').tBodies[0].replaceChildren(...picture.holders.map(row => {
    const line = element('tr');
    line.append(element('td', row.id), element('td', row.remote, 'text'), element('td', row.tag, 'text'),
      element('td', why(row)), element('td', time(row.age), 'number'));
    return line;
  }));
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const wrong = await answer.json().catch(() => null);
  throw new Error(wrong?.error ?? `The server answered ${answer.status}.`);
}

function act(path, body) {
  return ask(path, {
    method: 'POST',
    headers: { 'RequestVerificationToken': token, 'Content-Type': 'application/json' },
    body: body ? JSON.stringify(body) : null,
  });
}

async function attempt(action) {
  try {
    $('message').textContent = '';
    await action();
  } catch (error) {
    $('message').textContent = error.message;
  }
}

async function load() {
  const parameters = new URLSearchParams(query);
  parameters.set('skip', skip);
  parameters.set('take', pageSize);
  const page = await ask(`api/connections?${parameters}`);
  $('found').textContent = page.matching === 0 ? `None of ${count(page.total)} connections.`
    : `${count(skip + 1)} to ${count(skip + page.connections.length)} of ${count(page.matching)}, of ${count(page.total)} connections in all.`;
  $('previous').disabled = skip === 0;
  $('next').disabled = skip + page.connections.length >= page.matching;

  // A button that has the focus keeps it.
  const focused = document.activeElement?.dataset?.id;
  $('list').tBodies[0].replaceChildren(...page.connections.map(row => {
    const line = element('tr');
    line.append(
      element('td', row.id + (row.isTls ? ' (TLS)' : '')), element('td', row.remote, 'text'), element('td', row.tag, 'text'),
      element('td', row.isCloseRequested ? `${row.state}, asked` : row.state), element('td', row.activity),
      element('td', time(row.age), 'number'), element('td', time(row.idle), 'number'), element('td', bytes(row.received), 'number'),
      element('td', bytes(row.written), 'number'), element('td', bytes(row.unacknowledged), 'number'));
    if (allowsActions) {
      const cell = element('td', null, 'action');
      const button = element('button', 'Abort', 'danger');
      button.type = 'button';
      button.dataset.id = row.id;
      button.setAttribute('aria-label', `Abort connection ${row.id}`);
      button.addEventListener('click', () => attempt(async () => {
        if (!confirm(`Abort connection ${row.id}? What is not delivered is lost.`)) return;
        await act(`api/connections/${encodeURIComponent(row.id)}/abort`);
        await load();
      }));
      cell.append(button);
      line.append(cell);
    }
    return line;
  }));
  if (focused) document.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

function drain(body, text) {
  return attempt(async () => {
    if (!confirm(text)) return;
    const { connections } = await act('api/drain', body);
    $('message').textContent = `${count(connections)} connections are asked to close.`;
  });
}

$('query').addEventListener('submit', event => {
  event.preventDefault();
  skip = 0;
  query = new URLSearchParams();
  for (const name of ['filter', 'state', 'activity', 'order']) if ($(name).value) query.set(name, $(name).value);
  attempt(load);
});
$('previous').addEventListener('click', () => { skip = Math.max(0, skip - pageSize); attempt(load); });
$('next').addEventListener('click', () => { skip += pageSize; attempt(load); });
$('drain-form').addEventListener('submit', event => {
  event.preventDefault();
  const tag = $('drain-tag').value;
  if (tag) drain({ tag }, `Drain every connection with the tag "${tag}"?`);
});
$('drain-found').addEventListener('click', () => {
  const filter = $('filter').value;
  drain(filter ? { filter } : { all: true }, filter ? `Drain every connection with "${filter}"?` : 'Drain every connection?');
});

async function start() {
  const first = await ask('api/summary');
  allowsActions = first.allowsActions;
  token = first.requestToken ?? null;
  $('actions').hidden = !allowsActions;
  document.querySelector('#list th.action').hidden = !allowsActions;
  show(first);
  await load();

  const events = new EventSource('api/events');
  let isOver = false;
  events.onopen = () => { $('link').textContent = 'Live.'; };
  events.onmessage = event => show(JSON.parse(event.data));
  events.addEventListener('over', () => {
    isOver = true;
    events.close();
    $('link').textContent = 'The server has drained, and is about to exit.';
  });
  events.onerror = () => { if (!isOver) $('link').textContent = 'The connection to the server is lost. Trying again …'; };
  setInterval(() => { if (!document.hidden && !isOver) load().catch(() => {}); }, 2000);
}

start().catch(error => { $('message').textContent = error.message; });
