// The page of mps-sim. The server sends changes five times a second, and the page repaints numbers and
// rows as often. It repaints the dots thirty times a second.

import { paintAlerts } from './alerts.js'
import { byId, look, number, say } from './dom.js'
import { paintDrawer } from './drawer.js'
import { paintEvents } from './events.js'
import { paintFleet, settleFleet } from './fleet.js'
import { measure, paintFlow, paintWay, pulse, readColours } from './way.js'
import { paintScenarios } from './whatif.js'
import { maxEvents, take, world } from './world.js'

const frameTime = 30, paintTime = 190 // milliseconds

const feed = new EventSource('/sim/feed')
feed.onmessage = message => {
  const fresh = take(JSON.parse(message.data))
  world.connected = true
  pulse(fresh)
}
feed.onerror = () => { world.connected = false } // the browser reconnects by itself

function paintLive() {
  document.body.classList.toggle('lost', !world.connected)
  look(byId('live'), world.connected ? '' : 'bad')
  say(byId('live').lastChild, world.connected ? 'live' : 'mps-sim does not answer. The page looks again each second.')
}

function paintFooter() {
  const dots = world.numbers.messageRate / 10
  say(byId('leaves-out'), `What this page leaves out: ${dots > 2 ? `one dot on the line is about ${number(dots)} events; ` : ''}of the events it keeps the newest ${number(maxEvents)}, of the alerts it shows the newest 12. The counts above leave out nothing.`)
  const [host, port] = world.about.broker.split(':'), topic = world.about.topic
  say(byId('watch-along'), port ? `Watch along: mosquitto_sub -V 5 -p ${port} -t '${topic}' -F '%p %P', or MQTT Explorer at mqtt://${host}:${port}` : `Watch along: any MQTT client, topic ${topic}`)
}

let before = performance.now(), painted = 0
function frame(now) {
  requestAnimationFrame(frame)
  const passed = Math.min(250, now - before)
  if (passed < frameTime) return
  before = now
  if (world.numbers) paintFlow(passed)
  if (now - painted < paintTime) return
  painted = now
  paintLive()
  if (!world.numbers) return
  for (const paint of [paintWay, paintScenarios, paintFleet, paintEvents, paintAlerts, paintDrawer, paintFooter]) paint()
}

// settle adapts the page to another width or theme.
function settle() {
  settleFleet(readColours())
  measure()
}
let width = 0
new ResizeObserver(() => { if (innerWidth !== width) { width = innerWidth; settle() } }).observe(document.body)
matchMedia('(prefers-color-scheme: dark)').onchange = settle
new IntersectionObserver(([way]) => document.body.classList.toggle('scrolled', !way.isIntersecting)).observe(byId('way'))

settle()
requestAnimationFrame(frame)
