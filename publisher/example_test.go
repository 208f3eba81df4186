package publisher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/mps-events/mps-events/event"
	"github.com/mps-events/mps-events/publisher"
)

// A Config has fields for which there is no environment variable. Without an address, as here
// where MPS_MQTT_ADDRESS is empty, a Publisher works and publishes nothing.
func ExampleNew() {
	pub, err := publisher.New(publisher.Config{
		Address:          os.Getenv("MPS_MQTT_ADDRESS"), // such as mqtts://broker.example
		Topic:            "mps/events/{guid}/{method}",
		ClientID:         "console-1",
		Status:           true, // others see on mps/status/console-1 whether this server runs
		MessageExpiry:    24 * time.Hour,
		MaxBufferedBytes: 16 << 20,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pub.Shutdown(context.Background()) }()
	fmt.Println(pub.Publish(event.PowerChanged("4c4c4544-004b-4210-8033-b6c04f504633")))

	_, err = publisher.New(publisher.Config{Topic: "mps/#"})
	fmt.Println(err)
	// Output:
	// <nil>
	// publisher: Topic "mps/#" (MPS_MQTT_TOPIC): a topic to publish to may not hold the wildcards + and #
}

// Hooks feed the metrics of a server: each reason is a label.
func ExampleHooks() {
	lost := map[string]uint64{} // in a server, a counter of Prometheus
	pub, err := publisher.New(publisher.Config{
		Hooks: publisher.Hooks{
			Dropped:  func(reason publisher.DropReason, events uint64) { lost["dropped "+string(reason)] += events },
			Rejected: func(reason publisher.RejectReason, events uint64) { lost["rejected "+string(reason)] += events },
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pub.Publish(event.Event{Type: "succes"}))
	_ = pub.Shutdown(context.Background()) // no hook is called after it
	fmt.Println(lost)
	// Output:
	// publisher: event: type "succes": want request, success or fail
	// map[rejected invalid:1]
}

// A command that ends soon waits until the broker has acknowledged its events.
func ExamplePublisher_Flush() {
	pub, err := publisher.FromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = pub.Publish(event.Removed("4c4c4544-004b-4210-8033-b6c04f504633"))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("all acknowledged or dropped:", pub.Flush(ctx) == nil)
	_ = pub.Shutdown(ctx)
	// Output: all acknowledged or dropped: true
}

// Stats have a JSON form, for a page of the server.
func ExamplePublisher_Stats() {
	pub, err := publisher.New(publisher.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pub.Shutdown(context.Background()) }()
	text, err := json.MarshalIndent(pub.Stats(), "", " ")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(text))
	// Output:
	// {
	//  "accepted": 0,
	//  "acknowledged": 0,
	//  "dropped": 0,
	//  "dropped_by": {
	//   "overflow": 0,
	//   "expired": 0,
	//   "too_large": 0,
	//   "refused": 0,
	//   "ends_connection": 0,
	//   "spool": 0
	//  },
	//  "pending": 0,
	//  "rejected": 0,
	//  "rejected_by": {
	//   "full": 0,
	//   "closed": 0,
	//   "invalid": 0,
	//   "too_large": 0
	//  },
	//  "spool_errors": 0,
	//  "oldest_pending_ns": 0
	// }
}
