// What a signal means to a caller that waits for its request.
//
// FUSE passes on that a signal has come (FUSE_INTERRUPT), once, whatever signal it was, and waits for the answer all the same:
// uninterruptibly even for SIGKILL. Calls on files are not interrupted by a signal that the program handles or that only stops
// it - a read must not fail with EINTR because a profiler's timer ticks -, but a process that is to die must not be kept. So
// whoever serves a request has to find out which of them it was, from what /proc says of the calling thread; and more than
// once, as the kernel does not tell of a second signal.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace omfs {

// Of a thread, from /proc/PID/status; masks have bit N-1 for signal N.
struct CallerSignals {
  uint64_t pending = 0;  // for the thread or its process
  uint64_t blocked = 0;
  uint64_t ignored = 0;
  uint64_t caught = 0;
  bool traced = false;
};

// nullopt: a line is missing or is not what the kernel writes.
std::optional<CallerSignals> ParseSignals(std::string_view status);

// Whether the thread ends as soon as it gets out of the call. A deadly signal that may dump core is pending as itself; for any
// other the kernel has already made SIGKILL pending for every thread of the process, as it does at exit_group and execve of
// another thread. To a traced process its tracer may give another signal, or none: only SIGKILL is certain.
bool AboutToDie(const CallerSignals& signals);

// Whether /proc/PID/stat says that the thread is on its way out (PF_EXITING): it then closes its files, and no signal reaches it
// any more. nullopt: not what the kernel writes.
std::optional<bool> ParseExiting(std::string_view stat);

// The same of a thread as it is now; of one that cannot be seen (0, or in another pid namespace) neither is known, so false.
bool CallerIsDying(pid_t thread);
bool CallerIsExiting(pid_t thread);

}  // namespace omfs
