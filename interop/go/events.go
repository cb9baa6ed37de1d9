package main

import (
	"encoding/json"
	"maps"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// events writes what happens to a client as JSON lines, each with its time.
type events struct {
	lock sync.Mutex
	// always is in every line.
	always map[string]any
}

// nowMs is the host's monotonic clock, which Go's time package does not show.
func nowMs() float64 {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&ts)), 0)
	return float64(ts.Nano()) / 1e6
}

func (e *events) log(event string, more map[string]any) {
	row := map[string]any{"t": nowMs(), "ev": event}
	maps.Copy(row, e.always)
	maps.Copy(row, more)
	line, _ := json.Marshal(row)
	e.lock.Lock()
	defer e.lock.Unlock()
	os.Stdout.Write(append(line, '\n'))
}
