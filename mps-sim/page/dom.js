// What all parts of the page use. One rule above all: an element lives as long as the thing that
// it shows, so that no press and no focus is ever lost to a repaint.

export const byId = id => document.getElementById(id)

export const number = n => Math.round(n).toLocaleString('en')

export const plural = (n, one) => `${number(n)} ${one}${n === 1 ? '' : 's'}`

const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

export const clock = ms => clockFormat.format(ms)

// span returns a time in words: 9 s, 2 min, 3 h.
export function span(ms) {
  const s = Math.max(1, Math.round(ms / 1000))
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`
}

export function element(tag, className, ...children) {
  const e = document.createElement(tag)
  if (className) e.className = className
  e.append(...children)
  return e
}

// The three ways in which anything on the page changes: only where it differs.
export function say(e, text) { if (e.textContent !== text) e.textContent = text }
export function look(e, className) { if (e.className !== className) e.className = className }
export function order(parent, children) {
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null)
  })
}

// post asks the server to do something and returns its answer.
export const post = path => fetch(path, { method: 'POST' })
