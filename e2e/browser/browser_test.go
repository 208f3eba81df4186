package browser_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/mps-events/mps-events/e2e/browser"
)

// patience is the longest time for which a step waits for the page.
const patience = 60 * time.Second

var simulator, chromium = "", context.Context(nil)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "browser-")
		if err == nil {
			defer os.RemoveAll(folder) //nolint:errcheck // a folder for temporary files
			simulator, err = Build("../..", folder)
		}
		if err == nil {
			var stop func()
			if chromium, stop, err = Open(context.Background()); err == nil {
				defer stop()
				return m.Run()
			}
		}
		fmt.Fprintln(os.Stderr, "FAIL: these tests need Chromium, see CONTRIBUTING.md:", err)
		return 1
	}())
}

// page is a tab with the page of an mps-sim that the test has started.
type page struct {
	t   *testing.T
	tab context.Context
	sim *Simulator
}

func open(t *testing.T, width, height int64, theme string, flags ...string) page {
	t.Helper()
	sim, err := Start(simulator, flags...)
	require.NoError(t, err)
	p := page{t: t, sim: sim}
	t.Cleanup(func() { p.sim.Kill() })
	tab, closeTab, err := Tab(chromium, width, height, theme)
	require.NoError(t, err)
	t.Cleanup(closeTab)
	p.tab = tab
	p.do(chromedp.Navigate(sim.URL), chromedp.WaitVisible(chromedp.CSS("#stations h2")), Until(patience, `document.querySelector(".event:not([hidden])")`))
	return p
}

// failOnErrors fails the test if the console of the page shows an error or a warning that contains none
// of the expected texts.
func (p page) failOnErrors(expected ...string) {
	watching, stop := context.WithCancel(p.tab)
	messages := chromedp.Console(watching)
	done := make(chan []string)
	go func() {
		var wrong []string
		for m, err := range messages {
			if err != nil {
				break
			}
			isExpected := slices.ContainsFunc(expected, func(text string) bool { return strings.Contains(m.Text, text) })
			if !isExpected && (m.IsException() || m.Type == "error" || m.Type == "warning") {
				wrong = append(wrong, m.String())
			}
		}
		done <- wrong
	}()
	p.t.Cleanup(func() { stop(); assert.Empty(p.t, <-done) })
}

func (p page) do(steps ...Step) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, 2*patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, steps...))
}

func value[T any](p page, format string, args ...any) T {
	p.t.Helper()
	v, err := chromedp.Run(p.tab, chromedp.Evaluate[T](fmt.Sprintf(format, args...)))
	require.NoError(p.t, err)
	return v
}

// press presses the mouse button in the middle of an element and releases it after a tenth of a second,
// as people do.
func (p page) press(element string, args ...any) {
	p.t.Helper()
	js := fmt.Sprintf(element, args...)
	at := value[[]float64](p, `(() => { const e = %s; e.scrollIntoView({ block: "nearest" }); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()`, js)
	p.do(
		chromedp.MouseEvent(chromedp.MouseMoved, at[0], at[1]),
		chromedp.MouseEvent(chromedp.MousePressed, at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)),
		chromedp.Sleep(100*time.Millisecond),
		chromedp.MouseEvent(chromedp.MouseReleased, at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)),
	)
}

const button = `[...document.querySelectorAll("#calls button")].find(b => b.textContent === %q)`

// When a device does not switch off, the page shows an event and an alert. When it does, the alert ends.
func TestPowerOffMakesAnEventAndAnAlertAppear(t *testing.T) {
	p := open(t, 1440, 900, "light", "--speed=1")
	p.failOnErrors("status of 500")
	assert.True(t, value[bool](p, `!document.querySelector("#no-alert").hidden`))
	p.do(Until(patience, `document.querySelector(".tile .mark.well")`))
	tile := `document.querySelector(".tile:has(.mark.well)")`
	name := value[string](p, `%s.children[1].firstChild.data`, tile)
	p.press("%s", tile)
	p.do(Until(patience, `document.querySelector("#drawer-title").textContent === %q`, name))
	p.press(button, "Let its AMT fail")
	p.do(Until(patience, button, "Mend its AMT"))
	p.press(button, "Switch off")
	p.do(
		Until(patience, `[...document.querySelectorAll(".event.fail")].some(e => e.textContent.includes(%q))`, name),
		Until(patience, `document.querySelector("#alert-list .open.low")?.textContent.includes(%q)`, "Device "+name+" could not be switched"),
		Until(patience, `document.querySelector("#stations li:last-child .mood").textContent === "alerting"`),
		Until(patience, `document.querySelector("#answer").textContent.includes("500")`),
	)
	p.press(button, "Mend its AMT")
	p.do(Until(patience, button, "Let its AMT fail"))
	p.press(button, "Switch off")
	p.do(
		Until(patience, `document.querySelector("#alert-list .ended")?.textContent.match(/ended after \d+ s: the device has obeyed/)`),
		Until(patience, button, "Switch on"),
		Until(patience, `document.querySelector("#trail .success")`),
	)
}

// Deactivation needs two clicks. Escape closes the drawer and returns the focus to the tile.
func TestTheDrawer(t *testing.T) {
	p := open(t, 1440, 900, "light", "--speed=1")
	p.failOnErrors()
	p.do(Script(`document.querySelector(".tile").focus()`), chromedp.KeyEvent(kb.Enter), Until(patience, `document.activeElement.id === "drawer-title"`))
	p.do(chromedp.KeyEvent(kb.Escape), Until(patience, `document.activeElement === document.querySelector(".tile") && document.querySelector("#drawer").hidden`))
	before := value[int](p, `document.querySelectorAll(".tile").length`)
	p.press(`document.querySelector(".tile")`)
	p.press(button, "Deactivate")
	p.do(Until(patience, button, "Deactivate for good?"))
	assert.Equal(t, before, value[int](p, `document.querySelectorAll(".tile").length`))
	p.press(button, "Deactivate for good?")
	p.do(Until(patience, `document.querySelectorAll(".tile").length === %d`, before-1), Until(patience, `document.querySelector("#facts dd").textContent === "deactivated"`))
}

func TestEachWhatIfEndsAsItSays(t *testing.T) {
	p := open(t, 1440, 900, "dark", "--speed=1", "--rate=8")
	p.failOnErrors()
	for _, c := range []struct{ id, line string }{
		{"laptop", `^\d+ events, 0 pages, not \d+$`},
		{"site", `^\d+ events, 1 page, not \d{2}$`},
		{"server", `^\d+ events, 1 page, `},
		{"calls", `^\d+ events, 1 page, not \d{2,3}$`},
		{"broker", `^\d+ events, 0 pages, none lost$`},
		{"ilert", `^\d+ events, 1 page, `},
		{"maintenance", `^[\d,]+ events, 1 page, not \d{2,3}$`},
		{"reconnect", `^20,\d{3} events, 0 pages, not 10,\d{3}$`},
		{"rollout", `^\d+ events, 1 page, not 2$`},
		{"deactivate", `^\d+ events, 1 page, `},
	} {
		card := fmt.Sprintf(`document.querySelector("[data-scenario=%s]")`, c.id)
		began := time.Now()
		p.press("%s", card)
		p.do(Until(patience, `%s.className === "running"`, card), Until(patience, `%s.className === "ended"`, card))
		assert.Less(t, time.Since(began), 25*time.Second, c.id) // 20 at most, and some for a busy machine
		assert.Regexp(t, c.line, value[string](p, `%s.querySelector("p").textContent`, card), c.id)
	}
	p.do(Until(patience, `document.querySelector("#alerts-count").textContent === "none open"`))
	sum := value[[]string](p, `["accepted", "acknowledged", "waiting", "dropped", "pages"].map(n => document.querySelector("[data-n=" + n + "]").textContent)`)
	assert.Equal(t, "0", sum[3])
	assert.Equal(t, "7 pages", sum[4])
}

// A visitor acts like a person at ilert: accepts and closes an alert, and puts ilert into maintenance.
func TestAVisitorActsAtIlert(t *testing.T) {
	p := open(t, 1440, 900, "light", "--speed=1")
	p.failOnErrors()
	const event = `fetch("/api/events", { method: "POST", body: JSON.stringify({ integrationKey: "k", eventType: "ALERT", alertKey: "a", summary: "a door is open" }) })`
	const button = `[...document.querySelectorAll("#alert-list .open button")].find(b => b.textContent === %q)`
	p.do(Script(event), Until(patience, button, "Accept"))
	p.press(button, "Accept")
	p.do(Until(patience, `document.querySelector("#alert-list .open")?.textContent.includes("accepted")`))
	p.press(button, "Close")
	p.do(Until(patience, `document.querySelector("#alert-list .ended")?.textContent.includes("closed by you")`))
	p.press(`document.querySelector("#maintenance")`)
	p.do(Until(patience, `document.querySelector("#maintenance").textContent === "End maintenance"`), Script(event))
	p.press(`document.querySelector("#maintenance")`)
	p.do(Until(patience, `document.querySelector("#maintenance").textContent === "Begin maintenance"`))
	assert.Equal(t, "none open", value[string](p, `document.querySelector("#alerts-count").textContent`))
	p.do(Script(event), Until(patience, `document.querySelector("#alerts-count").textContent === "1 open"`))
}

// At 20 calls a second every click reaches the element below the pointer.
func TestNoPressIsLost(t *testing.T) {
	p := open(t, 1440, 1400, "light", "--rate=20", "--speed=600")
	p.failOnErrors()
	p.do(Script(`window.clicks = []; addEventListener("click", e => clicks.push(e.target.closest("button")?.textContent))`))
	const each = 8
	for i := range each {
		p.press(`document.querySelectorAll(".tile")[%d]`, i)
		p.do(Until(patience, `document.querySelector("#drawer-title").textContent === document.querySelectorAll(".tile")[%d].children[1].firstChild.data`, i))
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	for i := range each {
		p.press(`document.querySelector("#pause")`)
		p.do(Until(patience, `document.querySelector("#pause").getAttribute("aria-pressed") === "%v"`, i%2 == 0))
	}
	assert.Equal(t, 2*each, value[int](p, `clicks.filter(c => c).length`))
	for range each { // a row does not move away under the pointer
		row := `[...document.querySelectorAll(".event:not([hidden])")].find(r => r.event.device && r.getBoundingClientRect().y > document.querySelector("#list").getBoundingClientRect().y + 40)`
		p.press("%s", row)
		p.do(Until(patience, `!document.querySelector("#drawer").hidden`), chromedp.KeyEvent(kb.Escape), Until(patience, `document.querySelector("#drawer").hidden`))
	}
}

// With 10,000 devices and 1,000 events a second the tab takes less than half a core and 200 MB, and the
// page shows which events and alerts it leaves out.
func TestThePageStaysWithinItsBounds(t *testing.T) {
	p := open(t, 1440, 900, "light", "--devices=10000", "--rate=500")
	p.failOnErrors()
	_, err := chromedp.Call(p.tab, performance.Enable, performance.EnableParams{TimeDomain: "threadTicks"})
	require.NoError(t, err)
	p.do(Until(patience, `document.querySelector("#fleet-count").textContent.startsWith("10,000 devices")`), chromedp.Sleep(3*time.Second))
	busy, _ := p.metrics()
	began := time.Now()
	p.do(chromedp.Sleep(10 * time.Second))
	after, heap := p.metrics()
	share := (after - busy) / time.Since(began).Seconds()
	t.Logf("main thread: %.2f of a core, heap %.0f MB, %s messages/s", share, heap/1e6, value[string](p, `document.querySelectorAll(".big span")[2].textContent`))
	assert.Less(t, share, 0.5)
	assert.Less(t, heap, 200e6)
	assert.Contains(t, value[string](p, `document.querySelector("#leaves-out").textContent`), "The counts above leave out nothing")
	assert.Less(t, value[int](p, `document.querySelectorAll(".event").length`), 60)
}

func (p page) metrics() (busySeconds, heapBytes float64) {
	p.t.Helper()
	m, err := chromedp.Call(p.tab, performance.GetMetrics, struct{}{})
	require.NoError(p.t, err)
	for _, metric := range m.Metrics {
		switch metric.Name {
		case "TaskDuration":
			busySeconds = metric.Value
		case "JSHeapUsedSize":
			heapBytes = metric.Value
		}
	}
	return busySeconds, heapBytes
}

func TestThePageReconnects(t *testing.T) {
	p := open(t, 1440, 900, "light")
	address := strings.TrimPrefix(p.sim.URL, "http://")
	p.sim.Kill()
	p.do(Until(patience, `document.querySelector("#live").textContent.includes("does not answer")`))
	assert.Positive(t, value[int](p, `document.querySelectorAll(".tile").length`), "the page keeps showing the devices")
	again, err := Start(simulator, "--http="+address, "--devices=20")
	require.NoError(t, err)
	t.Cleanup(again.Kill)
	p.do(Until(patience, `document.querySelector("#live").textContent === "live" && document.querySelector("#fleet-count").textContent.startsWith("20 devices")`))
}
