#include "omfs/fdkeeper/fd_keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "omfs/base/status.h"

namespace omfs::fdkeeper {
namespace {

constexpr char kDirectory[] = "fdkeeper";
constexpr char kSocket[] = "socket";
// A keeper that takes or answers nothing for so long (it has been stopped) is given up.
constexpr timeval kTimeout{10, 0};
constexpr int kListener = 3;

absl::StatusOr<ScopedFd> OpenDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, path);
  ScopedFd dir(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || fchmod(dir.get(), 0700) != 0) return ErrnoStatus(errno, path);
  return dir;
}

// By way of the descriptor, as a path may be longer than a socket's address.
sockaddr_un AddressIn(const ScopedFd& dir) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  fmt::format_to_n(a.sun_path, sizeof a.sun_path - 1, "/proc/self/fd/{}/{}", dir.get(), kSocket);
  return a;
}

absl::StatusOr<ScopedFd> NewSocket() {
  ScopedFd s(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!s) return ErrnoStatus(errno, "socket");
  return s;
}

absl::StatusOr<ScopedFd> Connect(const ScopedFd& dir) {
  OMFS_ASSIGN_OR_RETURN(ScopedFd s, NewSocket());
  setsockopt(s.get(), SOL_SOCKET, SO_SNDTIMEO, &kTimeout, sizeof kTimeout);
  setsockopt(s.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  const sockaddr_un a = AddressIn(dir);
  if (connect(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) {
    return ErrnoStatus(errno, "fd-keeper's socket");
  }
  return s;
}

absl::StatusOr<ScopedFd> Listen(const ScopedFd& dir) {
  OMFS_ASSIGN_OR_RETURN(ScopedFd s, NewSocket());
  if (unlinkat(dir.get(), kSocket, 0) != 0 && errno != ENOENT) return ErrnoStatus(errno, "old fd-keeper's socket");
  const sockaddr_un a = AddressIn(dir);
  if (bind(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 || listen(s.get(), 16) != 0) {
    return ErrnoStatus(errno, "fd-keeper's socket");
  }
  return s;
}

absl::Status Spawn(const Options& options, const std::string& path, int listener) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_init(&actions);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, listener, kListener);
  posix_spawn_file_actions_addclosefrom_np(&actions, kListener + 1);
  std::string program = options.program, path_word = path, seconds = std::to_string(options.patience.count());
  char* argv[] = {program.data(), path_word.data(), seconds.data(), nullptr};
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return ErrnoStatus(error, program);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return Internal("{} does not start (status {:#x})", program, status);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<FdKeeper>> FdKeeper::Reach(const Options& options) {
  const std::string directory = options.state_dir + "/" + kDirectory;
  OMFS_ASSIGN_OR_RETURN(const ScopedFd dir, OpenDirectory(directory));
  if (auto socket = Connect(dir); socket.ok()) {
    std::unique_ptr<FdKeeper> known(new FdKeeper(std::move(*socket)));
    // It may be about to end, or stopped: only one that answers counts.
    Key last;
    last.fill(0xff);
    if (known->Next(last).ok()) return known;
  }
  OMFS_ASSIGN_OR_RETURN(ScopedFd listener, Listen(dir));
  // Connected before the keeper runs: it finds somebody waiting.
  OMFS_ASSIGN_OR_RETURN(ScopedFd socket, Connect(dir));
  OMFS_RETURN_IF_ERROR(Spawn(options, directory + "/" + kSocket, listener.get()));
  return std::unique_ptr<FdKeeper>(new FdKeeper(std::move(socket)));
}

absl::StatusOr<std::pair<Message, ScopedFd>> FdKeeper::Next(const Key& after) {
  const absl::Status lost = Unavailable("the fd-keeper does not answer");
  if (Send(socket_.get(), {Op::kNext, 0, after}) != 0) return lost;
  std::pair<Message, ScopedFd> answer;
  if (Receive(socket_.get(), &answer.first, &answer.second) != Received::kMessage) return lost;
  if (answer.first.op != Op::kItem && answer.first.op != Op::kEnd) return lost;
  return answer;
}

absl::StatusOr<std::vector<std::pair<Key, ScopedFd>>> FdKeeper::All() {
  std::vector<std::pair<Key, ScopedFd>> all;
  for (Key last{};;) {
    OMFS_ASSIGN_OR_RETURN(auto answer, Next(last));
    if (answer.first.op == Op::kEnd) return all;
    last = answer.first.key;
    all.emplace_back(last, std::move(answer.second));
  }
}

bool FdKeeper::Put(const Key& key, int fd) { return Send(socket_.get(), {Op::kPut, 0, key}, fd) == 0; }
bool FdKeeper::Drop(const Key& key) { return Send(socket_.get(), {Op::kDrop, 0, key}) == 0; }

}  // namespace omfs::fdkeeper
