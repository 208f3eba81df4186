// What if ...: a card for each scenario with its progress and its outcome.

import { byId, element, look, number, plural, post, say } from './dom.js'
import { world } from './world.js'

const cards = new Map() // by id
const announced = new Map() // by id: the state that a screen reader has last heard

function makeCard(scenario) {
  const c = { name: element('b', '', scenario.title), time: element('small'), line: element('span'), pages: element('em'), rest: element('span'), bar: element('i') }
  c.button = element('button', '', c.name, c.time, element('p', '', c.line, c.pages, c.rest), c.bar)
  c.button.dataset.scenario = scenario.id
  c.button.onclick = () => post(`/sim/scenarios/${scenario.id}`).catch(() => {}) // the page shows when mps-sim does not answer
  byId('scenarios').append(element('li', '', c.button))
  cards.set(scenario.id, c)
  return c
}

const sentence = text => `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`

// rest returns the end of the outcome: the number of alerts from a bridge, or the fate of the events.
function rest(scenario) {
  if (scenario.bridge > scenario.pages) return `, not ${number(scenario.bridge)}`
  if (scenario.waiting) return `, ${number(scenario.waiting)} still wait`
  if (scenario.dropped) return `, ${number(scenario.dropped)} dropped`
  if (scenario.unread) return `, ${number(scenario.unread)} not read`
  return ', none lost'
}

export function paintScenarios() {
  if (!world.about.consumer) say(byId('rules-note'), 'Press one and watch the line above. The rules are those of your mps-ilert, which may wait minutes before they page.')
  for (const scenario of world.scenarios) {
    const c = cards.get(scenario.id) ?? makeCard(scenario), runs = scenario.state === 'running', ended = scenario.state === 'ended'
    const seconds = (scenario.passed ?? 0) / 1000
    look(c.button, scenario.state)
    say(c.name, scenario.title)
    c.button.setAttribute('aria-disabled', scenario.state === 'unavailable')
    c.bar.style.setProperty('--part', runs ? Math.min(1, seconds / scenario.seconds) : 0)
    say(c.time, runs ? `${Math.max(1, Math.ceil(scenario.seconds - seconds))} s` : ended || scenario.state === 'stopped' ? 'again' : `${scenario.seconds} s`)
    say(c.line, ended ? `${plural(scenario.events, 'event')}, ` : !runs && scenario.reason ? sentence(scenario.reason) : scenario.watch)
    say(c.pages, ended ? plural(scenario.pages, 'page') : '')
    say(c.rest, ended ? rest(scenario) : '')
    if (ended && announced.get(scenario.id) === 'running') say(byId('said'), `${scenario.title}: ${c.line.textContent}${c.pages.textContent}${c.rest.textContent}.`)
    announced.set(scenario.id, scenario.state)
  }
}
