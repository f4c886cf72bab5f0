#include "migration/syscall_filter.h"

#include <linux/audit.h>

#include <cstddef>

#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

using Program = std::vector<sock_filter>;

constexpr sock_filter Statement(uint16_t code, uint32_t k) { return {code, 0, 0, k}; }
constexpr sock_filter Jump(uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false) {
  return {static_cast<uint16_t>(BPF_JMP | code), if_true, if_false, k};
}
constexpr sock_filter Load(size_t offset) {
  return Statement(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}
constexpr sock_filter Return(uint32_t verdict) { return Statement(BPF_RET | BPF_K, verdict); }

// A jump to the common end, whose distance is filled in when the program is complete.
constexpr uint32_t kToEnd = 0xffff'ffff;
constexpr sock_filter kJumpToEnd = Statement(BPF_JMP | BPF_JA, kToEnd);

// Numbers from `first` up to the next range that get the same code.
struct Range {
  uint32_t first;
  enum { kAllow, kNotify, kTest } verdict;
  const ArgTests* tests = nullptr;
};

std::vector<Range> Ranges() {
  std::vector<Range> ranges;
  for (const SyscallSpec& spec : kSyscallTable) {
    Range r{spec.nr, Range::kNotify};
    if (spec.cls == SyscallClass::kLocal) r.verdict = Range::kAllow;
    if (!spec.local_if.empty()) r = {spec.nr, Range::kTest, &spec.local_if};
    const bool same =
        !ranges.empty() && r.verdict != Range::kTest && ranges.back().verdict == r.verdict;
    if (!same) ranges.push_back(r);
  }
  // Everything beyond the table, with it x32 (bit 30) and -1.
  if (ranges.back().verdict != Range::kNotify)
    ranges.push_back({static_cast<uint32_t>(kSyscallCount), Range::kNotify});
  return ranges;
}

// Low half of an argument; x86-64 is little-endian.
constexpr size_t ArgOffset(uint8_t arg) { return offsetof(seccomp_data, args) + 8 * arg; }

Program Leaf(const Range& range) {
  if (range.verdict == Range::kAllow) return {Return(SECCOMP_RET_ALLOW)};
  if (range.verdict == Range::kNotify) return {kJumpToEnd};
  Program code;
  for (size_t i = 0; i < range.tests->count; ++i) {
    const ArgTest& test = range.tests->tests[i];
    code.push_back(Load(ArgOffset(test.arg)));
    if (static_cast<uint32_t>(test.mask) != 0xffff'ffff)
      code.push_back(Statement(BPF_ALU | BPF_AND | BPF_K, static_cast<uint32_t>(test.mask)));
    code.push_back(Jump(BPF_JEQ | BPF_K, static_cast<uint32_t>(test.value), 0, 1));
    code.push_back(Return(SECCOMP_RET_ALLOW));
  }
  code.push_back(kJumpToEnd);
  return code;
}

// Balanced search for the number in the accumulator.
Program Search(const Range* begin, const Range* end) {
  if (end - begin == 1) return Leaf(*begin);
  const Range* middle = begin + (end - begin) / 2;
  const Program left = Search(begin, middle);
  const Program right = Search(middle, end);
  Program code;
  // Conditional jumps reach 255 instructions.
  if (left.size() <= 255) {
    code.push_back(Jump(BPF_JGE | BPF_K, middle->first, static_cast<uint8_t>(left.size()), 0));
  } else {
    code.push_back(Jump(BPF_JGE | BPF_K, middle->first, 0, 1));
    code.push_back(Statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(left.size())));
  }
  code.insert(code.end(), left.begin(), left.end());
  code.insert(code.end(), right.begin(), right.end());
  return code;
}

// Where everything ends that is not Local: allowed from the stub, else notified.
Program End(const FilterOptions& options) {
  if (options.stub_begin == options.stub_end) return {Return(SECCOMP_RET_USER_NOTIF)};
  constexpr size_t kIp = offsetof(seccomp_data, instruction_pointer);
  const auto high = static_cast<uint32_t>(options.stub_begin >> 32);
  const auto first = static_cast<uint32_t>(options.stub_begin);
  const auto last = static_cast<uint32_t>(options.stub_end - 1);
  return {Load(kIp + 4),
          Jump(BPF_JEQ | BPF_K, high, 0, 4),
          Load(kIp),
          Jump(BPF_JGE | BPF_K, first, 0, 2),
          Jump(BPF_JGT | BPF_K, last, 1, 0),
          Return(SECCOMP_RET_ALLOW),
          Return(SECCOMP_RET_USER_NOTIF)};
}

}  // namespace

absl::StatusOr<std::vector<sock_filter>> BuildFilter(const FilterOptions& options) {
  if (options.stub_begin > options.stub_end)
    return InvalidArgument("stub range {:#x}-{:#x} is reversed", options.stub_begin,
                           options.stub_end);
  if (options.stub_begin != options.stub_end &&
      options.stub_begin >> 32 != (options.stub_end - 1) >> 32)
    return InvalidArgument("stub range {:#x}-{:#x} crosses 4 GiB", options.stub_begin,
                           options.stub_end);
  const std::vector<Range> ranges = Ranges();
  const Program search = Search(ranges.data(), ranges.data() + ranges.size());
  Program code = {Load(offsetof(seccomp_data, arch)),
                  Jump(BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), Return(SECCOMP_RET_USER_NOTIF),
                  Load(offsetof(seccomp_data, nr))};
  code.insert(code.end(), search.begin(), search.end());
  const size_t end = code.size();
  for (size_t i = 0; i < end; ++i)
    if (code[i].code == (BPF_JMP | BPF_JA) && code[i].k == kToEnd)
      code[i].k = static_cast<uint32_t>(end - i - 1);
  const Program tail = End(options);
  code.insert(code.end(), tail.begin(), tail.end());
  return code;
}

Decision DecideNotified(const seccomp_data& data) {
  if (data.arch != AUDIT_ARCH_X86_64) return {SyscallClass::kRecall, "32-bit system call"};
  SyscallArgs args;
  for (size_t i = 0; i < args.size(); ++i) args[i] = data.args[i];
  return Decide(static_cast<uint32_t>(data.nr), args);
}

}  // namespace omfs::migration
