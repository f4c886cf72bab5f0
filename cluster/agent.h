// One agent process (omfs-deputy or omfs-keeper) that omfsd has started, and its conversation over descriptor 3:
// commands to it, events from it (proto/local.proto).
//
// A thread per agent reads its events and reaps it. Agents lead sessions of their own: a Ctrl-C at omfsd's terminal is not
// theirs. They outlive omfsd when it is killed; they see the end of the stream then.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/scoped_fd.h"
#include "proto/local.pb.h"

namespace omfs {

// Thread-safe.
class Agent {
 public:
  // Starts argv[0] with a socket as descriptor 3, /dev/null as stdin, and omfsd's stderr as stdout and stderr.
  static absl::StatusOr<std::shared_ptr<Agent>> Start(const std::vector<std::string>& argv);
  // The agent must have ended or been hung up on.
  ~Agent();

  // Sends a command and waits for its result; commands of several callers go one after the other.
  absl::Status Command(const local::AgentCommand& command);
  // Sends a command whose result nobody waits for.
  absl::Status Send(const local::AgentCommand& command);

  // Waits until the predicate holds for the state the agent has reported. kUnavailable when the agent ends first,
  // kDeadlineExceeded after the limit.
  absl::Status Await(const std::function<bool(const local::AgentEvent&)>& predicate,
                     std::chrono::milliseconds limit);

  // What it last said about its process and itself, up to what it has said by now: a process that it has let go on after saying so
  // is never shown in its old state. listening_port is kept once it was told.
  local::AgentEvent last();
  bool ended() const;
  std::chrono::steady_clock::time_point end_time() const;  // meaningful once ended
  pid_t pid() const { return pid_; }

  // Closes the conversation and stops watching: the agent sees the end of the stream and goes on alone.
  void HangUp();
  void Kill();

 private:
  Agent(std::string name, pid_t pid, ScopedFd pidfd, ScopedFd socket);
  void ReadLoop();
  bool TakeEvent();  // read_mutex_ held; false at the end of the stream
  bool HasSaidMore() const;
  void Reap();
  // command_mutex_ held. Gives the number of the command.
  absl::StatusOr<uint64_t> SendNext(const local::AgentCommand& command);
  absl::Status EndedStatus() const;

  const std::string name_;
  const pid_t pid_;
  const ScopedFd pidfd_;
  const ScopedFd socket_;

  std::mutex command_mutex_;  // one command at a time; before read_mutex_ and mutex_
  std::mutex read_mutex_;     // one reader of the socket at a time; before mutex_
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  local::AgentEvent last_;
  uint64_t sent_ = 0;      // commands sent so far
  uint64_t finished_ = 0;  // of them finished: in the order they were sent
  bool hung_up_ = false;
  bool ended_ = false;
  std::string end_reason_;
  std::chrono::steady_clock::time_point end_time_;

  std::thread reader_;
};

}  // namespace omfs
