// The fleet. The devices of a small site are tiles with names, those of a large site cells of a map.

import { byId, element, look, number, order, plural, say } from './dom.js'
import { openDrawer } from './drawer.js'
import { away, failing, off, states, well, world } from './world.js'

const maxTiles = 24 // of one site
const classes = ['well', 'off', 'away', 'failing']
const sites = new Map() // by the index of the site
let colours = {}

const counts = states.map((words, state) => {
  const count = element('span')
  byId('legend').append(element('li', '', element('span', `mark ${classes[state]}`), count))
  return n => say(count, `${number(n)} ${words}`)
})

// updateSites sorts the devices by site, and adds and removes the sites on the page.
function updateSites() {
  const members = new Map()
  for (const d of world.devices.values()) {
    if (!members.has(d.site)) members.set(d.site, [])
    members.get(d.site).push(d)
  }
  for (const [index, site] of sites) if (!members.has(index)) { site.part.remove(); sites.delete(index) }
  for (const [index, devices] of [...members].sort(([a], [b]) => a - b)) {
    const isMap = devices.length > maxTiles, site = sites.get(index)
    if (!site || site.isMap !== isMap) { site?.part.remove(); sites.set(index, makeSite(index, isMap)) }
    arrange(sites.get(index), devices)
  }
  order(byId('sites'), [...members.keys()].sort((a, b) => a - b).map(index => sites.get(index).part))
}

function makeSite(index, isMap) {
  const name = world.about.sites[index], count = element('span')
  const site = { name, isMap, count, devices: [], tiles: new Map(), body: element('div', isMap ? 'map' : 'tiles') }
  site.part = element('div', 'site', element('h3', '', name, count), site.body)
  if (isMap) makeMap(site)
  return site
}

// arrange updates the tiles of a site, or marks its map to be laid out again.
function arrange(site, devices) {
  const same = devices.length === site.devices.length && devices.every((d, i) => d === site.devices[i])
  if (same) return
  site.devices = devices
  if (site.isMap) { site.laid = false; return }
  for (const [d, { tile }] of site.tiles) if (!devices.includes(d)) { tile.remove(); site.tiles.delete(d) }
  for (const d of devices) if (!site.tiles.has(d)) { site.tiles.set(d, makeTile(d)); world.changed.add(d) }
  order(site.body, devices.map(d => site.tiles.get(d).tile))
}

function makeTile(device) {
  const mark = element('span', 'mark'), words = element('small'), tile = element('button', 'tile', mark, element('span', '', device.name, words))
  tile.onclick = () => openDrawer(device, tile)
  return { tile, mark, words }
}

function makeMap(site) {
  const canvas = site.canvas = element('canvas'), cursor = element('span', 'cursor')
  site.paper = canvas.getContext('2d')
  site.at = 0
  canvas.tabIndex = 0
  canvas.setAttribute('role', 'application')
  const point = i => {
    site.at = Math.max(0, Math.min(site.devices.length - 1, i))
    const d = site.devices[site.at], x = site.at % site.columns * site.pitch, y = Math.floor(site.at / site.columns) * site.pitch
    Object.assign(cursor.style, { width: `${site.size}px`, height: `${site.size}px`, left: `${x}px`, top: `${y}px` })
    say(byId('pointed'), `${d.name}, ${site.name}: ${states[d.state]}`)
    return d
  }
  const under = e => {
    const box = canvas.getBoundingClientRect()
    return Math.floor((e.clientY - box.y) / site.pitch) * site.columns + Math.min(site.columns - 1, Math.floor((e.clientX - box.x) / site.pitch))
  }
  canvas.onpointermove = e => point(under(e))
  canvas.onclick = e => openDrawer(point(under(e)), canvas)
  canvas.onfocus = () => point(site.at)
  canvas.onkeydown = e => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -site.columns, ArrowDown: site.columns }[e.key]
    if (by) { e.preventDefault(); point(site.at + by) } else if (e.key === 'Enter') openDrawer(site.devices[site.at], canvas)
  }
  site.body.append(canvas, cursor)
}

// layMap assigns a cell to every device of a site. The cells of all maps have the same size.
function layMap(site, width) {
  const scale = devicePixelRatio, pitch = Math.min(25, Math.max(4, Math.floor(Math.sqrt(width * 460 / world.devices.size))))
  site.pitch = pitch
  site.size = pitch - Math.ceil(pitch / 8)
  const maxColumns = Math.max(1, Math.floor(width / pitch))
  site.columns = Math.ceil(site.devices.length / Math.ceil(site.devices.length / maxColumns)) // so that all rows have about the same length
  const height = Math.ceil(site.devices.length / site.columns) * pitch
  site.canvas.width = width * scale
  site.canvas.height = height * scale
  site.canvas.style.height = `${height}px`
  site.paper.setTransform(scale, 0, 0, scale, 0, 0)
  site.devices.forEach((d, i) => { d.cell = i; world.changed.add(d) })
  site.laid = true
}

// settleFleet makes paintFleet lay out all maps again, after a change of the width or the colours.
export function settleFleet(read) {
  colours = read
  for (const site of sites.values()) site.laid = false
}

// paintCell paints the cell of a device. Size shows the state as well as colour: a small square for off,
// a larger one for well, and the whole cell for the others, so that neighbours form a block.
function paintCell({ paper, pitch, size, columns }, d) {
  const x = d.cell % columns * pitch, y = Math.floor(d.cell / columns) * pitch
  paper.clearRect(x, y, pitch, pitch)
  paper.fillStyle = [colours.tile, colours.edge, colours.amber, colours.alarm][d.state]
  if (d.state === off) paper.fillRect(x + size / 3, y + size / 3, size / 3, size / 3)
  else paper.fillRect(x, y, ...d.state === well ? [size, size] : [pitch, pitch])
  if (d.state === away && pitch > 6) paper.clearRect(x + 3, y + 3, size - 6, size - 6)
}

// ringTime is the time in milliseconds for which a tile shows a call.
const ringTime = 350

export function paintFleet() {
  updateSites()
  const width = byId('sites').clientWidth, small = world.devices.size <= 100, now = Date.now()
  for (const site of sites.values()) if (site.isMap && !site.laid) layMap(site, width)
  for (const d of world.changed) {
    world.changed.delete(d)
    if (world.devices.get(d.guid) !== d) continue
    const site = sites.get(d.site)
    if (site.isMap) { paintCell(site, d); continue }
    const t = site.tiles.get(d), called = small && now - d.called < ringTime
    look(t.mark, `mark ${classes[d.state]}`)
    say(t.words, states[d.state])
    look(t.tile, called ? 'tile called' : 'tile')
    if (called) setTimeout(() => world.changed.add(d), ringTime)
  }
  paintCounts()
}

function paintCounts() {
  const all = [0, 0, 0, 0]
  for (const site of sites.values()) {
    let unwell = 0
    for (const d of site.devices) { all[d.state]++; if (d.state === away || d.state === failing) unwell++ }
    say(site.count, unwell ? `${number(unwell)} of ${number(site.devices.length)} not well` : number(site.devices.length))
    look(site.count, unwell ? 'bad' : '')
    const label = `${site.name}, ${site.count.textContent}. Arrow keys move, Enter opens a device.`
    if (site.canvas && site.canvas.getAttribute('aria-label') !== label) site.canvas.setAttribute('aria-label', label)
  }
  counts.forEach((count, state) => count(all[state]))
  say(byId('fleet-count'), `${plural(world.devices.size, 'device')}, ${plural(sites.size, 'site')}, ${world.numbers.clock} there`)
}
