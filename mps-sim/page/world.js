// The state that the server has sent so far. The other modules read and paint it.

export const maxEvents = 5000
export const states = ['connected', 'switched off', 'disconnected', 'failing']
export const [well, off, away, failing] = states.keys()

export const world = {
  about: null, // null: not connected yet
  numbers: null,
  scenarios: [],
  alerts: [],
  devices: new Map(), // by guid
  changed: new Set(), // devices to be painted
  events: [], // oldest first
  methods: new Set(),
  leftOut: 0, // events that the server did not send because there were too many
  connected: false,
}

// take applies a message of the server, and returns the new events unless it is the first message.
export function take(news) {
  const w = world
  if (news.about) greet(news.about)
  Object.assign(w, { numbers: news.numbers, scenarios: news.scenarios })
  for (const [guid, name, site, state, role] of news.devices ?? []) {
    const device = w.devices.get(guid) ?? { guid, name, site, role, called: 0 }
    device.state = state
    w.devices.set(guid, device)
    w.changed.add(device)
  }
  for (const guid of news.gone ?? []) w.devices.delete(guid)
  if (news.alerts) w.alerts = news.alerts
  const newest = w.events.at(-1)?.n ?? 0, now = Date.now(), fresh = []
  for (const [n, at, type, message, method, guid, outcome] of news.events ?? []) {
    if (n <= newest) continue
    const device = w.devices.get(guid), event = { n, at, type, message, method, guid, outcome, device, name: nameOf(guid) }
    if (device && !news.about) { device.called = now; w.changed.add(device) }
    w.methods.add(method)
    fresh.push(event)
  }
  w.events.push(...fresh)
  if (w.events.length > maxEvents * 1.2) w.events.splice(0, w.events.length - maxEvents)
  w.leftOut += news.leftOut ?? 0
  return news.about ? [] : fresh
}

// greet starts with an empty state if mps-sim was restarted.
function greet(about) {
  const w = world
  if (w.about && w.about.started !== about.started) {
    w.devices.clear()
    w.events = []
    w.alerts = []
    w.leftOut = 0
  }
  w.about = about
}

// nameOf returns the name of a device, or the beginning of its guid if the fleet has no such device.
export const nameOf = guid => world.devices.get(guid)?.name ?? (guid ? `${guid.slice(0, 8)}…` : '')

const guids = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

// named replaces the guids in a text by the names of the devices.
export const named = text => text.replace(guids, guid => nameOf(guid))
