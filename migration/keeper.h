// Keeper: the process beside a guest that answers its intercepted system calls.
//
// One thread, one guest (v1: single-threaded). A notified call is handled to its end before the next can come, because the
// guest waits for it; so handlers are written straight down, and a call that goes home waits in a nested loop that still
// serves signals and the link.
//
// Whose descriptor? The guest's kernel table holds both kinds: files below /mfs are really open there, descriptors of the
// home process are held by placeholders, so that the guest's kernel hands out the numbers the program expects. The
// keeper knows the numbers of the placeholders (home_); they change only through calls it sees.
//
// A call is run here by letting the guest's kernel continue it. That is right although the guest could change the memory
// behind the arguments in between: the guest has only its own user's rights, and nothing but /mfs in its root; a path that
// leads elsewhere finds nothing.
//
// Interruption. A notified guest waits uninterruptibly (WAIT_KILLABLE_RECV). A signal that will be handled must still
// interrupt a forwarded call: the keeper asks the deputy to cancel it and answers with what the home kernel says. -ERESTARTSYS
// and its relatives are valid answers: the guest's kernel then restarts or fails the call exactly as natively. It looks at them
// only on its way to a signal, so each such answer comes with an interrupt (PTRACE_INTERRUPT), lest it reach the program.
//
// Sleeps. A relative sleep with no place for the remaining time can be continued only by the kernel that it began in: its deadline is
// in the task's restart block, for restart_syscall. So these sleep in the deputy, which is the same task at home and away, wherever
// the guest moves meanwhile; restart_at_home_ tells whose restart a restart_syscall is.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "dfsa/path_rules.h"
#include "migration/guest_builder.h"
#include "migration/link.h"
#include "migration/marshal.h"
#include "omfs/base/config.h"

struct seccomp_notif;

namespace omfs::migration {

class Keeper {
 public:
  Keeper(const Config& config, std::unique_ptr<Link> link, ScopedFd channel);
  ~Keeper();

  // Receives the image, builds the guest, and serves it until it has left or ended.
  absl::Status Run();

 private:
  // keeper.cc: life of the guest
  absl::Status Build();
  absl::Status Loop();
  absl::Status OnMessage(const LinkMessage& m);
  absl::Status OnGuestStop();
  absl::Status OnGuestStopEvent(const TaskStop& stop);
  absl::Status DeliverSignal(const siginfo_t& info);
  // The guest's signals, a bit each as in /proc/PID/status.
  struct SignalState {
    uint64_t pending = 0, blocked = 0, ignored = 0, caught = 0;
    bool Handles(int signal) const;  // it interrupts a call when it comes
  };
  SignalState ReadSignalState() const;
  // Whether one waits in the guest that interrupts a call: one that came just before the call was received, whose waiting the
  // kernel then no longer lets it end.
  bool SignalWaits();
  bool HasHandler(int signal) const;
  // Stops the guest wherever it is; a notified call that was not begun is to be issued again.
  absl::Status Freeze();
  absl::Status SendHome(const std::string& reason);
  // The guest is in a group stop: home is told, once.
  absl::Status TellStopped(int signal);
  // Lets the stopped guest go on, unless a signal has stopped it: then it waits for the one that continues it.
  absl::Status LetGoOn();
  // Stops the guest inside the notified call with this restart code; its registers show the call still to be made.
  absl::Status StopInCall(uint64_t id, int64_t code);
  void SendCounters();

  // keeper_calls.cc: the calls
  absl::Status OnNotification();
  absl::Status Handle(const seccomp_notif& n);
  absl::Status HandleBoth(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleClose(const seccomp_notif& n, const SyscallArgs& args);
  absl::Status HandleCloseRange(const seccomp_notif& n, const SyscallArgs& args);
  absl::Status HandleDup(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleDup2(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleFcntl(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleChdir(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleFchdir(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleGetcwd(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleUmask(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleSigaction(const seccomp_notif& n, const SyscallArgs& args);
  absl::Status HandleSleep(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status ForwardSleep(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  absl::Status HandleExit(const seccomp_notif& n, const SyscallArgs& args);
  absl::Status HandlePrctl(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);

  // keeper_interruption.cc: calls that the guest has made and nobody has begun (interruption.h)
  void Received(const seccomp_notif& n);
  int64_t EndOfUnbegun(uint64_t nr, const SyscallArgs& args) const;
  // The guest is stopped: if a signal or an interrupt has ended its waiting to be received, how is corrected.
  absl::Status CorrectUnbegun();
  // Whether the guest's own kernel may have begun the call and been interrupted in it.
  bool InterruptibleHere(const SyscallSpec& spec, const SyscallArgs& args);

  // keeper_memory.cc: mapping files of the home node
  absl::Status HandleMmap(const seccomp_notif& n, const SyscallArgs& args);
  absl::StatusOr<std::string> HomeLink(int fd);

  // Replaces the `syscall` instruction the notified call came from, if it is of the kind; the call is then issued anew.
  // false: left alone.
  absl::StatusOr<bool> TakeFastPath(const seccomp_notif& n);

  // Answers to a notification. A guest that died meanwhile is no error.
  absl::Status Reply(uint64_t id, int64_t result);
  absl::Status Continue(uint64_t id);
  absl::Status Recall(uint64_t id, const std::string& reason);
  // Puts a placeholder into the guest's table; at: number wanted, or -1 for the lowest free. Gives the number or -errno.
  absl::StatusOr<int> AddPlaceholder(uint64_t id, int at, bool close_on_exec);

  // Where the objects a call names are.
  enum class Place { kHere, kHome, kMixed };
  // recall_reason: set when a call would go home that must not be run by the deputy (files of /proc about the process).
  Place PlaceOf(const SyscallSpec& spec, const SyscallArgs& args, std::string* recall_reason);
  std::optional<std::string> AbsolutePath(int dirfd, const std::string& path, bool* dir_is_home);

  // Runs a call at home and waits for its result; errors are the link's or the guest's end.
  absl::StatusOr<ForwardResult> ForwardAndWait(const ForwardCall& call);
  absl::Status ForwardAndReply(const seccomp_notif& n, const SyscallSpec& spec, const SyscallArgs& args);
  // Forwards the call of the guest itself; the rax for the guest. nullopt: it was recalled instead.
  absl::StatusOr<std::optional<int64_t>> ForwardGuestCall(const seccomp_notif& n, const SyscallSpec& spec,
                                                          const SyscallArgs& args);
  // A call of the keeper's own at home; strings behind pointer arguments are taken from `memory`.
  absl::StatusOr<ForwardResult> ForwardOwn(uint64_t nr, const SyscallArgs& args, GuestMemory& memory);
  absl::StatusOr<int64_t> ForwardPlain(uint64_t nr, const SyscallArgs& args);
  // Gives descriptor `made` of the home process the number the guest's kernel hands out; replies.
  absl::Status AdoptHomeDescriptor(const seccomp_notif& n, int made, bool close_on_exec);

  class ProcessMemory;

  const Config& config_;
  std::unique_ptr<Link> link_;
  ScopedFd channel_;
  ScopedFd signal_fd_;
  Image image_;
  std::unique_ptr<GuestBuilder> builder_;
  std::unique_ptr<ProcessMemory> memory_;
  std::unique_ptr<dfsa::PathRules> paths_;
  ScopedFd listener_;
  std::set<int> home_;       // descriptors of the home process
  bool cwd_here_ = false;    // the working directory lies below /mfs and is the guest's kernel's
  std::set<int> ignored_;    // signals the deputy has been told to ignore
  uint64_t next_call_ = 1;
  std::optional<uint64_t> waiting_for_;     // number of the forwarded call under way
  std::optional<ForwardResult> result_;     // its result, once here
  bool cancel_sent_ = false;
  bool restart_at_home_ = false;            // the next restart_syscall is of a sleep in the deputy
  uint64_t restarted_call_ = 0;             // the call which the guest's own kernel restarts by restart_syscall
  struct Interrupted {
    uint64_t nr;
    int64_t code;
  };
  std::optional<Interrupted> interrupted_;  // the call the guest makes again: how it ends if a signal comes first
  uint64_t received_nr_ = 0;                // of the notification being handled, with its arguments
  SyscallArgs received_args_{};
  bool go_home_ = false;                    // asked to send the guest home
  bool done_ = false;
  bool guest_reaped_ = false;
  bool stopped_ = false;  // as by SIGSTOP, and home has been told
  std::deque<siginfo_t> signals_;           // passed to the guest, not yet seen at delivery
  uint64_t signals_received_ = 0;
  uint64_t local_calls_ = 0;
  uint64_t library_floor_ = 0;              // below it libraries that are loaded while away are mapped; 0 = anywhere
};

}  // namespace omfs::migration
