package memory_test

import (
	"testing"

	"github.com/mps-events/mps-events/internal/alerting"
	"github.com/mps-events/mps-events/internal/store/memory"
	"github.com/mps-events/mps-events/internal/store/storetest"
)

func open(*testing.T) storetest.Backend {
	s := memory.New()
	return storetest.Backend{Store: s, Reopen: func(*testing.T) alerting.Store { return s }}
}

func TestMemory(t *testing.T) { storetest.Run(t, open) }
