#include "cluster/processes.h"

#include <cpuid.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "cluster/files.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

// /proc/PID/stat after the command in parentheses, which may hold anything: fields from the third on.
std::vector<std::string> StatFields(const std::string& stat) {
  std::vector<std::string> fields;
  const auto end = stat.rfind(')');
  if (end == stat.npos) return fields;
  std::istringstream in(stat.substr(end + 1));
  for (std::string word; in >> word;) fields.push_back(word);
  return fields;
}

const std::set<std::string>& UserVisibleFeatures() {
  static const std::set<std::string> names = {
      "fpu", "tsc", "cx8", "cmov", "mmx", "fxsr", "sse", "sse2", "pni", "ssse3", "sse4_1", "sse4_2",
      "sse4a", "cx16", "popcnt", "lahf_lm", "syscall", "rdtscp", "movbe", "abm", "bmi1", "bmi2",
      "aes", "pclmulqdq", "vaes", "vpclmulqdq", "gfni", "sha_ni", "sha512", "sm3", "sm4", "rdrand",
      "rdseed", "adx", "f16c", "fma", "fma4", "xop", "tbm", "avx", "avx2", "avx_vnni", "avx_ifma",
      "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd", "avx512ifma", "avx512vbmi",
      "avx512_vbmi2", "avx512_vnni", "avx512_bitalg", "avx512_vpopcntdq", "avx512_bf16",
      "avx512_fp16", "avx512_vp2intersect", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "xsave",
      "xsaveopt", "xsavec", "xgetbv1", "fsgsbase", "clflush", "clflushopt", "clwb", "cldemote",
      "clzero", "movdiri", "movdir64b", "prefetchw", "3dnowprefetch", "hle", "rtm", "erms", "fsrm",
      "ospke", "rdpid", "serialize", "waitpkg", "enqcmd", "cmpccxadd", "user_shstk", "ibt"};
  return names;
}

}  // namespace

absl::StatusOr<ProcessFacts> LookUpProcess(pid_t pid) {
  const absl::Status none = absl::NotFoundError(fmt::format("no process {}", pid));
  if (pid <= 0) return none;
  const std::string dir = fmt::format("/proc/{}/", pid);
  const auto stat = ReadWholeFile(dir + "stat");
  const auto status = ReadWholeFile(dir + "status");
  if (!stat.ok() || !status.ok()) return none;
  const std::vector<std::string> fields = StatFields(*stat);
  if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return none;
  ProcessFacts facts;
  facts.start_time = std::stoull(fields[19]);
  constexpr unsigned long kKernelThread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h
  facts.kernel_thread = (std::stoul(fields[6]) & kKernelThread) != 0;
  const auto open = stat->find('('), close = stat->rfind(')');
  facts.command = stat->substr(open + 1, close - open - 1);
  const auto line = status->find("\nUid:");
  if (line == status->npos) return none;
  std::istringstream in(status->substr(line + 5));
  uid_t real = 0, effective = 0, saved = 0;
  in >> real >> effective >> saved;
  facts.uid = real;
  facts.one_user = real == effective && real == saved;
  return facts;
}

absl::Status CheckMayMove(pid_t pid, const ProcessFacts& facts, uid_t user) {
  if (facts.kernel_thread) return InvalidArgument("process {} is a kernel thread", pid);
  if (user == 0 || (facts.uid == user && facts.one_user)) return absl::OkStatus();
  return absl::PermissionDeniedError(fmt::format("process {} is not yours", pid));
}

std::vector<std::string> CpuFeatures() {
  std::vector<std::string> features;
  const auto info = ReadWholeFile("/proc/cpuinfo");
  if (!info.ok()) return features;
  const auto line = info->find("\nflags");
  if (line == info->npos) return features;
  const auto colon = info->find(':', line);
  std::istringstream in(info->substr(colon + 1, info->find('\n', colon) - colon - 1));
  for (std::string word; in >> word;) {
    if (UserVisibleFeatures().contains(word)) features.push_back(word);
  }
  std::sort(features.begin(), features.end());
  return features;
}

uint32_t ExtendedStateSize() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(13, 0, &eax, &ebx, &ecx, &edx) != 0 ? ebx : 0;
}

}  // namespace omfs
