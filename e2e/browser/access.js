// Returns the faults of the current page by the rules of WCAG 2.2 AA that a program can check: contrast
// of texts (1.4.3), names of controls (4.1.2), ids, headings, size of targets (2.5.8), and no sideways
// scrolling (1.4.10).
(() => {
  const wrong = []
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const rgba = colour => {
    probe.clearRect(0, 0, 1, 1)
    probe.fillStyle = colour
    probe.fillRect(0, 0, 1, 1)
    return [...probe.getImageData(0, 0, 1, 1).data]
  }
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const background = e => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor)
      if (c[3] > 250) return c
    }
    return rgba('white')
  }
  const contrast = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p)
    return (x + 0.05) / (y + 0.05)
  }
  const visible = e => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest('.unseen, [hidden], .skip')
  const about = e => `${e.tagName.toLowerCase()}#${e.id}.${e.className} "${e.textContent.trim().slice(0, 40)}"`

  for (const e of document.body.querySelectorAll('*')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    if (!text || !visible(e) || e.disabled) continue
    const style = getComputedStyle(e), size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700
    const found = contrast(rgba(style.color), background(e))
    if (found < (large ? 3 : 4.5)) wrong.push(`contrast ${found.toFixed(2)}: ${about(e)}`)
  }
  for (const e of document.querySelectorAll('button, select, input, canvas[tabindex], [role=region], [role=dialog], section')) {
    if (!visible(e)) continue
    const by = e.getAttribute('aria-labelledby'), name = e.getAttribute('aria-label') || by && document.getElementById(by)?.textContent || e.matches('button') && e.textContent
    if (!name?.trim()) wrong.push(`no name: ${about(e)}`)
    const box = e.getBoundingClientRect()
    if (e.matches('button, select, input') && (box.height < 24 || box.width < 24)) wrong.push(`smaller than 24 pixels: ${about(e)}`)
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id)
  for (const id of new Set(ids)) if (ids.filter(other => other === id).length > 1) wrong.push(`id ${id} is there twice`)
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1')
  if (!document.documentElement.lang) wrong.push('no language')
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`scrolls sideways: ${document.documentElement.scrollWidth} of ${innerWidth}`)
  return wrong
})()
