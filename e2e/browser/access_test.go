package browser_test

import (
	_ "embed"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"

	. "github.com/mps-events/mps-events/e2e/browser"
)

//go:embed access.js
var access string

// In both themes and at every width all texts have enough contrast, all controls have names and are
// large enough, and the page does not scroll sideways.
func TestEverybodyCanReadAndReachThePage(t *testing.T) {
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 768, 1440, 2560} {
			t.Run(fmt.Sprint(theme, width), func(t *testing.T) {
				p := open(t, width, 900, theme, "--scenario=site", "--rate=10")
				p.failOnErrors()
				p.do(Until(patience, `document.querySelector("#alert-list .open")`))
				p.do(Script(`document.querySelector(".tile").click()`), Until(patience, `!document.querySelector("#drawer").hidden`))
				assert.Empty(t, value[[]string](p, `%s`, access))
				p.do(Script(`document.documentElement.style.setProperty("--soft", "light-dark(#888, #555)")`))
				assert.NotEmpty(t, value[[]string](p, `%s`, access), "the check finds a text with too little contrast")
			})
		}
	}
}

// The Tab key reaches every part of the page, and the focus is visible everywhere.
func TestTheKeyboardReachesEverything(t *testing.T) {
	p := open(t, 1440, 900, "light", "--rate=20")
	p.failOnErrors()
	seen := map[string]bool{}
	for range 60 {
		p.do(chromedp.KeyEvent(kb.Tab))
		seen[value[string](p, `(e => e.dataset.scenario ? "scenario" : e.className === "tile" || e.className === "tile called" ? "tile" : e.tagName === "CANVAS" ? "map" : e.id || e.name || e.className)(document.activeElement)`)] = true
		assert.True(t, value[bool](p, `document.activeElement === document.body || parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2`))
	}
	for _, want := range []string{"skip", "scenario", "map", "tile", "pause", "type", "method", "device", "list"} {
		assert.True(t, seen[want], "Tab does not reach %s: %v", want, seen)
	}
	p.do(
		Script(`document.querySelector("#list").focus()`), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown),
		Until(patience, `document.activeElement.classList.contains("event")`),
	)
	held := value[string](p, `document.activeElement.textContent`)
	p.do(Until(patience, `document.querySelector("#left-out").textContent.startsWith("Holding still")`))
	assert.Equal(t, held, value[string](p, `document.activeElement.textContent`), "the list stands still while a row has the focus")
	p.do(
		Script(`document.querySelector("canvas[tabindex]").focus()`), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.Enter),
		Until(patience, `document.activeElement.id === "drawer-title"`), chromedp.KeyEvent(kb.Escape),
		Until(patience, `document.activeElement.tagName === "CANVAS"`),
	)
}
