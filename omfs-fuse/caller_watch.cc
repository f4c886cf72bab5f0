#include "omfs-fuse/caller_watch.h"

#include <fmt/format.h>

#include <charconv>
#include <csignal>
#include <string>

#include "omfs-fuse/proc_file.h"

namespace omfs {
namespace {

constexpr uint64_t kExiting = 0x4;  // include/linux/sched.h PF_EXITING

constexpr uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }

// Those whose default action ends the process. The rest is ignored, stops or continues it (signal(7)); the real-time signals
// all end it.
constexpr uint64_t kHarmless =
    Bit(SIGCHLD) | Bit(SIGURG) | Bit(SIGWINCH) | Bit(SIGCONT) | Bit(SIGSTOP) | Bit(SIGTSTP) | Bit(SIGTTIN) | Bit(SIGTTOU);
constexpr uint64_t kDeadly = ~kHarmless;

// The number after "NAME:\t" at the beginning of a line.
std::optional<uint64_t> Field(std::string_view text, std::string_view name, int base) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    line.remove_prefix(name.size() + 1);
    const size_t first = line.find_first_not_of(" \t");
    if (first == line.npos) return std::nullopt;
    line.remove_prefix(first);
    uint64_t value = 0;
    const auto [p, ec] = std::from_chars(line.data(), line.data() + line.size(), value, base);
    if (ec != std::errc() || p != line.data() + line.size()) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<CallerSignals> ParseSignals(std::string_view status) {
  const auto own = Field(status, "SigPnd", 16), shared = Field(status, "ShdPnd", 16);
  const auto blocked = Field(status, "SigBlk", 16), ignored = Field(status, "SigIgn", 16);
  const auto caught = Field(status, "SigCgt", 16), tracer = Field(status, "TracerPid", 10);
  if (!own || !shared || !blocked || !ignored || !caught || !tracer) return std::nullopt;
  return CallerSignals{*own | *shared, *blocked, *ignored, *caught, *tracer != 0};
}

bool AboutToDie(const CallerSignals& s) {
  if ((s.pending & Bit(SIGKILL)) != 0) return true;
  return !s.traced && (s.pending & ~s.blocked & ~s.ignored & ~s.caught & kDeadly) != 0;
}

std::optional<bool> ParseExiting(std::string_view stat) {
  // "PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS ..."; the name may hold anything, so count from the last ')'.
  const size_t name_end = stat.rfind(')');
  if (name_end == stat.npos) return std::nullopt;
  std::string_view rest = stat.substr(name_end + 1);
  for (int field = 3;; ++field) {
    if (rest.empty() || rest.front() != ' ') return std::nullopt;
    rest.remove_prefix(1);
    const std::string_view word = rest.substr(0, std::min(rest.find_first_of(" \n"), rest.size()));
    if (field == 9) {
      uint64_t flags = 0;
      const auto [p, ec] = std::from_chars(word.data(), word.data() + word.size(), flags);
      if (ec != std::errc() || p != word.data() + word.size()) return std::nullopt;
      return (flags & kExiting) != 0;
    }
    rest.remove_prefix(word.size());
  }
}

bool CallerIsDying(pid_t thread) {
  if (thread <= 0) return false;
  const std::optional<std::string> status = ReadProcFile(fmt::format("/proc/{}/status", thread));
  if (!status) return false;
  const std::optional<CallerSignals> signals = ParseSignals(*status);
  return signals && AboutToDie(*signals);
}

bool CallerIsExiting(pid_t thread) {
  if (thread <= 0) return false;
  const std::optional<std::string> stat = ReadProcFile(fmt::format("/proc/{}/stat", thread));
  return stat && ParseExiting(*stat).value_or(false);
}

}  // namespace omfs
