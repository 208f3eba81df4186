// Package browser starts mps-sim and opens its page in a real Chromium. The tests of this folder and
// the command screenshots use it.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Step is an action without a result.
type Step = chromedp.Action[chromedp.Void]

// Build compiles mps-sim from the repository at root into a folder, and returns the path of the binary.
func Build(root, folder string, flags ...string) (string, error) {
	path := filepath.Join(folder, "mps-sim")
	build := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "./mps-sim")...) //nolint:gosec // only tests call it
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mps-sim: %w\n%s", err, out)
	}
	return path, nil
}

// Simulator is a running mps-sim.
type Simulator struct {
	URL    string
	cmd    *exec.Cmd
	output output
}

// pageLine matches the line with the address of the page.
var pageLine = regexp.MustCompile(`(?m)^Page: +(http://\S+)$`)

// maxStart is the longest time until mps-sim prints the address of its page.
const maxStart = 30 * time.Second

// Start starts mps-sim on free ports of the loopback interface. Flags override the addresses.
func Start(path string, flags ...string) (*Simulator, error) {
	s := &Simulator{output: output{page: make(chan string, 1)}}
	s.cmd = exec.Command(path, append([]string{"--http=127.0.0.1:0", "--mqtt=127.0.0.1:0", "--mqtt-ws="}, flags...)...) //nolint:gosec // the binary of Build
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	select {
	case s.URL = <-s.output.page:
		return s, nil
	case <-time.After(maxStart):
	}
	s.Kill()
	return nil, errors.New("mps-sim did not start:\n" + s.output.String())
}

// Kill ends mps-sim at once.
func (s *Simulator) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// output collects the output of mps-sim. Its methods may be called concurrently.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	page chan string // holds the address of the page once it was printed
}

// Write appends to the output.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	if line := pageLine.FindStringSubmatch(o.text.String()); line != nil {
		select {
		case o.page <- line[1]:
		default: // it is there, or was read
		}
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Open starts Chromium. Tab opens tabs with the returned context; cancel ends Chromium.
func Open(ctx context.Context) (browser context.Context, cancel func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("hide-scrollbars", true))
	if os.Getuid() == 0 { // Chromium's sandbox does not work for root, as in a container
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(ctx, options...)
	browser, stopBrowser := chromedp.NewContext(allocator)
	cancel = func() { stopBrowser(); stop() }
	if err = chromedp.Do(browser); err != nil {
		cancel()
	}
	return browser, cancel, err
}

// Tab opens a tab with a size and a theme, "light" or "dark".
func Tab(browser context.Context, width, height int64, theme string) (tab context.Context, closeTab func(), err error) {
	tab, closeTab = chromedp.NewContext(browser)
	if err = chromedp.Do(tab, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(1))); err == nil {
		_, err = chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
	}
	if err != nil {
		closeTab()
	}
	return tab, closeTab, err
}

// Script returns a step that evaluates JavaScript.
func Script(format string, args ...any) Step {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(format, args...))
}

// Until returns a step that waits until a JavaScript expression is true, at most for the time d.
func Until(d time.Duration, format string, args ...any) Step {
	return chromedp.Poll[chromedp.Void](fmt.Sprintf(format, args...), chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(d))
}
