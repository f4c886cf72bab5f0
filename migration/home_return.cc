#include "migration/home_return.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "dfsa/identity.h"
#include "migration/descriptors.h"
#include "migration/guest_stub.h"

namespace omfs::migration {
namespace {

std::span<const std::byte> AsBytes(const std::string& s) { return std::as_bytes(std::span(s.data(), s.size())); }

const Vma* VmaAt(const Image& image, uint64_t at) {
  for (const Vma& v : image.vmas()) {
    if (v.start() <= at && at < v.end()) return &v;
  }
  return nullptr;
}

const Mapping* MappingAt(const std::vector<Mapping>& maps, uint64_t at) {
  for (const Mapping& m : maps) {
    if (m.start <= at && at < m.end) return &m;
  }
  return nullptr;
}

}  // namespace

absl::Status HomeReturn::Begin() {
  // The heap first: brk() both maps and moves the break.
  uint64_t layout[11] = {};
  if (image_.mm_layout().size() != sizeof layout) return InvalidArgument("broken memory layout in the image");
  memcpy(layout, image_.mm_layout().data(), sizeof layout);
  OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_brk, {layout[5]}).status());
  OMFS_RETURN_IF_ERROR(FitMappings());
  return PlaceStub();
}

absl::Status HomeReturn::FitMappings() {
  for (const Vma& v : image_.vmas()) {
    if (v.start() < blob_.end && blob_.start < v.end()) {
      return FailedPrecondition("the program has mapped {:#x}, which its deputy needs", blob_.start);
    }
  }
  OMFS_ASSIGN_OR_RETURN(std::vector<Mapping> maps, ReadMappings(calls_.task().pid()));
  std::erase_if(maps, [&](const Mapping& m) {
    const uint64_t stub = image_.stub();
    return m.special() || (m.start < blob_.end && blob_.start < m.end) ||
           (stub != 0 && m.start < stub + GuestStub::kSize && stub < m.end);
  });
  std::set<uint64_t> edges;
  for (const Mapping& m : maps) edges.insert(m.start), edges.insert(m.end);
  for (const Vma& v : image_.vmas()) edges.insert(v.start()), edges.insert(v.end());
  for (auto it = edges.begin(); it != edges.end() && std::next(it) != edges.end(); ++it) {
    const uint64_t start = *it, end = *std::next(it), size = end - start;
    const Vma* want = VmaAt(image_, start);
    const Mapping* have = MappingAt(maps, start);
    if (want == nullptr && have == nullptr) continue;
    if (want == nullptr) {
      OMFS_RETURN_IF_ERROR(calls_.Do("munmap", SYS_munmap, {start, size}).status());
      continue;
    }
    bool same = have != nullptr && have->file() == (want->file() != 0);
    if (same && want->file() != 0) {
      same = image_.files(want->file() - 1).path() == have->path &&
             want->offset() + (start - want->start()) == have->offset + (start - have->start);
    }
    if (same) {
      // What the deputy itself has touched since (its argument pages stay for ps) gives way.
      OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_madvise, {start, size, MADV_DONTNEED}).status());
      if (static_cast<int>(want->prot()) != have->prot) {
        OMFS_RETURN_IF_ERROR(calls_.Do("mprotect", SYS_mprotect, {start, size, want->prot()}).status());
      }
      continue;
    }
    uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (want->grows_down()) flags |= MAP_GROWSDOWN;
    OMFS_RETURN_IF_ERROR(calls_.Do("mmap", SYS_mmap, {start, size, want->prot(), flags, ~0ULL, 0}).status());
    if (want->file() != 0) OMFS_RETURN_IF_ERROR(FillFromFile(*want, start, end));
  }
  return absl::OkStatus();
}

// A file mapping that moved while the process was away: from now on a copy.
absl::Status HomeReturn::FillFromFile(const Vma& v, uint64_t start, uint64_t end) {
  const std::string& path = image_.files(v.file() - 1).path();
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, path);
  std::vector<std::byte> buffer(256 * 1024);
  for (uint64_t at = start; at < end;) {
    const ssize_t n = pread(fd.get(), buffer.data(), std::min<uint64_t>(buffer.size(), end - at),
                            static_cast<off_t>(v.offset() + (at - v.start())));
    if (n < 0) return ErrnoStatus(errno, path);
    if (n == 0) break;
    OMFS_RETURN_IF_ERROR(calls_.task().Write(RemotePtr(at), std::span(buffer).first(n)));
    at += n;
  }
  return absl::OkStatus();
}

absl::Status HomeReturn::PlaceStub() {
  const uint64_t stub = image_.stub();
  if (stub == 0) return absl::OkStatus();
  OMFS_RETURN_IF_ERROR(calls_.Do("mmap", SYS_mmap,
                                 {stub, GuestStub::kCodeSize, PROT_READ | PROT_EXEC,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, ~0ULL, 0})
                           .status());
  const std::vector<uint64_t> sites(image_.sites().begin(), image_.sites().end());
  return calls_.task().Write(RemotePtr(stub), GuestStub::Code(stub, sites));
}

absl::Status HomeReturn::Apply(const Frame& frame) {
  if (frame.type != FrameType::kMemory || frame.body.size() < 8) {
    return absl::DataLossError("unexpected frame in an image");
  }
  uint64_t at;
  memcpy(&at, frame.body.data(), 8);
  const auto bytes = std::span(frame.body).subspan(8);
  const Vma* v = VmaAt(image_, at);
  if (v == nullptr || at + bytes.size() > v->end()) return absl::DataLossError("memory outside every mapping");
  if (v->file() == 0) return calls_.task().Write(RemotePtr(at), bytes);
  std::vector<std::byte> here(kPageSize);
  for (size_t p = 0; p < bytes.size(); p += kPageSize) {
    const auto page = bytes.subspan(p, std::min<size_t>(kPageSize, bytes.size() - p));
    const auto old = std::span(here).first(page.size());
    const absl::Status read = calls_.task().Read(RemotePtr(at + p), old);
    if (read.ok() && memcmp(old.data(), page.data(), page.size()) == 0) continue;
    OMFS_RETURN_IF_ERROR(calls_.task().Write(RemotePtr(at + p), page));
  }
  return absl::OkStatus();
}

absl::Status HomeReturn::RestoreSignals(DeputyBlob& blob) {
  TracedTask& task = calls_.task();
  const RemotePtr scratch = blob.data_base();
  std::set<int> special;
  const auto set = [&](int signal, const std::string& action) -> absl::Status {
    OMFS_RETURN_IF_ERROR(task.Write(scratch, AsBytes(action)));
    return calls_.Do("rt_sigaction", SYS_rt_sigaction, {static_cast<uint64_t>(signal), scratch.value, 0, 8}).status();
  };
  for (const SignalAction& a : image_.actions()) {
    special.insert(a.signal());
    OMFS_RETURN_IF_ERROR(set(a.signal(), a.action()));
  }
  for (int sig = 1; sig <= 64; ++sig) {
    if (special.contains(sig) || sig == SIGKILL || sig == SIGSTOP) continue;
    OMFS_RETURN_IF_ERROR(set(sig, std::string(32, '\0')));
  }
  // Queued signals are queued again, by the process itself: nobody else may set every field of a siginfo.
  for (const std::string& pending : image_.pending()) {
    siginfo_t info{};
    memcpy(&info, pending.data(), std::min(pending.size(), sizeof info));
    OMFS_RETURN_IF_ERROR(task.Write(scratch, std::as_bytes(std::span(&info, 1))));
    const auto pid = static_cast<uint64_t>(task.pid());
    OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_rt_tgsigqueueinfo,
                                    {pid, pid, static_cast<uint64_t>(info.si_signo), scratch.value})
                             .status());
  }
  stack_t alternate{};
  memcpy(&alternate, image_.alternate_stack().data(),
         std::min(image_.alternate_stack().size(), sizeof alternate));
  alternate.ss_flags &= ~SS_ONSTACK;
  OMFS_RETURN_IF_ERROR(task.Write(scratch, std::as_bytes(std::span(&alternate, 1))));
  OMFS_ASSIGN_OR_RETURN(const user_regs_struct current, task.GetRegs());
  user_regs_struct apart = current;
  apart.rsp = (scratch + DeputyBlob::kDataSize / 2).value;  // not on the stack that is being set
  OMFS_RETURN_IF_ERROR(task.SetRegs(apart));
  OMFS_RETURN_IF_ERROR(calls_.Do("sigaltstack", SYS_sigaltstack, {scratch.value, 0}).status());
  return task.SetRegs(current);
}

absl::Status HomeReturn::RestoreDescriptors(DeputyBlob& blob, const std::string& mfs) {
  TracedTask& task = calls_.task();
  // Descriptors travel into the deputy over a socket pair of its own, of which this process takes one end.
  const RemotePtr scratch = blob.data_base();
  std::vector<const Descriptor*> files;
  for (const Descriptor& d : image_.descriptors()) {
    if (d.kind() == Descriptor::kFile && d.same_as() < 0) files.push_back(&d);
  }
  int pair[2] = {-1, -1};
  ScopedFd ours;
  if (!files.empty()) {
    OMFS_RETURN_IF_ERROR(calls_.Do("socketpair", SYS_socketpair,
                                   {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, scratch.value})
                             .status());
    OMFS_RETURN_IF_ERROR(task.Read(scratch, std::as_writable_bytes(std::span(pair))));
    ours.reset(static_cast<int>(syscall(SYS_pidfd_getfd, task.pidfd(), pair[1], 0)));
    if (!ours) return ErrnoStatus(errno, fmt::format("pidfd_getfd of descriptor {} (of {}, {})", pair[1], pair[0], pair[1]));
    // Out of the way of the numbers that are to be restored.
    uint64_t above = 0;
    for (const Descriptor& d : image_.descriptors()) above = std::max<uint64_t>(above, d.number() + 1);
    for (int& fd : pair) {
      OMFS_ASSIGN_OR_RETURN(const uint64_t high, calls_.Do("fcntl", SYS_fcntl,
                                                           {static_cast<uint64_t>(fd), F_DUPFD_CLOEXEC, above}));
      OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_close, {static_cast<uint64_t>(fd)}).status());
      fd = static_cast<int>(high);
    }
  }
  struct Message {
    msghdr header;
    iovec part;
    char byte;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  };
  for (const Descriptor* d : files) {
    dfsa::Identity id;
    id.node = NodeId(static_cast<uint16_t>(d->node()));
    if (d->handle().size() != sizeof id.handle) return InvalidArgument("broken handle in the image");
    memcpy(&id.handle, d->handle().data(), sizeof id.handle);
    const int flags = static_cast<int>(d->flags()) & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY);
    const auto opened = dfsa::OpenThroughMfs(id, mfs, flags);
    if (!opened.ok()) {
      return ErrnoStatus(opened.error().value, fmt::format("opening descriptor {} at home", d->number()));
    }
    const ScopedFd& file = *opened;
    const auto offset = static_cast<off_t>(d->offset());
    if (offset != 0 && lseek(file.get(), offset, SEEK_SET) != offset) {
      return ErrnoStatus(errno, fmt::format("setting the offset of descriptor {} at home", d->number()));
    }

    Message out{};
    out.part = {&out.byte, 1};
    out.header.msg_iov = &out.part;
    out.header.msg_iovlen = 1;
    out.header.msg_control = out.control;
    out.header.msg_controllen = sizeof out.control;
    cmsghdr* c = CMSG_FIRSTHDR(&out.header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = file.get();
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(ours.get(), &out.header, 0) != 1) return ErrnoStatus(errno, "handing over a descriptor");

    Message in{};
    const auto at = [&](size_t offset) { return scratch.value + offset; };
    in.part = {reinterpret_cast<void*>(at(offsetof(Message, byte))), 1};
    in.header.msg_iov = reinterpret_cast<iovec*>(at(offsetof(Message, part)));
    in.header.msg_iovlen = 1;
    in.header.msg_control = reinterpret_cast<void*>(at(offsetof(Message, control)));
    in.header.msg_controllen = sizeof in.control;
    OMFS_RETURN_IF_ERROR(task.Write(scratch, std::as_bytes(std::span(&in, 1))));
    OMFS_RETURN_IF_ERROR(calls_.Do("recvmsg", SYS_recvmsg,
                                   {static_cast<uint64_t>(pair[0]), scratch.value, MSG_CMSG_CLOEXEC})
                             .status());
    OMFS_RETURN_IF_ERROR(task.Read(scratch, std::as_writable_bytes(std::span(&in, 1))));
    int received = -1;
    memcpy(&received, in.control + CMSG_LEN(0), sizeof received);
    if (received == d->number()) {
      OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_fcntl, {static_cast<uint64_t>(received), F_SETFD,
                                                  d->close_on_exec() ? 1ULL : 0ULL})
                               .status());
      continue;
    }
    const uint64_t cloexec = d->close_on_exec() ? O_CLOEXEC : 0;
    OMFS_RETURN_IF_ERROR(calls_.Do("dup3", SYS_dup3,
                                   {static_cast<uint64_t>(received), static_cast<uint64_t>(d->number()), cloexec})
                             .status());
    OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_close, {static_cast<uint64_t>(received)}).status());
  }
  for (const int fd : pair) {
    if (fd >= 0) OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_close, {static_cast<uint64_t>(fd)}).status());
  }
  for (const Descriptor& d : image_.descriptors()) {
    const auto number = static_cast<uint64_t>(d.number());
    const uint64_t cloexec = d.close_on_exec() ? O_CLOEXEC : 0;
    if (d.kind() == Descriptor::kFile && d.same_as() >= 0) {
      OMFS_RETURN_IF_ERROR(
          calls_.Do("dup3", SYS_dup3, {static_cast<uint64_t>(d.same_as()), number, cloexec}).status());
    } else if (d.kind() == Descriptor::kHome) {
      OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_fcntl, {number, F_SETFD, d.close_on_exec() ? 1ULL : 0ULL}).status());
    }
  }
  return absl::OkStatus();
}

absl::Status HomeReturn::Finish(DeputyBlob& blob, const std::string& mfs) {
  OMFS_RETURN_IF_ERROR(RestoreDescriptors(blob, mfs));
  OMFS_RETURN_IF_ERROR(RestoreSignals(blob));
  if (image_.tid_address() != 0) {
    OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_set_tid_address, {image_.tid_address()}).status());
  }
  if (image_.robust_list() != 0) {
    OMFS_RETURN_IF_ERROR(calls_.Raw(SYS_set_robust_list, {image_.robust_list(), image_.robust_list_size()}).status());
  }
  // Restartable sequences: the registration may have been made, or undone, while away.
  TracedTask& task = calls_.task();
  OMFS_ASSIGN_OR_RETURN(const auto rseq, task.GetRseq());
  if (rseq.area != image_.rseq_area()) {
    if (rseq.area != 0) {
      OMFS_RETURN_IF_ERROR(calls_.Do("rseq", SYS_rseq, {rseq.area, rseq.size, 1, rseq.signature}).status());
    }
    if (image_.rseq_area() != 0) {
      OMFS_RETURN_IF_ERROR(
          calls_.Do("rseq", SYS_rseq, {image_.rseq_area(), image_.rseq_size(), 0, image_.rseq_signature()}).status());
    }
  }
  OMFS_RETURN_IF_ERROR(task.SetXstate(AsBytes(image_.xstate())));
  return absl::OkStatus();
}

}  // namespace omfs::migration
