// omfs-syscall-doc: prints docs/syscalls.md, made from the system-call table.
//
//   omfs-syscall-doc              prints the page
//   omfs-syscall-doc --check FILE exits 1 with one line when FILE is not that page

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "migration/syscall_table.h"
#include "migration/syscall_table_requests.h"

namespace omfs::migration {
namespace {

constexpr std::string_view kHead =
    R"(# System calls of a migrated process

Made from `migration/syscall_table.cc` by `omfs-syscall-doc`; do not edit. A test compares this page with the table.

| class | where a call of it runs when the process is away from home |
| --- | --- |
| Local | natively in the guest; the seccomp filter lets it pass |
| Dfsa | natively in the guest when its descriptor or path lies on /mfs, else forwarded |
| Deputy | forwarded to the deputy at home |
| Both | guest and deputy together, by a handler written by hand; without one it is a recall |
| Recall | the process goes home and the call runs there |

Arguments: `fd` descriptor, `dirfd` directory descriptor, `path`, `string`; `in`, `out` and `inout` are memory read,
written or both, with the bytes of a structure (`in 16`) or the argument that counts them (`out[2]`); `iov` lists of
buffers, `msg` a message header. Numbers are not named.
)";

std::string ArgText(const ArgSpec& arg) {
  switch (arg.kind) {
    case ArgKind::kUnused:
      return "";
    case ArgKind::kValue:
      return "n";
    case ArgKind::kOffset:
      return "offset";
    case ArgKind::kFd:
      return "fd";
    case ArgKind::kDirFd:
      return "dirfd";
    case ArgKind::kPath:
      return "path";
    case ArgKind::kString:
      return "string";
    case ArgKind::kInBuf:
      return fmt::format("in[{}]", arg.ref);
    case ArgKind::kOutBuf:
    case ArgKind::kOutArray:
      return fmt::format("out[{}]", arg.ref);
    case ArgKind::kInOutBuf:
    case ArgKind::kFdSet:
      return fmt::format("inout[{}]", arg.ref);
    case ArgKind::kIn:
      return fmt::format("in {}", arg.size);
    case ArgKind::kOut:
      return fmt::format("out {}", arg.size);
    case ArgKind::kInOut:
      return fmt::format("inout {}", arg.size);
    case ArgKind::kOutSized:
      return fmt::format("out[*{}]", arg.ref);
    case ArgKind::kInOutSized:
      return fmt::format("inout[*{}]", arg.ref);
    case ArgKind::kSizePtr:
      return "inout 4";
    case ArgKind::kIovIn:
      return fmt::format("in iov[{}]", arg.ref);
    case ArgKind::kIovOut:
      return fmt::format("out iov[{}]", arg.ref);
    case ArgKind::kMsgIn:
      return "in msg";
    case ArgKind::kMsgOut:
      return "out msg";
    case ArgKind::kSigMask:
    case ArgKind::kSigMaskPair:
      return "no mask";
    case ArgKind::kIoctl:
    case ArgKind::kFcntl:
    case ArgKind::kPrctl:
      return "by request";
  }
  return "?";
}

std::string ArgsText(const SyscallSpec& spec) {
  std::string text;
  for (const ArgSpec& arg : spec.args) {
    if (arg.kind == ArgKind::kUnused) break;
    text += (text.empty() ? "" : ", ") + ArgText(arg);
  }
  return text;
}

std::string TestsText(const ArgTests& tests) {
  std::string text;
  for (size_t i = 0; i < tests.count; ++i) {
    const ArgTest& t = tests.tests[i];
    if (i > 0) text += " or ";
    const bool whole = (t.mask & 0xffff'ffff) == 0xffff'ffff;
    text += whole ? fmt::format("arg{} = {:#x}", t.arg, t.value)
                  : fmt::format("arg{} & {:#x} = {:#x}", t.arg, t.mask, t.value);
  }
  return text;
}

std::string NoteText(const SyscallSpec& spec) {
  std::string note(spec.note);
  if (!spec.local_if.empty()) {
    const std::string local = "Local if " + TestsText(spec.local_if);
    note = note.empty() ? local : local + "; else: " + note;
  }
  if (!spec.forward_if.empty())
    note = "if " + TestsText(spec.forward_if) + "; else recall: " + note;
  return note;
}

std::string RequestTable(std::string_view title, std::span<const RequestSpec> rows) {
  std::string text = fmt::format("\n## {}\n\nAll others are recalls.\n\n", title);
  text += "| number | name | class | argument |\n| --- | --- | --- | --- |\n";
  for (const RequestSpec& r : rows) {
    text += fmt::format("| {:#x} | {} | {} | {} |\n", r.request, r.name, ClassName(r.cls),
                        ArgText({.kind = r.kind, .size = r.size}));
  }
  return text;
}

std::string Page() {
  std::string page(kHead);
  page += "\n## How many\n\n| class | calls |\n| --- | --- |\n";
  for (SyscallClass cls : {SyscallClass::kLocal, SyscallClass::kDfsa, SyscallClass::kDeputy,
                           SyscallClass::kBoth, SyscallClass::kRecall}) {
    int n = 0;
    for (const SyscallSpec& spec : kSyscallTable) n += spec.assigned() && spec.cls == cls;
    page += fmt::format("| {} | {} |\n", ClassName(cls), n);
  }
  page +=
      "\n## Calls by number\n\n| nr | name | class | arguments | note |\n| --- | --- | --- | --- | "
      "--- |\n";
  for (size_t nr = 0; nr < kSyscallCount; ++nr) {
    const SyscallSpec& spec = kSyscallTable[nr];
    if (spec.assigned()) {
      page += fmt::format("| {} | {} | {} | {} | {} |\n", nr, spec.name, ClassName(spec.cls),
                          ArgsText(spec), NoteText(spec));
      continue;
    }
    size_t last = nr;
    while (last + 1 < kSyscallCount && !kSyscallTable[last + 1].assigned()) ++last;
    page += fmt::format("| {}-{} | not assigned | Recall | | {} |\n", nr, last, spec.note);
    nr = last;
  }
  page += fmt::format("| {} and above, x32, 32-bit | | Recall | | unknown system call |\n",
                      kSyscallCount);
  page += RequestTable("ioctl requests", IoctlRequests());
  page += RequestTable("fcntl commands", FcntlCommands());
  page += RequestTable("prctl options", PrctlOptions());
  page +=
      "\n## Socket options\n\nFlat both ways; all others are recalls.\n\n| level | options |\n| "
      "--- | --- |\n";
  for (const SocketOption& o : FlatSocketOptions())
    page += fmt::format("| {} | {}-{} |\n", o.level, o.first, o.last);
  return page;
}

}  // namespace
}  // namespace omfs::migration

int main(int argc, char** argv) {
  const std::string page = omfs::migration::Page();
  if (argc == 1) {
    std::fwrite(page.data(), 1, page.size(), stdout);
    return 0;
  }
  if (argc != 3 || std::string_view(argv[1]) != "--check") {
    fmt::print(stderr, "usage: omfs-syscall-doc [--check FILE]\n");
    return 2;
  }
  std::ifstream file(argv[2], std::ios::binary);
  if (!file) {
    fmt::print(stderr, "omfs-syscall-doc: cannot read {}\n", argv[2]);
    return 1;
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text == page) return 0;
  fmt::print(stderr, "omfs-syscall-doc: {} is not what the table says; run omfs-syscall-doc > {}\n",
             argv[2], argv[2]);
  return 1;
}
