// Mapping files while away.
//
// A file below /mfs is mapped by the guest's own kernel. A private mapping of a home file (a library that is loaded after
// the move, a character set table) becomes a private mapping of a memory file that is filled with the file's content from
// home; the same mapping is made in the deputy at the same address, so that on the way home the two fit again. What would
// have to be seen by others (shared, writable) sends the process home.

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "migration/keeper.h"
#include "migration/keeper_internal.h"
#include "omfs/base/log.h"

namespace omfs::migration {

absl::StatusOr<std::string> Keeper::HomeLink(int fd) {
  OwnMemory memory(2 * PATH_MAX);
  const uint64_t path = memory.Put(fmt::format("/proc/self/fd/{}", fd));
  const uint64_t buffer = memory.Reserve(PATH_MAX);
  OMFS_ASSIGN_OR_RETURN(const ForwardResult r, ForwardOwn(SYS_readlink, {path, buffer, PATH_MAX}, memory));
  if (r.rax < 0) return ErrnoStatus(static_cast<int>(-r.rax), "readlink at home");
  return std::string(reinterpret_cast<const char*>(memory.At(buffer)), r.rax);
}

absl::Status Keeper::HandleMmap(const seccomp_notif& n, const SyscallArgs& args) {
  const uint64_t length = PageUp(args[1]), prot = args[2], flags = args[3], offset = args[5];
  const int fd = static_cast<int>(args[4]);
  const uint64_t type = flags & MAP_TYPE;
  if ((flags & MAP_ANONYMOUS) != 0) return Recall(n.id, "mmap: shared memory");
  if (!home_.contains(fd)) {
    if (type != MAP_PRIVATE) return Recall(n.id, "mmap: shared mapping of a file below /mfs");
    ++local_calls_;
    return Continue(n.id);
  }
  OMFS_ASSIGN_OR_RETURN(const std::string path, HomeLink(fd));
  const bool system_data = (prot & PROT_WRITE) == 0 && (path.starts_with("/usr/") || path.starts_with("/lib"));
  if (type != MAP_PRIVATE && !system_data) return Recall(n.id, "mmap: shared mapping of a home file");
  OwnMemory memory(64 * 1024 + kMaxTransfer);
  const uint64_t stat_at = memory.Reserve(sizeof(struct stat));
  OMFS_ASSIGN_OR_RETURN(const ForwardResult stated, ForwardOwn(SYS_fstat, {args[4], stat_at}, memory));
  struct stat st {};
  memcpy(&st, memory.At(stat_at), sizeof st);
  // What cannot be mapped the home's kernel refuses in its own words.
  if (stated.rax != 0 || !S_ISREG(st.st_mode) || length == 0 || (offset & (kPageSize - 1)) != 0) {
    return Recall(n.id, "mmap: not an ordinary file");
  }

  OMFS_RETURN_IF_ERROR(StopInCall(n.id, kRestartNoIntr));
  TracedTask& task = builder_->task();
  RemoteCalls calls(&task, builder_->site());
  const size_t index = image_.files_size();
  const std::string name = GuestBuilder::FileName(index);
  OMFS_RETURN_IF_ERROR(task.Write(builder_->scratch(), std::as_bytes(std::span(name.c_str(), name.size() + 1))));
  OMFS_ASSIGN_OR_RETURN(const uint64_t memfd, calls.Do("memfd_create", SYS_memfd_create, {builder_->scratch().value, 0}));
  const ScopedFd file(static_cast<int>(syscall(SYS_pidfd_getfd, task.pidfd(), static_cast<int>(memfd), 0)));
  if (!file || ftruncate(file.get(), st.st_size) != 0) return ErrnoStatus(errno, "memory for a mapped file");
  // Without a wish of the program's, next to what it has already, as its own kernel would have done: the guest's kernel
  // would choose by the keeper's layout, out of reach of the stub.
  const uint64_t hint = args[0] == 0 && length < library_floor_ ? library_floor_ - length : args[0];
  OMFS_ASSIGN_OR_RETURN(const int64_t mapped,
                        calls.Raw(SYS_mmap, {hint, args[1], prot, (flags & ~static_cast<uint64_t>(MAP_TYPE)) | MAP_PRIVATE,
                                             memfd, offset}));
  OMFS_RETURN_IF_ERROR(calls.Raw(SYS_close, {memfd}).status());
  OMFS_ASSIGN_OR_RETURN(user_regs_struct regs, task.GetRegs());
  regs.rax = static_cast<uint64_t>(mapped);
  regs.orig_rax = static_cast<uint64_t>(-1);
  OMFS_RETURN_IF_ERROR(task.SetRegs(regs));
  if (mapped >= 0 || mapped < -4095) {
    if (static_cast<uint64_t>(mapped) == hint && args[0] == 0) library_floor_ = hint;
    MappedFile* f = image_.add_files();
    f->set_path(path);
    f->set_size(st.st_size);
    const uint64_t end = std::min<uint64_t>(offset + length, st.st_size);
    const uint64_t buffer = memory.Reserve(kMaxTransfer);
    for (uint64_t at = offset; at < end;) {
      const uint64_t want = std::min<uint64_t>(kMaxTransfer, end - at);
      OMFS_ASSIGN_OR_RETURN(const ForwardResult r, ForwardOwn(SYS_pread64, {args[4], buffer, want, at}, memory));
      if (r.rax < 0) return ErrnoStatus(static_cast<int>(-r.rax), fmt::format("reading {} at home", path));
      if (r.rax == 0) break;
      if (pwrite(file.get(), memory.At(buffer), r.rax, static_cast<off_t>(at)) != r.rax) {
        return ErrnoStatus(errno, "content of a mapped file");
      }
      at += r.rax;
    }
    // The same in the deputy. What it may still have there the guest has unmapped without being seen.
    OMFS_ASSIGN_OR_RETURN(
        const int64_t there,
        ForwardPlain(SYS_mmap, {static_cast<uint64_t>(mapped), args[1], prot, type | MAP_FIXED, args[4], offset}));
    if (there != mapped) spdlog::debug("event=deputy_mmap pid={} result={}", image_.pid(), there);
  }
  return LetGoOn();
}

}  // namespace omfs::migration
