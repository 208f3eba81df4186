// The list of events. Only the visible rows exist as elements, and an event keeps its row while it
// moves down.

import { byId, clock, element, look, number, plural, say } from './dom.js'
import { openDrawer } from './drawer.js'
import { maxEvents, world } from './world.js'

const rowHeight = 28, list = byId('list'), rows = byId('rows'), pool = [], filter = byId('filter').elements
let shown = [], until = 0, paused = false, pointing = false, wanted = ''

function makeRow() {
  const row = element('button', 'event', ...Array.from({ length: 5 }, () => element('span')))
  row.tabIndex = -1 // Tab stops once at the list; arrow keys move in it
  row.onclick = () => { if (row.event.device) openDrawer(row.event.device, row) }
  rows.append(row)
  return row
}

// reading reports whether the visitor reads: the pointer is on the list, a row has the focus, or the
// list is scrolled. The list then stands still.
const reading = () => paused || pointing || list.scrollTop > 0 || rows.contains(document.activeElement)

// filterEvents filters the events.
function filterEvents() {
  const device = filter.device.value.trim().toLowerCase(), type = filter.type.value, method = filter.method.value
  shown = world.events.slice(-maxEvents).filter(e =>
    (!type || e.type === type) && (!method || e.method === method) && (!device || e.name.includes(device) || e.guid.includes(device)))
  until = world.events.at(-1)?.n ?? 0
  rows.style.height = `${shown.length * rowHeight}px`
}

export function paintEvents() {
  const now = [filter.type.value, filter.method.value, filter.device.value].join('\n')
  if (now !== wanted || !reading()) { wanted = now; filterEvents() }
  place()
  addMethods()
  say(byId('left-out'), status())
  say(byId('topic'), world.about.topic)
}

// place assigns the visible events to rows. An event that has a row keeps it.
function place() {
  const first = Math.floor(list.scrollTop / rowHeight), count = Math.ceil(list.clientHeight / rowHeight) + 1
  while (pool.length < count) pool.push(makeRow())
  const seen = []
  for (let i = 0; i < count; i++) {
    const e = shown[shown.length - 1 - first - i]
    if (e) seen.push(e)
  }
  const has = new Map(pool.map(row => [row.event, row])), keep = new Set(seen), free = pool.filter(row => !keep.has(row.event))
  seen.forEach((e, i) => {
    const row = has.get(e) ?? free.pop()
    if (!row) return
    row.style.transform = `translateY(${(first + i) * rowHeight}px)`
    row.hidden = false
    if (row.event === e) return
    row.event = e
    look(row, `event ${e.type}`)
    ;[clock(e.at), e.type, e.method, e.message, e.name].forEach((text, j) => say(row.children[j], text))
  })
  for (const row of free) { row.hidden = true; row.event = null }
}

// status returns the line below the list.
function status() {
  const n = world.numbers, newer = (world.events.at(-1)?.n ?? 0) - until
  if (!n.brokerUp) return `The broker is away: ${plural(n.waiting, 'event')} wait before it.`
  if (reading() && newer > 0) return `Holding still: ${number(newer)} newer.`
  if (!shown.length) return world.events.length ? 'No event like this yet.' : 'No event yet.'
  const here = Math.min(maxEvents, world.events.length)
  return `${world.leftOut ? '' : 'The newest '}${number(here)} of ${number(n.messages)} are here${world.leftOut ? '; what came too fast was left out' : ''}.`
}

let methods = 0

function addMethods() {
  if (methods === world.methods.size) return
  methods = world.methods.size
  const known = new Set([...filter.method.options].map(o => o.value))
  for (const method of [...world.methods].sort()) if (!known.has(method)) filter.method.append(element('option', '', method))
}

list.onscroll = () => { if (world.numbers) { place(); say(byId('left-out'), status()) } }
list.onkeydown = e => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key], at = shown.indexOf(document.activeElement.event)
  if (!step || !shown.length) return
  e.preventDefault()
  const next = Math.max(0, Math.min(shown.length - 1, at < 0 ? 0 : shown.length - 1 - at + step)), event = shown[shown.length - 1 - next]
  list.scrollTop = Math.max(Math.min(list.scrollTop, next * rowHeight), (next + 1) * rowHeight - list.clientHeight)
  place()
  pool.find(row => row.event === event)?.focus({ preventScroll: true })
}
list.onpointerenter = e => { pointing = e.pointerType === 'mouse' }
list.onpointerleave = () => { pointing = false }
byId('filter').oninput = () => { list.scrollTop = 0; paintEvents() }
byId('filter').onsubmit = e => e.preventDefault()
byId('pause').onclick = () => {
  paused = !paused
  byId('pause').setAttribute('aria-pressed', paused)
  say(byId('pause'), paused ? 'Go on' : 'Pause')
}
