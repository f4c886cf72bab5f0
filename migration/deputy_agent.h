// DeputyAgent: the home half of a migration. One process, one thread, one migrated process.
//
// Life of a move
//
//   seized -> stopped -> blob mapped -> image and memory sent -> the keeper says Ready -> Go
//
// Go is the commit point. Until then every failure puts the process back exactly as it was and lets it run here; from then on
// the guest runs there, and the process here is hollowed out and becomes the deputy: it executes what the keeper sends in
// kCall frames. If the link breaks after Go was sent, nobody can know whether the guest has run; the process must not be
// resumed from its old state, so it is ended (SIGKILL), which is reported.
//
// Coming home (asked for here, or a recall by the keeper) the keeper freezes the guest and sends its image; the deputy's
// memory is made the same, and the agent's Ready lets the keeper discard the guest. Then the process is released and the
// agent ends: a process at home costs nothing.
//
// Signals
//
// A traced process stops for every signal sent to it. The agent passes it to the keeper and lets the deputy go on without it:
// handlers, masks and default actions are the guest's. What the signal does to the guest comes back: Stopped (then the
// deputy is stopped by the same signal, so that the shell sees it) or Died (then the deputy dies of it). A forwarded call
// that is under way is interrupted only when the keeper asks (Cancel), because only there it is known whether the guest
// handles the signal. SIGKILL needs no help.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "migration/deputy_blob.h"
#include "migration/link.h"
#include "omfs/base/config.h"
#include "omfs/net/tls.h"
#include "proto/local.pb.h"

namespace omfs::migration {

class DeputyAgent {
 public:
  // channel: socket to omfsd (proto/local.proto AgentCommand/AgentEvent).
  DeputyAgent(const Config& config, std::shared_ptr<TlsContext> tls, ScopedFd channel)
      : config_(config), tls_(std::move(tls)), channel_(std::move(channel)) {}
  ~DeputyAgent();

  // Serves process pid until it is at home for good or has ended. launch: it is mosrun itself; the first move happens
  // when it executes its program.
  absl::Status Run(pid_t pid, bool launch);

 private:
  enum class State { kLaunching, kHome, kAway, kGone };

  absl::Status Loop();
  absl::Status OnTaskStop();
  absl::Status OnSignalStop(const TaskStop& stop);
  absl::Status OnCommand();
  absl::Status OnFrame(const Frame& frame);
  absl::Status OnCall(const Frame& frame);
  absl::Status OnMessage(const LinkMessage& m);
  absl::Status OnCancel(uint64_t call);
  void OnEnded(const TaskStop& stop);

  // Moves the stopped process out. An error leaves it stopped and intact (state kHome), or ends it (kGone).
  absl::Status MoveOut(const local::MoveTo& to);
  // Stops the process where a move can begin.
  absl::Status StopForMove();
  // Takes the signals that wait in the stopped process and passes them on.
  absl::Status ForwardPending();
  absl::Status CheckMovable();
  absl::Status Commit();
  absl::Status TakeHome(const LinkMessage& first);
  absl::Status FinishCall(int64_t rax);
  absl::Status MirrorAction(const Action& action);
  absl::Status DieBy(int signal);
  // One call of the agent's own through the running deputy.
  absl::StatusOr<int64_t> DeputyCall(uint64_t nr, std::initializer_list<uint64_t> args);
  // Ends the process for a reason of ours (link lost): SIGKILL, reported.
  void GiveUp(const std::string& why);
  void Report(bool finished = false, const absl::Status& result = absl::OkStatus());
  // Lets the whole process go on by itself, with the signals that came meanwhile.
  absl::Status Release();
  void ForwardSignal(const siginfo_t& info);

  const Config& config_;
  std::shared_ptr<TlsContext> tls_;
  ScopedFd channel_;
  ScopedFd signal_fd_;
  std::optional<TracedTask> task_;
  std::optional<DeputyBlob> blob_;
  std::unique_ptr<Link> link_;
  State state_ = State::kHome;
  std::optional<local::MoveTo> wanted_;     // launching: where to, when the program is executed
  bool home_requested_ = false;             // a MoveHome command waits for its answer
  std::vector<siginfo_t> held_;             // signals that came while the process was stopped for a move
  std::deque<siginfo_t> forwarded_signals_;  // the latest; for those that meet the guest leaving
  uint64_t signals_sent_ = 0;
  bool stopped_by_guest_ = false;           // the deputy is being stopped as the guest was
  int die_signal_ = 0;                      // the deputy is being killed as the guest was
  std::vector<int> moved_files_;            // descriptors that went along: closed here at commit

  struct CallUnderWay {
    uint64_t number;
    struct Placement;
    std::shared_ptr<Placement> placement;
  };
  std::optional<CallUnderWay> call_;        // slow: its result will be a breakpoint stop

  local::ProcessInfo info_;
  std::map<std::string, uint64_t> recalls_, forwarded_;
};

}  // namespace omfs::migration
