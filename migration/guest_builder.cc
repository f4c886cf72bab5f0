#include "migration/guest_builder.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "dfsa/identity.h"
#include "migration/capture.h"
#include "migration/process_maps.h"
#include "migration/syscall_filter.h"
#include "migration/vdso.h"
#include "omfs/base/log.h"

namespace omfs::migration {
namespace {

// While a guest is built, descriptors of the builder's own lie at the top of the table: at kHighFd the ones on their way to
// their place, at kReportFd the pipe, above it the mapped files. A guest that uses numbers as high cannot come.
constexpr int kBuildFds = 16384;
constexpr int kHighFd = kBuildFds - 4096;
constexpr int kReportFd = kBuildFds - 1024;

// What a child reports before it stops: the stage that failed and errno, or stage 0.
struct ChildReport {
  int stage;
  int error;
};
const char* const kStages[] = {"ok",          "root",   "descriptors", "limits", "credentials",
                               "personality", "cwd"};

class ChildSetup {
 public:
  ChildSetup(const Config& config, const Image& image, const GuestWorld& world, int placeholder)
      : config_(config), image_(image), world_(world), placeholder_(placeholder) {}

  // Runs in the child; returns the stage that failed with errno set, or 0.
  int Run() {
    for (int sig = 1; sig <= 64; ++sig) {
      struct {
        uint64_t handler, flags, restorer, mask;
      } dfl{};
      syscall(SYS_rt_sigaction, sig, &dfl, nullptr, 8);
    }
    const uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, 8);
    setpgid(0, 0);
    if (int e = world_.EnterRoot(); e != 0) {
      errno = e;
      return 1;
    }
    if (!Descriptors()) return 2;
    if (!Cwd()) return 6;
    if (!Limits()) return 3;
    prctl(PR_SET_NAME, image_.comm().c_str());
    if (!Personality()) return 5;
    if (!Ids()) return 4;
    return 0;
  }

 private:
  ErrnoOr<ScopedFd> Open(uint32_t node, const std::string& handle, int flags) {
    dfsa::Identity id;
    id.node = NodeId(static_cast<uint16_t>(node));
    if (handle.size() != sizeof id.handle) return Errno(EINVAL);
    memcpy(&id.handle, handle.data(), sizeof id.handle);
    flags &= ~(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY);
    if (id.node == config_.node) {
      const ScopedFd mount(open(fmt::format("{}/{}", config_.mount_point, id.node.value).c_str(),
                                O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!mount) return Errno::Last();
      return dfsa::OpenNative(mount.get(), id, flags);
    }
    return dfsa::OpenThroughMfs(id, config_.mount_point, flags);
  }

  bool Descriptors() {
    // Open first, at numbers out of the way, then place.
    std::vector<std::pair<int, int>> opened;  // image index, fd
    for (int i = 0; i < image_.descriptors_size(); ++i) {
      const Descriptor& d = image_.descriptors(i);
      if (d.kind() != Descriptor::kFile || d.same_as() >= 0) continue;
      auto fd = Open(d.node(), d.handle(), static_cast<int>(d.flags()));
      if (!fd.ok()) {
        errno = fd.error().value;
        return false;
      }
      const auto offset = static_cast<off_t>(d.offset());
      if (offset != 0 && lseek(fd->get(), offset, SEEK_SET) != offset) return false;
      const int away = fcntl(fd->get(), F_DUPFD_CLOEXEC, kHighFd);
      if (away < 0) return false;
      opened.emplace_back(i, away);
    }
    close_range(0, kHighFd - 1, 0);
    for (const auto& [i, fd] : opened) {
      const Descriptor& d = image_.descriptors(i);
      if (dup3(fd, d.number(), d.close_on_exec() ? O_CLOEXEC : 0) < 0) return false;
      close(fd);
    }
    for (const Descriptor& d : image_.descriptors()) {
      const int flags = d.close_on_exec() ? O_CLOEXEC : 0;
      if (d.kind() == Descriptor::kHome && dup3(placeholder_, d.number(), flags) < 0) return false;
      if (d.kind() == Descriptor::kFile && d.same_as() >= 0 && dup3(d.same_as(), d.number(), flags) < 0) {
        return false;
      }
    }
    return true;
  }

  bool Cwd() {
    if (!image_.cwd_on_mfs()) return chdir("/.elsewhere") == 0;
    auto fd = Open(image_.cwd_node(), image_.cwd_handle(), O_RDONLY | O_DIRECTORY);
    if (!fd.ok()) {
      errno = fd.error().value;
      return false;
    }
    return fchdir(fd->get()) == 0;
  }

  bool Limits() {
    for (const Limit& l : image_.limits()) {
      // The number of processes is counted per user and node; the home counts it.
      if (l.resource() == RLIMIT_NPROC) continue;
      // Building needs descriptors beside the guest's own: RestoreFileLimit.
      if (l.resource() == RLIMIT_NOFILE) continue;
      const rlimit limit{l.soft(), l.hard()};
      if (setrlimit(static_cast<__rlimit_resource>(l.resource()), &limit) != 0 && errno != EPERM) return false;
    }
    setpriority(PRIO_PROCESS, 0, image_.nice());
    return true;
  }

  bool Personality() { return personality(image_.personality()) != -1; }

  bool Ids() {
    const Credentials& c = image_.credentials();
    umask(c.umask());
    std::vector<gid_t> groups(c.groups().begin(), c.groups().end());
    if (setgroups(groups.size(), groups.data()) != 0 || setresgid(c.rgid(), c.egid(), c.sgid()) != 0 ||
        setresuid(c.ruid(), c.euid(), c.suid()) != 0) {
      return false;
    }
    // A guest cannot execute programs here (execve goes home), so nothing it could gain is lost by this; without
    // it an ordinary user's filter could not be installed.
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    return prctl(PR_SET_DUMPABLE, 1) == 0;
  }

  const Config& config_;
  const Image& image_;
  const GuestWorld& world_;
  const int placeholder_;
};

template <typename T>
T FromBytes(const std::string& bytes) {
  T v{};
  memcpy(&v, bytes.data(), std::min(bytes.size(), sizeof v));
  return v;
}

std::span<const std::byte> AsBytes(const std::string& s) { return std::as_bytes(std::span(s.data(), s.size())); }

}  // namespace

std::string GuestBuilder::FileName(size_t index) { return kFilePrefix + std::to_string(index); }

absl::Status GuestBuilder::Begin() {
  OMFS_ASSIGN_OR_RETURN(GuestWorld world, GuestWorld::Make(config_, image_));
  world_.emplace(std::move(world));
  OMFS_RETURN_IF_ERROR(MakeFiles());
  OMFS_RETURN_IF_ERROR(Fork());
  OMFS_ASSIGN_OR_RETURN(const RemotePtr vdso_site, FindSyscallSite(*task_));
  RemoteCalls first(&*task_, vdso_site);
  OMFS_RETURN_IF_ERROR(ClearMemory(first));
  RemoteCalls calls(&*task_, site());
  OMFS_RETURN_IF_ERROR(PlaceVdso(calls));
  return MapMemory(calls);
}

// The mapped files' contents live in memfds that the child inherits, at numbers above the guest's own.
absl::Status GuestBuilder::MakeFiles() {
  // Access mode 3 gives neither reading nor writing (open(2), NOTES), and this device has no position.
  const ScopedFd low(open("/dev/fuse", O_ACCMODE | O_CLOEXEC));
  if (!low) return ErrnoStatus(errno, "/dev/fuse");
  for (const Descriptor& d : image_.descriptors()) {
    if (d.number() < 0 || d.number() >= kHighFd) return FailedPrecondition("it has descriptor {}", d.number());
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < kBuildFds) {
    limit.rlim_cur = kBuildFds;
    limit.rlim_max = std::max<rlim_t>(limit.rlim_max, kBuildFds);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return ErrnoStatus(errno, fmt::format("raising the limit of open files to {}", kBuildFds));
    }
  }
  placeholder_.reset(fcntl(low.get(), F_DUPFD_CLOEXEC, kHighFd));
  if (!placeholder_) return ErrnoStatus(errno, "/dev/fuse");
  for (int i = 0; i < image_.files_size(); ++i) {
    ScopedFd fd(memfd_create(FileName(i).c_str(), MFD_CLOEXEC));
    if (!fd || ftruncate(fd.get(), static_cast<off_t>(image_.files(i).size())) != 0) {
      return ErrnoStatus(errno, "memory for mapped files");
    }
    const int high = fcntl(fd.get(), F_DUPFD_CLOEXEC, kReportFd + 1);
    if (high < 0) return ErrnoStatus(errno, "descriptor for a mapped file");
    files_.emplace_back(high);
  }
  return absl::OkStatus();
}

absl::Status GuestBuilder::Fork() {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  ScopedFd reader(report[0]), writer(report[1]);
  pid_t set_tid[1] = {image_.pid()};
  clone_args args{};
  args.exit_signal = SIGCHLD;
  args.set_tid = reinterpret_cast<uint64_t>(set_tid);
  args.set_tid_size = 1;
  const pid_t pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) return ErrnoStatus(errno, fmt::format("starting the guest with pid {}", image_.pid()));
  if (pid == 0) {
    if (dup3(writer.get(), kReportFd, O_CLOEXEC) < 0) _exit(1);
    ChildReport r{};
    r.stage = ChildSetup(config_, image_, *world_, placeholder_.get()).Run();
    r.error = r.stage == 0 ? 0 : errno;
    [[maybe_unused]] ssize_t n = write(kReportFd, &r, sizeof r);
    if (r.stage != 0) _exit(1);
    for (;;) pause();
  }
  writer.reset();
  ChildReport r{1, EPIPE};
  if (read(reader.get(), &r, sizeof r) != sizeof r || r.stage != 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    const int stage = r.stage >= 0 && r.stage < static_cast<int>(std::size(kStages)) ? r.stage : 1;
    return ErrnoStatus(r.error, fmt::format("guest {}", kStages[stage]));
  }
  auto task = TracedTask::Seize(pid, PTRACE_O_EXITKILL);
  if (!task.ok()) {
    kill(pid, SIGKILL);
    return task.status();
  }
  task_.emplace(std::move(*task));
  std::vector<siginfo_t> signals;
  return task_->StopNow(&signals);
}

// Puts the stub in place and unmaps what the child inherited from the keeper, but for the vDSO.
absl::Status GuestBuilder::ClearMemory(RemoteCalls& calls) {
  OMFS_ASSIGN_OR_RETURN(const auto mine, ReadMappings(task_->pid()));
  std::vector<Mapping> theirs;
  for (const Vma& v : image_.vmas()) {
    Mapping m;
    m.start = v.start();
    m.end = v.end();
    m.inode = v.file();  // a mapped file, or none
    theirs.push_back(m);
  }
  Mapping blob;
  blob.start = image_.blob_start();
  blob.end = image_.blob_end();
  theirs.push_back(blob);
  stub_ = image_.stub();
  if (stub_ == 0) {
    OMFS_ASSIGN_OR_RETURN(stub_, GuestStub::ChooseBase({&theirs, &mine}));
  }
  const std::vector<uint64_t> sites(image_.sites().begin(), image_.sites().end());
  OMFS_RETURN_IF_ERROR(calls.Do("mmap", SYS_mmap,
                                {stub_, GuestStub::kSize, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ULL, 0})
                           .status());
  OMFS_RETURN_IF_ERROR(task_->Write(RemotePtr(stub_), GuestStub::Code(stub_, sites)));
  OMFS_RETURN_IF_ERROR(
      calls.Do("mprotect", SYS_mprotect, {stub_, GuestStub::kCodeSize, PROT_READ | PROT_EXEC}).status());
  RemoteCalls own(&*task_, site());
  OMFS_ASSIGN_OR_RETURN(const auto rseq, task_->GetRseq());
  if (rseq.area != 0) {
    OMFS_RETURN_IF_ERROR(
        own.Do("rseq", SYS_rseq, {rseq.area, rseq.size, 1 /* RSEQ_FLAG_UNREGISTER */, rseq.signature}).status());
  }
  // Everything between what is kept goes.
  std::vector<std::pair<uint64_t, uint64_t>> kept = {{stub_, stub_ + GuestStub::kSize}};
  for (const Mapping& m : mine) {
    if (m.special() && m.path != "[vsyscall]") kept.emplace_back(m.start, m.end);
  }
  constexpr uint64_t kTaskStart = 0x1000, kTaskEnd = 0x7ffffffff000;
  kept.emplace_back(kTaskEnd, kTaskEnd);
  std::sort(kept.begin(), kept.end());
  uint64_t from = kTaskStart;
  for (const auto& [start, end] : kept) {
    if (start > from) OMFS_RETURN_IF_ERROR(own.Do("munmap", SYS_munmap, {from, start - from}).status());
    from = end;
  }
  return absl::OkStatus();
}

absl::Status GuestBuilder::PlaceVdso(RemoteCalls& calls) {
  if (image_.vdso_start() == 0) return absl::OkStatus();
  OMFS_ASSIGN_OR_RETURN(const auto maps, ReadMappings(task_->pid()));
  std::vector<Mapping> parts;  // vvar areas and vDSO, adjacent, ascending
  for (const Mapping& m : maps) {
    if (m.special() && m.path != "[vsyscall]") parts.push_back(m);
  }
  std::string own;
  uint64_t own_start = 0;
  for (const Mapping& m : parts) {
    if (m.path != "[vdso]") continue;
    own.resize(m.size());
    OMFS_RETURN_IF_ERROR(task_->Read(RemotePtr(m.start), std::as_writable_bytes(std::span(own))));
    own_start = m.start;
  }
  if (parts.empty() || own_start == 0) return FailedPrecondition("this node's kernel has no vDSO");
  const uint64_t lead = own_start - parts.front().start;
  if (own == image_.vdso() && lead == image_.vdso_start() - image_.vvar_start()) {
    const uint64_t total = parts.back().end - parts.front().start;
    const uint64_t target = image_.vvar_start();
    if (target == parts.front().start) return absl::OkStatus();
    // By way of a free range, since old and new place may overlap.
    std::vector<Mapping> wanted(1);
    wanted[0].start = target;
    wanted[0].end = target + total;
    std::vector<Mapping> vmas;
    for (const Vma& v : image_.vmas()) {
      vmas.emplace_back();
      vmas.back().start = v.start();
      vmas.back().end = v.end();
    }
    OMFS_ASSIGN_OR_RETURN(const uint64_t between, FindHole({&maps, &wanted, &vmas}, total));
    for (const uint64_t to : {between, target}) {
      const uint64_t base = parts.front().start;
      for (Mapping& m : parts) {
        const uint64_t at = to + (m.start - base);
        OMFS_RETURN_IF_ERROR(calls.Do("mremap", SYS_mremap,
                                      {m.start, m.size(), m.size(), MREMAP_MAYMOVE | MREMAP_FIXED, at})
                                 .status());
        const uint64_t size = m.size();
        m.start = at;
        m.end = at + size;
      }
    }
    return absl::OkStatus();
  }
  spdlog::debug("event=vdso_differs pid={}", image_.pid());
  for (const Mapping& m : parts) {
    OMFS_RETURN_IF_ERROR(calls.Do("munmap", SYS_munmap, {m.start, m.size()}).status());
  }
  OMFS_ASSIGN_OR_RETURN(const std::string code, VdsoWithPlainCalls(image_.vdso()));
  OMFS_RETURN_IF_ERROR(calls.Do("mmap", SYS_mmap,
                                {image_.vdso_start(), PageUp(code.size()), PROT_READ | PROT_EXEC,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ULL, 0})
                           .status());
  return task_->Write(RemotePtr(image_.vdso_start()), AsBytes(code));
}

absl::Status GuestBuilder::MapMemory(RemoteCalls& calls) {
  for (const Vma& v : image_.vmas()) {
    uint64_t flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE;
    uint64_t fd = ~0ULL, offset = 0;
    if (v.file() != 0) {
      if (v.file() > files_.size()) return InvalidArgument("mapping of an unknown file in the image");
      fd = files_[v.file() - 1].get();
      offset = v.offset();
    } else {
      flags |= MAP_ANONYMOUS | MAP_NORESERVE;
      if (v.grows_down()) flags |= MAP_GROWSDOWN;
    }
    OMFS_RETURN_IF_ERROR(calls.Do("mmap", SYS_mmap, {v.start(), v.end() - v.start(), v.prot(), flags, fd, offset})
                             .status());
  }
  return absl::OkStatus();
}

absl::Status GuestBuilder::Apply(const Frame& frame) {
  if (frame.type == FrameType::kMemory && frame.body.size() >= 8) {
    uint64_t at;
    memcpy(&at, frame.body.data(), 8);
    return task_->Write(RemotePtr(at), std::span(frame.body).subspan(8));
  }
  if (frame.type == FrameType::kFileData && frame.body.size() >= 16) {
    uint64_t where[2];
    memcpy(where, frame.body.data(), 16);
    const size_t size = frame.body.size() - 16;
    if (where[0] >= files_.size()) return InvalidArgument("content of an unknown file in the image");
    if (pwrite(files_[where[0]].get(), frame.body.data() + 16, size, static_cast<off_t>(where[1])) !=
        static_cast<ssize_t>(size)) {
      return ErrnoStatus(errno, "content of a mapped file");
    }
    return absl::OkStatus();
  }
  return absl::DataLossError("unexpected frame in an image");
}

absl::Status GuestBuilder::RestoreSignals(RemoteCalls& calls) {
  for (const SignalAction& a : image_.actions()) {
    if (a.action().size() != 32) return InvalidArgument("signal action of {} bytes", a.action().size());
    OMFS_RETURN_IF_ERROR(task_->Write(scratch(), AsBytes(a.action())));
    OMFS_RETURN_IF_ERROR(calls.Do("rt_sigaction", SYS_rt_sigaction,
                                  {static_cast<uint64_t>(a.signal()), scratch().value, 0, 8})
                             .status());
  }
  auto alternate = FromBytes<stack_t>(image_.alternate_stack());
  if ((alternate.ss_flags & SS_DISABLE) == 0 && alternate.ss_size != 0) {
    // On it or not follows from the stack pointer, not from the flag.
    alternate.ss_flags &= ~SS_ONSTACK;
    OMFS_RETURN_IF_ERROR(task_->Write(scratch(), std::as_bytes(std::span(&alternate, 1))));
    OMFS_ASSIGN_OR_RETURN(const user_regs_struct current, task_->GetRegs());
    // The kernel refuses while rsp lies on the new stack: for the call it stands elsewhere.
    user_regs_struct apart = current;
    apart.rsp = scratch().value + 4 * kPageSize;
    OMFS_RETURN_IF_ERROR(task_->SetRegs(apart));
    OMFS_RETURN_IF_ERROR(calls.Do("sigaltstack", SYS_sigaltstack, {scratch().value, 0}).status());
    OMFS_RETURN_IF_ERROR(task_->SetRegs(current));
  }
  return absl::OkStatus();
}

absl::Status GuestBuilder::RestoreLayout(RemoteCalls& calls) {
  if (image_.mm_layout().size() != 88) return InvalidArgument("broken memory layout in the image");
  prctl_mm_map map{};
  memcpy(&map, image_.mm_layout().data(), 88);
  map.auxv = reinterpret_cast<__u64*>(scratch().value + sizeof map);
  map.auxv_size = static_cast<uint32_t>(std::min<size_t>(image_.auxv().size(), 2 * kPageSize));
  map.exe_fd = static_cast<uint32_t>(-1);
  OMFS_RETURN_IF_ERROR(task_->Write(scratch() + sizeof map, AsBytes(image_.auxv()).first(map.auxv_size)));
  OMFS_RETURN_IF_ERROR(task_->Write(scratch(), std::as_bytes(std::span(&map, 1))));
  return calls
      .Do("prctl(PR_SET_MM_MAP)", SYS_prctl, {PR_SET_MM, PR_SET_MM_MAP, scratch().value, sizeof map, 0})
      .status();
}

absl::Status GuestBuilder::InstallFilter(RemoteCalls& calls) {
  FilterOptions options;
  options.stub_begin = stub_;
  options.stub_end = stub_ + kPageSize;
  OMFS_ASSIGN_OR_RETURN(const std::vector<sock_filter> program, BuildFilter(options));
  const RemotePtr at = scratch() + 64;
  if (program.size() * sizeof(sock_filter) > GuestStub::kSize - GuestStub::kCodeSize - kPageSize) return Internal("the filter is too long");
  struct {
    uint16_t length;
    uint16_t pad[3];
    uint64_t filter;
  } fprog{static_cast<uint16_t>(program.size()), {}, at.value};
  OMFS_RETURN_IF_ERROR(task_->Write(scratch(), std::as_bytes(std::span(&fprog, 1))));
  OMFS_RETURN_IF_ERROR(task_->Write(at, std::as_bytes(std::span(program))));
  OMFS_ASSIGN_OR_RETURN(
      const uint64_t fd,
      calls.Do("seccomp", SYS_seccomp,
               {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                scratch().value}));
  listener_.reset(static_cast<int>(syscall(SYS_pidfd_getfd, task_->pidfd(), static_cast<int>(fd), 0)));
  if (!listener_) return ErrnoStatus(errno, "listener");
  return calls.Do("close", SYS_close, {fd}).status();
}

// The last of the limits, when nothing more is opened for the guest. It inherited one that is wide enough; a hard limit
// above that is beyond what this node gives.
absl::Status GuestBuilder::RestoreFileLimit(RemoteCalls& calls) {
  for (const Limit& l : image_.limits()) {
    if (l.resource() != RLIMIT_NOFILE) continue;
    rlimit have{};
    OMFS_ASSIGN_OR_RETURN(const int64_t asked,
                          calls.Raw(SYS_prlimit64, {0, RLIMIT_NOFILE, 0, scratch().value}));
    if (asked != 0) return ErrnoStatus(static_cast<int>(-asked), "asking the guest's limit of open files");
    OMFS_RETURN_IF_ERROR(task_->Read(scratch(), std::as_writable_bytes(std::span(&have, 1))));
    const rlimit want{std::min<rlim_t>(l.soft(), have.rlim_max), std::min<rlim_t>(l.hard(), have.rlim_max)};
    OMFS_RETURN_IF_ERROR(task_->Write(scratch(), std::as_bytes(std::span(&want, 1))));
    OMFS_RETURN_IF_ERROR(
        calls.Do("prlimit", SYS_prlimit64, {0, RLIMIT_NOFILE, scratch().value, 0}).status());
  }
  return absl::OkStatus();
}

absl::Status GuestBuilder::Finish() {
  RemoteCalls calls(&*task_, site());
  // What only the building needed.
  OMFS_RETURN_IF_ERROR(calls.Do("close_range", SYS_close_range, {kHighFd, ~0U, 0}).status());
  files_.clear();
  OMFS_RETURN_IF_ERROR(RestoreLayout(calls));
  OMFS_RETURN_IF_ERROR(RestoreSignals(calls));
  OMFS_RETURN_IF_ERROR(InstallFilter(calls));
  OMFS_RETURN_IF_ERROR(RestoreFileLimit(calls));
  if (image_.tid_address() != 0) {
    OMFS_RETURN_IF_ERROR(calls.Do("set_tid_address", SYS_set_tid_address, {image_.tid_address()}).status());
  }
  if (image_.robust_list() != 0) {
    OMFS_RETURN_IF_ERROR(
        calls.Do("set_robust_list", SYS_set_robust_list, {image_.robust_list(), image_.robust_list_size()})
            .status());
  }
  if (image_.rseq_area() != 0) {
    OMFS_RETURN_IF_ERROR(
        calls.Do("rseq", SYS_rseq, {image_.rseq_area(), image_.rseq_size(), 0, image_.rseq_signature()}).status());
  }
  if (image_.xstate().empty()) return InvalidArgument("no xstate in the image");
  OMFS_RETURN_IF_ERROR(task_->SetXstate(AsBytes(image_.xstate())));
  if (image_.registers().size() != sizeof(user_regs_struct)) return InvalidArgument("no registers in the image");
  OMFS_RETURN_IF_ERROR(task_->SetRegs(FromBytes<user_regs_struct>(image_.registers())));
  return task_->SetSigmask(image_.signal_mask());
}

}  // namespace omfs::migration
