// Command screenshots takes the pictures for the documents. It builds and starts mps-sim and takes its
// page at rest and during scenarios, at several widths, light and dark.
//
//	go run ./screenshots --out ../docs/images
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/mps-events/mps-events/e2e/browser"
)

// picture is a picture to take: its name, the size and theme of the window, and the steps before.
type picture struct {
	name          string
	width, height int64
	theme         string
	scenario      string // empty: none
	when          string // a JavaScript expression that is true when the page is ready
	then          string // JavaScript to run before the picture is taken
}

// The JavaScript expressions of the pictures.
const (
	quiet     = `document.querySelector("[data-n=accepted]").textContent > 200`
	alerting  = `document.querySelector("#alert-list .open")`
	holding   = `document.querySelector("[data-n=waiting]").textContent > 25`
	toWhatIfs = `document.querySelector("#whatif").scrollIntoView()`
)

var pictures = []picture{
	{"page-1440-light", 1440, 900, "light", "site", alerting, ""},
	{"page-1440-dark", 1440, 900, "dark", "site", alerting, ""},
	{"page-390-light", 390, 844, "light", "", quiet, ""},
	{"page-390-dark", 390, 844, "dark", "calls", alerting, toWhatIfs},
	{"page-2560-light", 2560, 1440, "light", "broker", holding, ""},
	{"page-drawer", 1440, 900, "light", "server", alerting, `document.querySelector(".tile").click()`},
}

func main() {
	out := flag.String("out", ".", "folder for the pictures")
	root := flag.String("root", "..", "folder of the repository")
	flag.Parse()
	if err := run(*root, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

// run takes all pictures, or only the one with the first of names.
func run(root, out string, names []string) error {
	folder, err := os.MkdirTemp("", "screenshots-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a folder for temporary files
	simulator, err := browser.Build(root, folder)
	if err != nil {
		return err
	}
	chromium, stop, err := browser.Open(context.Background())
	if err != nil {
		return err
	}
	defer stop()
	for _, p := range pictures {
		if len(names) > 0 && names[0] != p.name {
			continue
		}
		content, err := p.take(chromium, simulator)
		if err == nil {
			err = os.WriteFile(filepath.Join(out, p.name+".png"), content, 0o600)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// maxWait is the longest time until the page is ready for a picture.
const maxWait = time.Minute

func (p picture) take(chromium context.Context, simulator string) ([]byte, error) {
	sim, err := browser.Start(simulator)
	if err != nil {
		return nil, err
	}
	defer sim.Kill()
	tab, closeTab, err := browser.Tab(chromium, p.width, p.height, p.theme)
	if err != nil {
		return nil, err
	}
	defer closeTab()
	steps := []browser.Step{
		chromedp.Navigate(sim.URL),
		browser.Until(maxWait, quiet),
	}
	if p.scenario != "" {
		steps = append(steps, browser.Script(`document.querySelector("[data-scenario=%s]").click()`, p.scenario))
	}
	steps = append(steps, browser.Until(maxWait, "%s", p.when))
	if p.then != "" {
		steps = append(steps, browser.Script("%s", p.then), chromedp.Sleep(time.Second))
	}
	if err := chromedp.Do(tab, steps...); err != nil {
		return nil, err
	}
	return chromedp.Run(tab, chromedp.CaptureScreenshot())
}
