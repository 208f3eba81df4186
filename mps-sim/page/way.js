// The way: five stations on a line with their numbers, and dots for passing calls, events and pages.

import { byId, element, look, number, plural, say } from './dom.js'
import { world } from './world.js'

const percent = share => `${Math.floor(share * 100)}%`

// stations lists for each station its name, description, state, large number and rows.
const stations = [
  ['Call', a => `REST, to one of ${plural(a.servers.length, 'server')}`,
    n => n.serversUp < n.servers ? ['broken', 'a server is gone'] : n.answeredWell < 0.8 ? ['busy', 'many fail'] : ['well', 'well'],
    n => [number(n.callRate), 'calls/s'],
    n => [['answered well', percent(n.answeredWell), n.answeredWell < 0.8], ['servers up', `${n.serversUp} of ${n.servers}`, n.serversUp < n.servers]]],
  ['Event', () => 'made by the middleware',
    n => n.waiting > 0 && (!n.brokerUp || n.waiting > 4 * n.callRate + 100) ? ['busy', 'holding'] : ['well', 'well'],
    n => [number(n.accepted), 'accepted'],
    n => [['acknowledged', number(n.acknowledged)], ['waiting', number(n.waiting), !n.brokerUp && n.waiting > 0], ['dropped', number(n.dropped), n.dropped > 0]]],
  ['Broker', () => 'MQTT 5, to whoever listens',
    n => n.brokerUp ? ['well', 'well'] : ['broken', n.listening < 0 ? 'away' : 'stopped'],
    n => [number(n.messageRate), 'messages/s'],
    (n, a) => [['listening', n.listening < 0 ? 'not known' : plural(n.listening, 'client')], ['topic', a.topic]]],
  ['Rules', a => a.consumer ? 'decide what matters' : 'run in an mps-ilert of yours',
    (n, a) => a.consumer ? ['well', 'well'] : ['well', 'elsewhere'],
    (n, a) => [a.consumer ? number(n.read) : '–', 'read'],
    (n, a) => a.consumer
      ? [['counted, no more', number(n.counted)], ['about an alert', number(n.about)], ['not understood', number(n.notUnderstood), n.notUnderstood > 0]]
      : [['counted, no more', '–'], ['about an alert', '–'], ['not understood', '–']]],
  ['ilert', a => a.realIlert ? 'the real one: people are paged' : 'pages whoever is on call',
    n => n.ilert === 'down' || n.failing ? ['broken', 'does not answer'] : n.ilert === 'maintenance' ? ['busy', 'in maintenance'] : n.open ? ['busy', 'alerting'] : ['well', 'well'],
    n => [number(n.open), n.open === 1 ? 'alert open' : 'alerts open'],
    (n, a) => [[a.realIlert ? 'requests taken' : 'pages sent', number(n.pages)], ['waiting to be sent', number(n.unsent), n.unsent > 0 && (n.failing || n.ilert !== 'working')]]],
]

let places = []

function build(n, about) {
  places = stations.map(([name, what, mood, big, rows]) => {
    const p = { mood, big, rows, mark: element('i'), word: element('span', 'mood'), number: element('span'), unit: element('small'), cells: [], short: element('span') }
    const list = element('dl')
    for (const [label] of rows(n, about)) {
      const cell = element('dd')
      p.cells.push(cell)
      list.append(element('dt', '', label), cell)
    }
    p.item = element('li', '', p.mark, element('h2', '', name), p.word, element('p', 'what', what(about)), element('p', 'big', p.number, ' ', p.unit), list)
    p.glance = element('li', '', name, p.short)
    return p
  })
  byId('stations').replaceChildren(...places.map(p => p.item))
  byId('glance').replaceChildren(...places.map(p => p.glance))
  measure()
}

const counted = [...document.querySelectorAll('[data-n]')]

export function paintWay() {
  const n = world.numbers, about = world.about
  if (!places.length) build(n, about)
  for (const p of places) {
    const [state, word] = p.mood(n, about), [big, unit] = p.big(n, about)
    p.state = state
    look(p.item, state)
    look(p.glance, state)
    say(p.word, word)
    say(p.short, state === 'well' ? '' : ` ${word}`)
    say(p.number, big)
    say(p.unit, unit)
    p.rows(n, about).forEach(([, value, bad], i) => {
      say(p.cells[i], value)
      look(p.cells[i], bad ? 'bad' : '')
    })
  }
  for (const b of counted) say(b, b.dataset.n === 'pages' ? plural(n.pages, about.realIlert ? 'request' : 'page') : number(n[b.dataset.n]))
}

// The dots. At most ten start per second on each leg between two stations, except pages, which all
// start. Dots queue before a broken station.
const still = matchMedia('(prefers-reduced-motion: reduce)')
const flow = byId('flow'), ink = flow.getContext('2d')
const travel = 1100, gap = 100, maxDots = 160 // travel: milliseconds for a leg; gap: milliseconds between two dots
const dots = [], last = [0, 0, 0, 0]
let marks = [], colours = {}, clean = false

function spawn(leg, kind) {
  const now = performance.now()
  if (still.matches || kind !== 'page' && now - last[leg] < gap) return
  last[leg] = now
  if (dots.length < maxDots) dots.push({ leg, at: 0, kind })
}

let before = null

// pulse starts a dot on each leg that something has passed since the last call of pulse.
export function pulse(fresh) {
  const n = world.numbers, then = before ?? n
  before = n
  if (n.calls > then.calls) spawn(0, 'call')
  if (n.accepted > then.accepted) spawn(1, fresh.some(e => e.type === 'fail') ? 'fail' : 'event')
  if (n.messages > then.messages) spawn(2, fresh.some(e => e.type === 'fail') ? 'fail' : 'event')
  if (n.pages > then.pages) spawn(3, 'page')
}

// measure fits the canvas to its size and finds the stations on it.
export function measure() {
  const box = flow.getBoundingClientRect(), scale = devicePixelRatio
  flow.width = box.width * scale
  flow.height = box.height * scale
  ink.setTransform(scale, 0, 0, scale, 0, 0)
  marks = places.map(({ mark }) => {
    const m = mark.getBoundingClientRect()
    return [m.x + m.width / 2 - box.x, m.y + m.height / 2 - box.y]
  })
  clean = false
}

// readColours reads the colours of the theme from the style sheet.
export function readColours() {
  const probe = document.body.appendChild(element('i'))
  for (const name of ['line', 'edge', 'flow', 'alarm', 'tile', 'amber']) {
    probe.style.color = `var(--${name})`
    colours[name] = getComputedStyle(probe).color
  }
  probe.remove()
  clean = false
  return colours
}

// blocked reports whether the station behind a leg is broken.
const blocked = leg => leg === 1 && places[2].state === 'broken' || leg === 3 && places[4].state === 'broken'

export function paintFlow(passed) {
  if (!marks.length) return
  const moods = places.map(p => p.state).join()
  if (!dots.length && clean === moods) return // nothing moves
  clean = dots.length ? false : moods
  ink.clearRect(0, 0, flow.width, flow.height)
  for (let leg = 0; leg < 4; leg++) paintLeg(leg, passed)
  for (let i = dots.length - 1; i >= 0; i--) if (dots[i].at >= 1) dots.splice(i, 1)
}

function paintLeg(leg, passed) {
  const [x1, y1] = marks[leg], [x2, y2] = marks[leg + 1], length = Math.hypot(x2 - x1, y2 - y1), shut = blocked(leg), edge = 18 / length
  ink.strokeStyle = shut ? colours.alarm : colours.edge
  ink.lineWidth = 1.5
  ink.setLineDash(shut ? [4, 6] : [])
  ink.beginPath()
  ink.moveTo(x1 + (x2 - x1) * edge, y1 + (y2 - y1) * edge)
  ink.lineTo(x2 - (x2 - x1) * edge, y2 - (y2 - y1) * edge)
  ink.stroke()
  let queue = 0
  for (const d of dots) {
    if (d.leg !== leg) continue
    const limit = shut ? 1 - edge * 1.3 - queue++ * 9 / length : 1
    d.at = Math.min(d.at + passed / travel, Math.max(limit, edge))
    ink.fillStyle = { fail: colours.alarm, page: colours.amber }[d.kind] ?? colours.flow
    ink.beginPath()
    ink.arc(x1 + (x2 - x1) * d.at, y1 + (y2 - y1) * d.at, d.kind === 'page' ? 6 : 3, 0, 7)
    ink.fill()
  }
}
