package spool_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/publisher"
	"github.com/mps-events/mps-events/publisher/spool"
)

const child = "SPOOL_TEST_CHILD"

// runChild publishes until its process is killed.
func runChild() {
	s, err := spool.Open(os.Getenv(child))
	if err != nil {
		panic(err)
	}
	pub, err := publisher.New(publisher.Config{Address: "127.0.0.1:1", Spool: s})
	if err != nil {
		panic(err)
	}
	for n := 0; ; n++ {
		if err := pub.Publish(numbered(n)); err != nil {
			panic(err)
		}
		fmt.Println(n, time.Now().UnixMilli()) // accepted
		time.Sleep(100 * time.Microsecond)     // the pace of the events
	}
}

func TestAKilledProcessLosesAtMostTheLastMoment(t *testing.T) {
	addr, dir := nobody(t), t.TempDir()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), child+"="+dir)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	defer func() { _ = command.Process.Kill() }()
	accepted := map[int]int64{}
	last := 0
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var at int64
		if _, err := fmt.Sscan(lines.Text(), &last, &at); err != nil {
			break // the last line was cut off
		}
		accepted[last] = at
		if last == 1000 {
			require.NoError(t, command.Process.Kill())
		}
	}
	_ = command.Wait()
	require.GreaterOrEqual(t, len(accepted), 1000)

	reader := comeUp(t, addr)
	pub := start(t, publisher.Config{Address: addr, Spool: open(t, dir)})
	taken := int(pub.Stats().Accepted)
	require.NotZero(t, taken)
	reader.inOrder(taken)
	flush(t, pub)
	if taken <= last {
		lost := time.Duration(accepted[last]-accepted[taken]) * time.Millisecond
		t.Logf("lost the last %d of %d events, of the last %v", last-taken+1, last+1, lost)
		// SpoolInterval and two writes, on a machine whose disk or processor may be busy.
		assert.Less(t, lost, time.Second)
	}
}
