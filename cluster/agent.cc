#include "cluster/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/net/frame.h"

namespace omfs {
namespace {

constexpr int kAgentFd = 3;

class SpawnAttributes {
 public:
  SpawnAttributes() {
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_init(&actions_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETSID);
  }
  ~SpawnAttributes() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  // Returns a positive errno.
  int Spawn(const std::vector<std::string>& argv, int agent_end, pid_t* pid) {
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, 2, 1);
    posix_spawn_file_actions_adddup2(&actions_, agent_end, kAgentFd);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kAgentFd + 1);
    std::vector<char*> args;
    for (const std::string& a : argv) args.push_back(const_cast<char*>(a.c_str()));
    args.push_back(nullptr);
    return posix_spawn(pid, args[0], &actions_, &attributes_, args.data(), environ);
  }

 private:
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

absl::StatusOr<std::shared_ptr<Agent>> Agent::Start(const std::vector<std::string>& argv) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return ErrnoStatus(errno, "socketpair");
  }
  ScopedFd ours(pair[0]), agents(pair[1]);
  pid_t pid = -1;
  if (const int err = SpawnAttributes().Spawn(argv, agents.get(), &pid); err != 0) {
    return ErrnoStatus(err, fmt::format("cannot start {}", argv[0]));
  }
  // Its only reaper is the Agent made here, so the number cannot have been reused.
  ScopedFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const int err = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return ErrnoStatus(err, "pidfd_open");
  }
  spdlog::info("agent_started program={} agent_pid={}", BaseName(argv[0]), pid);
  std::shared_ptr<Agent> agent(
      new Agent(BaseName(argv[0]), pid, std::move(pidfd), std::move(ours)));
  agent->reader_ = std::thread([a = agent.get()] { a->ReadLoop(); });
  return agent;
}

Agent::Agent(std::string name, pid_t pid, ScopedFd pidfd, ScopedFd socket)
    : name_(std::move(name)), pid_(pid), pidfd_(std::move(pidfd)), socket_(std::move(socket)) {}

Agent::~Agent() {
  if (reader_.joinable()) reader_.join();
}

void Agent::ReadLoop() {
  bool open = true;
  for (;;) {
    // An agent may leave its socket to a child by accident; its own end is what counts.
    pollfd p[] = {{open ? socket_.get() : -1, POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    if (poll(p, 2, -1) < 0) continue;
    if (p[0].revents != 0) {
      {
        std::lock_guard reading(read_mutex_);
        if (HasSaidMore()) open = TakeEvent();  // or last() was quicker
      }
      std::lock_guard lock(mutex_);
      if (hung_up_) return;
    } else if (p[1].revents != 0) {
      break;  // ended, and all it said has been read
    }
  }
  Reap();
}

bool Agent::HasSaidMore() const {
  pollfd p{socket_.get(), POLLIN, 0};
  return poll(&p, 1, 0) > 0;
}

bool Agent::TakeEvent() {
  const auto bytes = ReceiveFrame(socket_.get());
  if (!bytes.ok()) return false;
  local::AgentEvent event;
  if (!event.ParseFromString(*bytes)) {
    spdlog::error("agent_nonsense program={} agent_pid={}", name_, pid_);
    return false;
  }
  std::lock_guard lock(mutex_);
  if (event.has_process()) *last_.mutable_process() = event.process();
  if (event.has_why()) *last_.mutable_why() = event.why();
  if (event.listening_port() != 0) last_.set_listening_port(event.listening_port());
  if (event.finished_command()) {
    last_.set_done_error(event.done_error());
    last_.set_done_text(event.done_text());
    ++finished_;
    if (event.done_error() != 0) {
      spdlog::warn("agent_command_failed program={} pid={} reason={}", name_, last_.process().pid(),
                   Quoted(event.done_text()));
    }
  }
  changed_.notify_all();
  return true;
}

void Agent::Reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  std::lock_guard lock(mutex_);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    end_reason_ = "has ended";
    spdlog::info("agent_ended program={} agent_pid={}", name_, pid_);
  } else {
    end_reason_ = WIFSIGNALED(status)
                      ? fmt::format("was killed by signal {}", WTERMSIG(status))
                      : fmt::format("failed with exit status {}", WEXITSTATUS(status));
    spdlog::error("agent_failed program={} agent_pid={} reason={}", name_, pid_,
                  Quoted(end_reason_));
  }
  ended_ = true;
  end_time_ = std::chrono::steady_clock::now();
  changed_.notify_all();
}

absl::Status Agent::EndedStatus() const { return Unavailable("{} {}", name_, end_reason_); }

absl::StatusOr<uint64_t> Agent::SendNext(const local::AgentCommand& command) {
  const absl::Status sent = SendFrame(socket_.get(), command.SerializeAsString());
  std::unique_lock lock(mutex_);
  if (sent.ok()) return ++sent_;
  // The reason is on its way: the agent is ending or has ended.
  changed_.wait_for(lock, std::chrono::seconds(1), [this] { return ended_; });
  return ended_ ? EndedStatus() : sent;
}

absl::Status Agent::Send(const local::AgentCommand& command) {
  std::lock_guard command_lock(command_mutex_);
  return SendNext(command).status();
}

absl::Status Agent::Command(const local::AgentCommand& command) {
  std::lock_guard command_lock(command_mutex_);
  OMFS_ASSIGN_OR_RETURN(const uint64_t number, SendNext(command));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return finished_ >= number || ended_ || hung_up_; });
  if (finished_ < number) return ended_ ? EndedStatus() : Unavailable("omfsd is ending");
  if (last_.done_error() == 0) return absl::OkStatus();
  return absl::Status(absl::ErrnoToStatusCode(last_.done_error()), last_.done_text());
}

absl::Status Agent::Await(const std::function<bool(const local::AgentEvent&)>& predicate,
                          std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  const bool settled = changed_.wait_for(lock, limit, [&] { return predicate(last_) || ended_ || hung_up_; });
  if (predicate(last_)) return absl::OkStatus();
  if (settled && !ended_) return Unavailable("omfsd is ending");
  if (settled) {
    return last_.done_error() != 0 ? absl::Status(absl::ErrnoToStatusCode(last_.done_error()),
                                                  last_.done_text())
                                   : EndedStatus();
  }
  return absl::DeadlineExceededError(fmt::format("{} does not answer", name_));
}

local::AgentEvent Agent::last() {
  {
    std::lock_guard reading(read_mutex_);
    while (HasSaidMore() && TakeEvent()) continue;
  }
  std::lock_guard lock(mutex_);
  return last_;
}
bool Agent::ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}
std::chrono::steady_clock::time_point Agent::end_time() const {
  std::lock_guard lock(mutex_);
  return end_time_;
}

void Agent::HangUp() {
  std::lock_guard lock(mutex_);
  hung_up_ = true;
  shutdown(socket_.get(), SHUT_RDWR);
  changed_.notify_all();
}
void Agent::Kill() { syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0); }

}  // namespace omfs
