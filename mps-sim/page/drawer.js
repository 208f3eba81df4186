// The drawer: a device with buttons for calls, and its last events.

import { byId, clock, element, look, say } from './dom.js'
import { away, failing, off, states, world } from './world.js'

let opened = null, opener = null

const api = '/api/v1/amt/'
const power = action => ['POST', g => `${api}power/action/${g}`, { action }]

// calls lists the buttons: the label and the request for a device. Paths below /sim are not part of MPS.
const calls = [
  [() => 'Read power state', () => ['GET', g => `${api}power/state/${g}`]],
  [d => d.state === off ? 'Switch on' : 'Switch off', d => power(d.state === off ? 2 : 8)],
  [() => 'Reset', () => power(10)],
  [() => 'Read version', () => ['GET', g => `${api}version/${g}`]],
  [() => 'Read audit log', () => ['GET', g => `${api}log/audit/${g}?startIndex=1`]],
  [() => 'Ask for consent', () => ['GET', g => `${api}userConsentCode/${g}`]],
  [d => d.state === away ? 'Connect' : 'Disconnect', d => ['POST', g => `/sim/devices/${g}/${d.state === away ? 'connect' : 'disconnect'}`]],
  [d => d.state === failing ? 'Mend its AMT' : 'Let its AMT fail', d => ['POST', g => `/sim/devices/${g}/${d.state === failing ? 'recover' : 'trouble'}`]],
]

const buttons = calls.map(([words, request]) => {
  const button = element('button', 'quiet')
  button.onclick = () => send(...request(opened))
  byId('calls').append(button)
  return [button, words]
})

// Deactivation cannot be undone, so the button asks for a second click.
const deactivate = element('button', 'quiet danger', 'Deactivate')
let confirmTimer = 0
deactivate.onclick = () => {
  if (!confirmTimer) {
    look(deactivate, 'quiet danger sure')
    say(deactivate, 'Deactivate for good?')
    confirmTimer = setTimeout(stopAsking, 4000)
    return
  }
  stopAsking()
  send('DELETE', g => `${api}deactivate/${g}`)
}
byId('calls').append(deactivate)

// stopAsking resets the button.
function stopAsking() {
  clearTimeout(confirmTimer)
  confirmTimer = 0
  look(deactivate, 'quiet danger')
  say(deactivate, 'Deactivate')
}

// send makes a call for the device and shows the status of the answer.
async function send(method, path, body) {
  const guid = opened.guid, began = performance.now()
  const shown = path(`${guid.slice(0, 8)}…`)
  try {
    const headers = body ? { 'Content-Type': 'application/json' } : {}
    const answer = await fetch(path(guid), { method, headers, body: body && JSON.stringify(body) })
    const took = Math.max(1, Math.round(performance.now() - began))
    if (opened?.guid === guid) say(byId('answer'), `${method} ${shown}: ${answer.status} ${answer.statusText}, ${took} ms`)
  } catch {
    say(byId('answer'), `${method} ${shown}: mps-sim does not answer`)
  }
}

// openDrawer shows a device. When the drawer closes, the focus returns to the element from.
export function openDrawer(device, from) {
  opened = device
  opener = from
  stopAsking()
  say(byId('answer'), '')
  say(byId('drawer-title'), device.name)
  byId('drawer').hidden = false
  paintDrawer()
  byId('drawer-title').focus()
}

const facts = ['State', 'Site', 'Server', 'guid'].map(name => {
  const value = element('dd')
  byId('facts').append(element('dt', '', name), value)
  return value
})

export function paintDrawer() {
  if (!opened) return
  const d = opened, gone = world.devices.get(d.guid) !== d
  for (const [button, words] of buttons) { say(button, words(d)); button.disabled = gone }
  deactivate.disabled = gone
  ;[gone ? 'deactivated' : states[d.state], world.about.sites[d.site], world.about.servers[d.site], d.guid].forEach((text, i) => say(facts[i], text))
  const trail = byId('trail'), last = world.events.filter(e => e.guid === d.guid).slice(-6).reverse()
  while (trail.childElementCount < last.length) trail.append(element('li', '', element('span'), element('span'), element('span')))
  while (trail.childElementCount > last.length) trail.lastChild.remove()
  last.forEach((e, i) => {
    look(trail.children[i], e.type)
    ;[clock(e.at), e.type, e.message].forEach((text, j) => say(trail.children[i].children[j], text))
  })
}

function closeDrawer() {
  byId('drawer').hidden = true
  opened = null
  ;(opener?.isConnected && !opener.hidden ? opener : byId('list')).focus()
}
byId('close').onclick = closeDrawer
addEventListener('keydown', e => { if (e.key === 'Escape' && opened) closeDrawer() })
