#include "migration/vdso.h"

#include <elf.h>
#include <sys/syscall.h>

#include <cstring>
#include <map>
#include <string_view>

#include "omfs/base/status.h"

namespace omfs::migration {
namespace {

// vgetrandom's state belongs to the old kernel's pages: without it libc asks the kernel.
constexpr int kNoSuchCall = -1;

const std::map<std::string_view, int> kCalls = {
    {"__vdso_clock_gettime", SYS_clock_gettime}, {"clock_gettime", SYS_clock_gettime},
    {"__vdso_gettimeofday", SYS_gettimeofday},   {"gettimeofday", SYS_gettimeofday},
    {"__vdso_time", SYS_time},                   {"time", SYS_time},
    {"__vdso_clock_getres", SYS_clock_getres},   {"clock_getres", SYS_clock_getres},
    {"__vdso_getcpu", SYS_getcpu},               {"getcpu", SYS_getcpu},
    {"__vdso_getrandom", kNoSuchCall},           {"getrandom", kNoSuchCall},
};

template <typename T>
bool At(const std::string& image, uint64_t offset, T* out) {
  if (offset > image.size() || image.size() - offset < sizeof(T)) return false;
  memcpy(out, image.data() + offset, sizeof(T));
  return true;
}

// mov $nr, %eax; syscall; ret   or   mov $-ENOSYS, %rax; ret
std::string EntryCode(int nr) {
  if (nr == kNoSuchCall) return std::string("\x48\xc7\xc0\xda\xff\xff\xff\xc3", 8);
  std::string code("\xb8\0\0\0\0\x0f\x05\xc3", 8);
  const auto n = static_cast<uint32_t>(nr);
  memcpy(&code[1], &n, 4);
  return code;
}

}  // namespace

absl::StatusOr<std::string> VdsoWithPlainCalls(const std::string& image) {
  Elf64_Ehdr header;
  if (!At(image, 0, &header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64) {
    return InvalidArgument("the vDSO in the image is no x86-64 ELF file");
  }
  std::string out = image;
  for (int i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr symbols, strings;
    if (!At(image, header.e_shoff + i * sizeof symbols, &symbols)) {
      return InvalidArgument("the vDSO in the image is cut off");
    }
    if (symbols.sh_type != SHT_DYNSYM) continue;
    if (!At(image, header.e_shoff + symbols.sh_link * sizeof strings, &strings)) {
      return InvalidArgument("the vDSO in the image is cut off");
    }
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym sym;
      if (!At(image, symbols.sh_offset + at, &sym)) return InvalidArgument("the vDSO in the image is cut off");
      const uint64_t name_at = strings.sh_offset + sym.st_name;
      if (name_at >= image.size()) return InvalidArgument("the vDSO in the image is cut off");
      const char* name = image.c_str() + name_at;
      if (sym.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(sym.st_info) != STT_FUNC) continue;
      const auto call = kCalls.find(name);
      const std::string code =
          EntryCode(call == kCalls.end() ? kNoSuchCall : call->second);
      if (sym.st_value > out.size() || out.size() - sym.st_value < code.size()) {
        return InvalidArgument("the vDSO in the image is cut off");
      }
      out.replace(sym.st_value, code.size(), code);
    }
    return out;
  }
  return InvalidArgument("the vDSO in the image has no symbols");
}

}  // namespace omfs::migration
