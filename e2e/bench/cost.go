package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mps-events/mps-events/publisher"
)

// printCosts prints the cost of one call of Publish for its caller.
func printCosts(address string) error {
	rows := [][]string{{"Publish alone", "ns", "allocations", "target"}}
	for _, c := range []struct {
		name   string
		config publisher.Config
	}{
		{"no address", publisher.Config{}},
		{"broker away, queue full", publisher.Config{Address: "127.0.0.1:1", Capacity: 1024}},
		{"broker there, QoS 0", publisher.Config{Address: address, QoS: publisher.AtMostOnce}},
		{"broker there, QoS 1", publisher.Config{Address: address}},
	} {
		cost, err := costOfPublish(c.config)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		rows = append(rows, []string{c.name, fmt.Sprint(cost.NsPerOp()), fmt.Sprint(cost.AllocsPerOp()), "<= 250, 0"})
	}
	fmt.Println()
	printTable(rows)
	return nil
}

func costOfPublish(config publisher.Config) (testing.BenchmarkResult, error) {
	pub, err := publisher.New(config)
	if err != nil {
		return testing.BenchmarkResult{}, err
	}
	defer func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = pub.Shutdown(now) // the undelivered events do not matter
	}()
	cost := testing.Benchmark(func(b *testing.B) { //nolint:thelper // it is the benchmark
		for b.Loop() {
			if err = pub.Publish(ordinary); err != nil && !errors.Is(err, publisher.ErrFull) {
				b.Fatal(err)
			}
		}
	})
	return cost, nil
}
