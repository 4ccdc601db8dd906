package process

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Split assigns half of the cores to the measured process, and the other half to the load
// and the upstream. With fewer than four cores, it returns nil: all processes share all
// cores.
func Split() (measured, load []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, nil, err
	}
	var cores []int
	for core := range 1024 {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	if len(cores) < 4 {
		return nil, nil, nil
	}
	half := len(cores) / 2
	return cores[:half], cores[half:], nil
}

// Pin restricts this process to cores. It does nothing if cores is nil.
func Pin(cores []int) error {
	if cores == nil {
		return nil
	}
	set := setOf(cores)
	threads, err := filepath.Glob("/proc/self/task/[0-9]*")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, set); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// onCores calls start on a thread restricted to cores. A process started by it inherits
// the restriction, and sees only these cores.
func onCores(cores []int, start func() error) error {
	if cores == nil {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, setOf(cores)); err != nil {
		return err
	}
	if err := start(); err != nil {
		return err
	}
	return unix.SchedSetaffinity(0, &before)
}

func setOf(cores []int) *unix.CPUSet {
	set := new(unix.CPUSet)
	for _, core := range cores {
		set.Set(core)
	}
	return set
}
