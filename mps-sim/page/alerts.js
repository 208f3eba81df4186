// The alerts at ilert, the open ones first.

import { byId, clock, element, look, number, order, plural, post, say, span } from './dom.js'
import { named, world } from './world.js'

const maxAlerts = 12, maxNames = 3
const largeNumber = /(?<![\w-])\d{4,}(?![\w-])/g // not in guids and names
const items = new Map() // by id
const waiting = element('li', 'high waits', element('b'), element('p'))

// makeItem makes the item of an alert, with the buttons of a person at ilert.
function makeItem(id) {
  const acts = element('div', 'acts')
  for (const [text, act] of [['Accept', 'accept'], ['Close', 'resolve']]) {
    const button = element('button', 'act', text)
    button.onclick = () => post(`/sim/alerts/${id}/${act}`).catch(() => {}) // the page shows when mps-sim does not answer
    acts.append(button)
  }
  return element('li', '', element('b'), element('p'), element('p'), acts)
}

const maintenance = byId('maintenance')
maintenance.onclick = () => post(`/sim/ilert/${world.numbers.ilert === 'maintenance' ? 'working' : 'maintenance'}`).catch(() => {})

// members shortens the list of members in the details of an alert: a few names, and the number of the rest.
function members(details = '') {
  const names = details.split(/, | and (?=\d)/), more = Number(/^(\d+) more/.exec(names.at(-1))?.[1] ?? 0)
  const all = more ? names.slice(0, -1) : names
  if (all.length + more <= maxNames) return named(details)
  return `${all.slice(0, maxNames).map(named).join(', ')} and ${number(all.length - maxNames + more)} more`
}

// paintAlerts shows the newest alerts, and whether alerts wait to be sent.
export function paintAlerts() {
  const isOpen = a => a.status !== 'RESOLVED'
  const newest = world.alerts.toReversed().sort((a, b) => isOpen(b) - isOpen(a)).slice(0, maxAlerts)
  const shown = newest.map(a => {
    if (!items.has(a.id)) items.set(a.id, makeItem(a.id))
    const item = items.get(a.id), [summary, list, state, acts] = item.children
    const since = Date.parse(a.reportTime), end = isOpen(a) ? Date.now() : Date.parse(a.resolvedOn)
    const low = a.priority === 'LOW'
    look(item, `${low ? 'low' : 'high'} ${isOpen(a) ? 'open' : 'ended'}`)
    say(summary, named(a.summary.replace(largeNumber, number)))
    say(list, a.details && !a.summary.includes(a.details) ? members(a.details) : '')
    say(state, isOpen(a) ? `${a.status === 'ACCEPTED' ? 'accepted' : low ? 'low priority' : 'high priority'}, since ${clock(since)}, ${span(end - since)}` : `ended after ${span(end - since)}${a.endedBy ? `: ${a.endedBy}` : ''}`)
    acts.hidden = !isOpen(a)
    acts.firstChild.disabled = a.status === 'ACCEPTED'
    return item
  })
  const n = world.numbers
  maintenance.hidden = world.about.realIlert
  say(maintenance, n.ilert === 'maintenance' ? 'End maintenance' : 'Begin maintenance')
  if (n.unsent && (n.failing || n.ilert !== 'working')) {
    say(waiting.children[0], `${plural(n.unsent, 'alert')} ${n.unsent === 1 ? 'waits' : 'wait'} to be sent`)
    say(waiting.children[1], n.ilert === 'maintenance' ? 'ilert is in maintenance.' : 'ilert does not answer.')
    shown.unshift(waiting)
  } else waiting.remove()
  const list = byId('alert-list')
  for (const [id, item] of items) if (!shown.includes(item)) { item.remove(); items.delete(id) }
  order(list, shown)
  const open = world.alerts.filter(isOpen).length
  say(byId('alerts-count'), world.about.realIlert ? '' : open ? `${open} open` : 'none open')
  byId('no-alert').hidden = shown.length > 0
  if (world.about.realIlert) say(byId('no-alert'), 'They are at the real ilert: look there.')
}
