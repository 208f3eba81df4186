// What if ...: a card for each scenario, with its progress and the line in which it ended.

import { byId, element, look, number, plural, post, say } from './dom.js'
import { world } from './world.js'

const cards = new Map() // by id
const said = new Map() // what was said aloud of each

function makeCard(act) {
  const c = { name: element('b', '', act.title), time: element('small'), line: element('span'), pages: element('em'), rest: element('span'), bar: element('i') }
  c.button = element('button', '', c.name, c.time, element('p', '', c.line, c.pages, c.rest), c.bar)
  c.button.dataset.scenario = act.id
  c.button.onclick = () => post(`/sim/scenarios/${act.id}`).catch(() => {}) // the page says when mps-sim is away
  byId('scenarios').append(element('li', '', c.button))
  cards.set(act.id, c)
  return c
}

const sentence = text => `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`

// rest is the end of the line: what a bridge would have sent, or what became of the events.
function rest(act) {
  if (act.bridge > act.pages) return `, not ${number(act.bridge)}`
  if (act.waiting) return `, ${number(act.waiting)} still wait`
  if (act.dropped) return `, ${number(act.dropped)} dropped`
  if (act.unread) return `, ${number(act.unread)} not read`
  return ', none lost'
}

export function paintScenarios() {
  if (!world.about.consumer) say(byId('rules-note'), 'Press one and watch the line above. The rules are those of your mps-ilert, which may wait minutes before they page.')
  for (const act of world.acts) {
    const c = cards.get(act.id) ?? makeCard(act), runs = act.state === 'running', ended = act.state === 'ended'
    const seconds = (act.passed ?? 0) / 1000
    look(c.button, act.state)
    say(c.name, act.title)
    c.button.setAttribute('aria-disabled', act.state === 'unavailable')
    c.bar.style.setProperty('--part', runs ? Math.min(1, seconds / act.seconds) : 0)
    say(c.time, runs ? `${Math.max(1, Math.ceil(act.seconds - seconds))} s` : ended || act.state === 'stopped' ? 'again' : `${act.seconds} s`)
    say(c.line, ended ? `${plural(act.events, 'event')}, ` : !runs && act.told ? sentence(act.told) : act.watch)
    say(c.pages, ended ? plural(act.pages, 'page') : '')
    say(c.rest, ended ? rest(act) : '')
    if (ended && said.get(act.id) === 'running') say(byId('said'), `${act.title}: ${c.line.textContent}${c.pages.textContent}${c.rest.textContent}.`)
    said.set(act.id, act.state)
  }
}
