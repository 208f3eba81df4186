// Command bench measures how many events a second the publisher brings to Mosquitto, and compares
// it with a bare socket that writes ready packets, which nothing can beat, and with the two ways
// of publishing that paho.golang offers. All send the same bytes, in turn and in several rounds, so
// that other work on the machine affects all alike; the table shows the medians.
//
// Mosquitto is a process and not a container, because the proxy behind a container's
// port would cost more than the publisher.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A column is a way to use the broker, and a column of the table.
type column struct {
	title          string
	qos            byte
	receiveMaximum int
	subscriber     bool
	target         string // the share that the publisher should reach, for the reader
}

var columns = []column{
	{title: "QoS 0", target: ">= 90%"},
	{title: "with subscriber", subscriber: true, target: ">= 80%"},
	{title: "QoS 1, RM 20", qos: 1, receiveMaximum: 20, target: ">= 75% (95%)"},
	{title: "with subscriber", qos: 1, receiveMaximum: 20, subscriber: true, target: ">= 80%"},
	{title: "QoS 1, RM 65535", qos: 1, receiveMaximum: 65535, target: ">= 55% (75%)"},
	{title: "with subscriber", qos: 1, receiveMaximum: 65535, subscriber: true, target: ">= 80%"},
}

func run(ctx context.Context) error {
	rounds := flag.Int("rounds", 9, "number of rounds")
	each := flag.Duration("each", 400*time.Millisecond, "approximate duration of one measurement")
	profile := flag.String("cpuprofile", "", "write a CPU profile, with the contestants as values of the tag \"who\"")
	only := flag.String("only", "", "measure only contestants whose name contains this text; the first of them is the base of the shares")
	flag.Parse()

	brokers := map[int]string{} // address by Receive Maximum
	for _, receiveMaximum := range []int{20, 65535} {
		address, stop, err := startMosquitto(ctx, receiveMaximum)
		if err != nil {
			return err
		}
		defer stop()
		brokers[receiveMaximum] = address
	}
	sample, err := capture(brokers[20])
	if err != nil {
		return fmt.Errorf("capturing an event: %w", err)
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}

	fmt.Printf("%d cores, payload %d bytes, packet at QoS 1 %d bytes, median of %d rounds\n\n",
		runtime.NumCPU(), len(sample.ordinary.Payload), len(encode(sample.ordinary, 1)), *rounds)
	contestants := slices.DeleteFunc(slices.Clone(contestants), func(c contestant) bool { return !strings.Contains(c.name, *only) })
	results := make([][]result, len(columns))
	for i, column := range columns {
		address := brokers[max(column.receiveMaximum, 20)]
		if results[i], err = compare(ctx, contestants, column, address, sample, *rounds, *each); err != nil {
			return fmt.Errorf("%s: %w", column.title, err)
		}
	}
	printRates(contestants, results)
	return printCosts(brokers[65535])
}

// A result is the result of one contestant in one column.
type result struct {
	rate  float64 // events a second
	share float64 // share of the first contestant's rate in the same round
}

// compare runs all contestants in turn, several times.
func compare(ctx context.Context, contestants []contestant, column column, address string, sample sample, rounds int, each time.Duration) ([]result, error) {
	const warmUp = 5_000
	events := make([]int, len(contestants))
	rates, shares := make([][]float64, len(contestants)), make([][]float64, len(contestants))
	for round := range 1 + rounds {
		for i, c := range contestants {
			n := events[i]
			if round == 0 { // the first round decides the number of events in the others
				n = warmUp
			}
			var rate float64
			var err error
			pprof.Do(ctx, pprof.Labels("who", c.name, "column", column.title), func(context.Context) {
				rate, err = measure(ctx, c, column, address, sample, n)
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if round == 0 {
				events[i] = min(max(int(rate*each.Seconds()), warmUp), maxEvents)
				continue
			}
			rates[i] = append(rates[i], rate)
			shares[i] = append(shares[i], rate/rates[0][round-1])
		}
	}
	results := make([]result, len(contestants))
	for i := range contestants {
		results[i] = result{rate: median(rates[i]), share: median(shares[i])}
	}
	return results, nil
}

// maxEvents is the maximum number of events in one measurement, for which the publisher's queue
// must have room.
const maxEvents = 400_000

// measure returns the rate of n events. The clock stops when the sender knows that all were
// acknowledged, and when the last event, which has another topic, has arrived at the listener.
func measure(ctx context.Context, c contestant, column column, address string, sample sample, n int) (float64, error) {
	filter := sample.last.Topic
	if column.subscriber {
		filter = everything
	}
	listener, err := listen(address, filter, column.qos)
	if err != nil {
		return 0, err
	}
	defer listener.conn.Close()
	sender, err := c.connect(ctx, address, column.qos, sample)
	if err != nil {
		return 0, err
	}
	defer sender.close()
	arrived := make(chan error, 1)
	runtime.GC() // so that the garbage of the last contestant costs this one nothing
	begin := time.Now()
	go func() { arrived <- listener.await(sample.last.Topic) }()
	if err := sender.publish(ctx, n); err != nil {
		return 0, err
	}
	if err := <-arrived; err != nil {
		return 0, fmt.Errorf("waiting for the last event: %w", err)
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

func printRates(contestants []contestant, results [][]result) {
	rows := [][]string{{"events/s"}}
	for _, column := range columns {
		rows[0] = append(rows[0], column.title)
	}
	for i, c := range contestants {
		row := []string{c.name}
		for _, column := range results {
			row = append(row, fmt.Sprintf("%.0f  %3.0f%%", column[i].rate, 100*column[i].share))
		}
		rows = append(rows, row)
	}
	place := func(name string) int {
		return slices.IndexFunc(contestants, func(c contestant) bool { return c.name == name })
	}
	if ours, autopaho := place(nameOfOurs), place(nameOfAutopaho); ours >= 0 && autopaho >= 0 {
		row := []string{"publisher, times autopaho"}
		for _, column := range results {
			row = append(row, fmt.Sprintf("%.1f", column[ours].share/column[autopaho].share))
		}
		rows = append(rows, row)
	}
	targets := []string{"publisher's target (stretch)"}
	for _, column := range columns {
		targets = append(targets, column.target)
	}
	printTable(append(rows, targets))
}

func printTable(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			fmt.Printf("%*s   ", widths[i], cell)
		}
		fmt.Println()
	}
}
