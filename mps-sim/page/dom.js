// Functions that all parts of the page use. An element lives as long as the thing that it shows, so
// that a repaint never loses a click or the focus.

export const byId = id => document.getElementById(id)

export const number = n => Math.round(n).toLocaleString('en')

export const plural = (n, one) => `${number(n)} ${one}${n === 1 ? '' : 's'}`

const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

export const clock = ms => clockFormat.format(ms)

// span formats a duration, such as 9 s, 2 min or 3 h.
export function span(ms) {
  const s = Math.max(1, Math.round(ms / 1000))
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`
}

// element makes an element with a class and children.
export function element(tag, className, ...children) {
  const e = document.createElement(tag)
  if (className) e.className = className
  e.append(...children)
  return e
}

// say, look and order set the text, the class and the children of an element, but only if they differ.
export function say(e, text) { if (e.textContent !== text) e.textContent = text }
export function look(e, className) { if (e.className !== className) e.className = className }
export function order(parent, children) {
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null)
  })
}

// post sends a POST request to mps-sim and returns the answer.
export const post = path => fetch(path, { method: 'POST' })
