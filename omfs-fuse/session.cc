#include "omfs-fuse/session.h"

#include <sys/uio.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "omfs-fuse/dispatcher.h"
#include "omfs-fuse/mount_point.h"
#include "omfs-fuse/raw_ops.h"
#include "omfs-fuse/waiting_requests.h"
#include "omfs/base/log.h"
#include "omfs/base/status.h"

namespace omfs {
namespace {

// Workers that wait for requests. More make bursts cheaper; too many let each request wake a thread
// whose data has left the processor's caches.
constexpr int kMostWaiting = 4;
constexpr std::chrono::seconds kEndOfConnection{2};

// Set while this thread handles FUSE_INIT: what the kernel offers, and FileSystem::StackDepth.
thread_local uint64_t offered_by_kernel = 0;
thread_local uint32_t stack_depth = 0;

ssize_t ReadDevice(int fd, void* buf, size_t size, void*) { return read(fd, buf, size); }

ssize_t WriteDevice(int fd, iovec* iov, int count, void*) {
  if (!WaitingRequests::BeginAnswer()) {
    errno = ENOENT;  // as the kernel says of requests that it does not wait for; libfuse takes it for that
    return -1;
  }
  if (const uint64_t offered = std::exchange(offered_by_kernel, 0); offered != 0) {
    std::vector<std::byte> reply;
    for (int i = 0; i < count; ++i) {
      const auto* p = static_cast<const std::byte*>(iov[i].iov_base);
      reply.insert(reply.end(), p, p + iov[i].iov_len);
    }
    PatchInitReply(offered, stack_depth, reply);
    return write(fd, reply.data(), reply.size());
  }
  return writev(fd, iov, count);
}

void LogFromLibfuse(fuse_log_level level, const char* format, va_list args) {
  char line[512];
  vsnprintf(line, sizeof line, format, args);
  std::string text = line;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  spdlog::log(level <= FUSE_LOG_ERR ? spdlog::level::err : spdlog::level::debug, "libfuse: {}",
              text);
}

}  // namespace

class FuseSession::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(std::shared_ptr<FileSystem> fs, std::string path, std::function<void()> ended)
      : fs_(std::move(fs)), path_(std::move(path)), ended_(std::move(ended)) {}
  ~Core() {
    waiting_requests_.reset();
    if (session_ != nullptr) fuse_session_destroy(session_);
  }

  absl::Status Start(const std::string& source, unsigned long flags) {
    OMFS_ASSIGN_OR_RETURN(ScopedFd device, OpenFuseDevice());
    // libfuse wants to know what mount(2) was told, and only as a command line.
    std::string max_read = fmt::format("-omax_read={}", OMFS_MAX_PAYLOAD);
    char name[] = "omfs-fuse";
    char* argv[] = {name, max_read.data(), nullptr};
    fuse_args args = FUSE_ARGS_INIT(2, argv);
    session_ = fuse_session_new(&args, &DispatchTable(), sizeof(fuse_lowlevel_ops), fs_.get());
    fuse_opt_free_args(&args);
    if (session_ == nullptr) return Internal("libfuse refuses a session");
    fuse_custom_io io{};
    io.read = ReadDevice;
    io.writev = WriteDevice;
    fd_ = device.get();
    waiting_requests_.emplace(fd_, fs_.get());
    kernel_cache_ = std::make_shared<KernelCache>(fd_);
    if (fuse_session_custom_io(session_, &io, fd_) != 0)
      return Internal("libfuse refuses the device");
    device.release();  // closed by fuse_session_destroy
    OMFS_RETURN_IF_ERROR(MountFuse(fd_, path_, source, flags));
    std::lock_guard lock(mu_);
    StartWorker();
    return absl::OkStatus();
  }

  std::shared_ptr<KernelCache> kernel_cache() const { return kernel_cache_; }

  bool Stop() {
    if (absl::Status s = UnmountFuse(path_); !s.ok()) spdlog::error("{}", Text(s));
    std::unique_lock lock(mu_);
    return worker_ended_.wait_for(lock, kEndOfConnection, [&] { return workers_ == 0; });
  }

 private:
  void StartWorker() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    try {
      std::thread([self = shared_from_this()] { self->Work(); }).detach();
      ++workers_;
      ++waiting_;
    } catch (const std::system_error& e) {
      spdlog::error("cannot start a thread path={} why={}", path_, Quoted(e.what()));
    }
  }

  void Work() {
    fuse_buf buffer{};
    for (;;) {
      const int n = fuse_session_receive_buf(session_, &buffer);
      if (n == -EINTR || n == -EAGAIN) continue;
      if (n <= 0) break;
      {
        std::lock_guard lock(mu_);
        if (--waiting_ == 0) StartWorker();
      }
      Handle(buffer);
      std::lock_guard lock(mu_);
      if (waiting_ >= kMostWaiting) {
        --workers_;
        worker_ended_.notify_all();
        free(buffer.mem);
        return;
      }
      ++waiting_;
    }
    free(buffer.mem);
    std::unique_lock lock(mu_);
    --waiting_;
    const bool first = !std::exchange(over_, true);
    lock.unlock();
    if (first) ended_();
    lock.lock();
    --workers_;
    worker_ended_.notify_all();
  }

  void Handle(const fuse_buf& buffer) {
    const std::span<const std::byte> request{static_cast<const std::byte*>(buffer.mem),
                                             buffer.size};
    uint64_t offered = 0;
    uint32_t minor = 0;
    if (IsInit(request, &offered, &minor)) {
      offered_by_kernel = offered;
      stack_depth = fs_->StackDepth();
      kernel_cache_->set_protocol_minor(minor);
    }
    if (waiting_requests_->Interrupt(request)) return;
    const WaitingRequests::Scope scope(&*waiting_requests_, request);
    if (!scope.to_be_served()) return;
    const auto send = [this](std::span<const std::byte> reply) {
      return WaitingRequests::BeginAnswer() && write(fd_, reply.data(), reply.size()) >= 0;
    };
    if (!AnswerRaw(fs_.get(), request, send)) fuse_session_process_buf(session_, &buffer);
    if (offered != 0) fs_->Connected(fd_, offered);
  }

  const std::shared_ptr<FileSystem> fs_;
  const std::string path_;
  const std::function<void()> ended_;
  fuse_session* session_ = nullptr;
  int fd_ = -1;  // session_'s
  std::shared_ptr<KernelCache> kernel_cache_;
  std::optional<WaitingRequests> waiting_requests_;

  std::mutex mu_;
  std::condition_variable worker_ended_;
  int workers_ ABSL_GUARDED_BY(mu_) = 0;
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;  // those without a request
  bool over_ ABSL_GUARDED_BY(mu_) = false;
};

FuseSession::FuseSession(std::shared_ptr<Core> core) : core_(std::move(core)) {}
FuseSession::~FuseSession() = default;

absl::StatusOr<std::unique_ptr<FuseSession>> FuseSession::Start(std::shared_ptr<FileSystem> fs,
                                                                const std::string& path,
                                                                const std::string& source,
                                                                unsigned long flags,
                                                                std::function<void()> ended) {
  fuse_set_log_func(LogFromLibfuse);
  auto core = std::make_shared<Core>(std::move(fs), path, std::move(ended));
  OMFS_RETURN_IF_ERROR(core->Start(source, flags));
  return std::unique_ptr<FuseSession>(new FuseSession(std::move(core)));
}

std::shared_ptr<KernelCache> FuseSession::kernel_cache() const { return core_->kernel_cache(); }
bool FuseSession::Stop() { return core_->Stop(); }

}  // namespace omfs
