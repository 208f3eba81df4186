'use strict'

const byId = id => document.getElementById(id)

// element makes one; text from outside is only ever set as text.
function element(tag, className, ...children) {
  const e = document.createElement(tag)
  if (className) e.className = className
  e.append(...children)
  return e
}

const row = (...cells) => element('tr', '', ...cells.map(c => c instanceof Element ? c : element('td', '', c)))
const cell = (className, text) => element('td', className, text)

// Devices by guid, for the names in the stream.
let names = new Map()

async function refresh() {
  let state
  try {
    state = await (await fetch('sim/state')).json()
  } catch {
    showBroker('mps-sim does not answer: has it been stopped?', true)
    return
  }
  const b = state.broker
  const where = b.embedded ? b.address : 'the broker of MPS_MQTT_ADDRESS'
  showBroker(b.connected ? `MQTT Explorer: ${where}, topic ${b.topic}` : `${where} is away; events wait for it`, !b.connected)
  byId('topic').textContent = b.topic
  byId('counters').replaceChildren(...Object.entries(state.publisher).map(([name, n]) =>
    element('div', '', element('dt', '', name), element('dd', '', n.toLocaleString('en')))))
  names = new Map(state.devices.map(d => [d.guid, d.hostname]))
  byId('devices-count').textContent = `${state.connected} of ${state.total} connected`
  showDevices(state.devices)
  showAlerts(state.alerts, state.realIlert)
}

function showBroker(text, away) {
  byId('broker').textContent = text
  byId('broker').className = away ? 'away' : ''
}

function showDevices(devices) {
  byId('devices-empty').hidden = devices.length > 0
  // A rebuilt button would lose the focus of whoever uses the keyboard.
  const key = JSON.stringify(devices)
  if (byId('devices').dataset.key === key) return
  byId('devices').dataset.key = key
  byId('devices').replaceChildren(...devices.map(d => {
    const [state, mood] = !d.connected ? ['disconnected', 'warn'] : d.trouble ? ['in trouble', 'bad'] : ['well', 'good']
    const host = cell('', d.hostname)
    host.title = d.guid
    return row(host, cell(mood, state), cell(d.on ? '' : 'faint', d.on ? 'on' : 'off'), element('td', '',
      button('read', () => call('GET', `amt/power/state/${d.guid}`)),
      button(d.on ? 'off' : 'on', () => call('POST', `amt/power/action/${d.guid}`, { action: d.on ? 8 : 2 })),
      button(d.trouble ? 'recover' : 'trouble', () => happen(d, d.trouble ? 'recover' : 'trouble')),
      button(d.connected ? 'disconnect' : 'connect', () => happen(d, d.connected ? 'disconnect' : 'connect')),
      button('deactivate', () => call('DELETE', `amt/deactivate/${d.guid}`)),
    ))
  }))
}

function button(text, action) {
  const b = element('button', '', text)
  b.onclick = async () => { await action(); refresh() }
  return b
}

const call = (method, path, body) => fetch(`api/v1/${path}`, { method, body: body && JSON.stringify(body) })
const happen = (device, what) => fetch(`sim/devices/${device.guid}/${what}`, { method: 'POST' })

const time = ms => new Date(ms).toLocaleTimeString('en-GB')

function showAlerts(alerts, elsewhere) {
  const open = alerts.filter(a => a.status !== 'RESOLVED').length
  byId('alerts-count').textContent = elsewhere ? 'at ilert' : `${open} open`
  byId('alerts-empty').textContent = elsewhere ? 'They go to ilert itself.' : 'No alerts.'
  byId('alerts-empty').hidden = alerts.length > 0
  const mood = { PENDING: 'bad', ACCEPTED: 'warn', RESOLVED: 'good' }
  // The open ones first, each the newest first.
  const shown = alerts.toReversed().sort((a, b) => (a.status === 'RESOLVED') - (b.status === 'RESOLVED')).slice(0, 30)
  byId('alerts').replaceChildren(...shown.map(a => {
    const [guid, method] = a.alertKey.split('/')
    const title = method ? `${names.get(guid) ?? guid}: ${method}` : a.alertKey
    const item = element('li', '', element('span', mood[a.status], a.status), element('span', '', title),
      element('p', '', `since ${time(a.createdAt)}, ${a.events} event${a.events === 1 ? '' : 's'}`))
    item.title = a.summary
    return item
  }))
}

const mostEvents = 60

function showEvent(message) {
  let e
  try {
    e = JSON.parse(message.payload)
  } catch {
    e = null
  }
  byId('events-empty').hidden = true
  const line = e && typeof e === 'object'
    ? row(time(e.timestamp), cell(e.type, e.type), [e.methods].flat().join(', '), e.message ?? '', cell('faint', names.get(e.guid) ?? e.guid ?? ''))
    : row('', '', '', message.payload, '')
  line.title = `${message.topic} ${message.payload}`
  byId('events').prepend(line)
  while (byId('events').childElementCount > mostEvents) byId('events').lastChild.remove()
}

// EventSource connects again by itself; the server then sends the newest anew.
const source = new EventSource('sim/events')
source.onopen = () => byId('events').replaceChildren()
source.onmessage = m => showEvent(JSON.parse(m.data))

refresh().then(() => setInterval(refresh, 1000))
