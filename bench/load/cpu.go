package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// clockTick is the unit of the times in /proc/<pid>/stat (USER_HZ), which is
// 100 on every architecture that Linux runs on today.
const clockTick = 10 * time.Millisecond

// usage is the CPU time that a process and its descendants have taken.
type usage struct {
	// Total is exact to the scheduler's clock.
	Total time.Duration
	// User and System are the kernel's split of it, in steps of clockTick.
	User, System time.Duration
}

func (u usage) minus(before usage) usage {
	return usage{u.Total - before.Total, u.User - before.User, u.System - before.System}
}

// treeUsage adds up a process and the descendants that are alive: a server that
// hands work to a child process must not look cheaper for it.
func treeUsage(root int) (usage, error) {
	if root == 0 {
		return usage{}, nil
	}
	parents, times, err := processes()
	if err != nil {
		return usage{}, err
	}
	if _, alive := times[root]; !alive {
		return usage{}, fmt.Errorf("process %d is not running", root)
	}
	sum := usage{}
	for pid, split := range times {
		if !descends(pid, root, parents) {
			continue
		}
		total, err := processClock(pid)
		if err != nil {
			total = split.User + split.System
		}
		sum.Total += total
		sum.User += split.User
		sum.System += split.System
	}
	return sum, nil
}

func descends(pid, root int, parents map[int]int) bool {
	for pid > 1 && pid != root {
		pid = parents[pid]
	}
	return pid == root
}

// processes reads every process's parent and CPU times.
func processes() (map[int]int, map[int]usage, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, nil, fmt.Errorf("the bench reads CPU counters from /proc: %w", err)
	}
	parents, times := map[int]int{}, map[int]usage{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		// The command's name may hold spaces and brackets: fields count from
		// the last bracket. proc(5): ppid is field 4, utime 14, stime 15.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 13 {
			continue
		}
		numbers := [3]int64{}
		for i, at := range []int{1, 11, 12} {
			numbers[i], _ = strconv.ParseInt(string(fields[at]), 10, 64)
		}
		parents[pid] = int(numbers[0])
		times[pid] = usage{
			User:   time.Duration(numbers[1]) * clockTick,
			System: time.Duration(numbers[2]) * clockTick,
		}
	}
	return parents, times, nil
}

// processClock reads the CPU clock of another process: the counter that
// /proc/<pid>/stat shows in ticks of 10 ms, in nanoseconds. The identifier is
// what clock_getcpuclockid(3) computes (CPUCLOCK_SCHED of a process).
func processClock(pid int) (time.Duration, error) {
	const sched = 2
	clock := (^uintptr(pid))<<3 | sched
	now := syscall.Timespec{}
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		return 0, errno
	}
	return time.Duration(now.Nano()), nil
}
