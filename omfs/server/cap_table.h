// Caps at the owner: who may cache what, and what must be called back before an operation.
//
// A cap (proto/omfs_wire.h, "Caps") is a promise to a session: as long as it holds the cap, nothing
// it has been told under it changes without its knowing. The owner keeps the promise like this.
//
// 1. An operation that changes something *claims* it before it acts: the groups (attributes, links,
// data) of each object,
//    and for a directory the entry. Claiming makes two things true at the same moment: every later
//    grant is refused for what is claimed, and every session that holds a conflicting cap has been
//    sent a recall. The operation runs when all of those have answered; it waits without a thread
//    and is run again from its beginning (the dispatcher). It keeps its claims until it has acted;
//    only then may the result be cached by anybody.
// 2. An operation that only reads *is granted* caps before it reads. If a change comes after the
// grant, the change sees
//    the grant and recalls it; if before, there is no grant. So a fact read after its grant is true
//    until the recall, and the numbers (one sequence for grants, changes and recalls) let the
//    client tell a late reply from a fresh one.
// 3. Reading data or size claims that nobody delays writes to it (W), which brings those writes
// home first.
//
// The caller's own caps are no conflict: its client knows what it asked for, and drops what the
// reply's number says. But its kernel answers others on its node by what it knows until the reply
// is there; so an entry that other sessions cache, and may see changed before, is told to the
// caller's client too.
//
// Entries are claimed alone: two operations on one name of one directory never run at the same
// time, so the object that an unlink claimed is the one it removes. Sessions that cache a directory
// keep the cap and are told the entry (ENTRY).
//
// Nothing waits in a circle: claims of one operation are made all at once or not at all; clients
// answer recalls without asking the owner for anything that waits, with one exception: what they
// must do first - write delayed data home, fetch a page the kernel has locked, register an open.
// Such requests come from a session that has an unanswered recall of the object, and those never
// wait for others' answers (Claim lets them pass).
//
// Who does not answer is fenced: the caller (DataServer) ends sessions whose lease has passed or
// that leave a recall unanswered for a whole lease (Overdue), and EndSession counts as the answer
// to all of theirs.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "omfs/base/ids.h"
#include "omfs/server/handle.h"

namespace omfs {

// What an operation is about to do to one object.
struct CapClaim {
  omfs_fh object;
  uint32_t changes = 0;     // groups that change: OMFS_CAP_A, L, F
  bool reads_data = false;  // data, size or times are read: delayed writes must be here
  bool owed = false;        // with changes = F: a write that a recall brings home, see above;
                            // it passes once the session's F or W is being recalled
  // A name in the directory `object`, claimed alone. With changes = L it is made, removed or comes
  // to mean another object; with 0 it only must not do so meanwhile.
  std::string entry = {};

  friend bool operator==(const CapClaim& a, const CapClaim& b) {
    return HandleEqual()(a.object, b.object) && a.changes == b.changes &&
           a.reads_data == b.reads_data && a.owed == b.owed && a.entry == b.entry;
  }
};

struct CapRecall {
  SessionId session;
  omfs_fh object{};
  uint32_t kind = 0;  // OMFS_RECALL_*
  uint32_t caps = 0;
  std::string entry = {};
  uint64_t seq = 0;  // also names the recall in its answer
};

struct CapGrant {
  uint32_t caps = 0;
  uint64_t seq = 0;
};

// Thread-safe. No callback is called with locks held.
class CapTable {
 public:
  // The claims of one operation. Released at the latest when it is destroyed. One thread at a time.
  class Ticket {
   public:
    explicit Ticket(CapTable* table) : table_(table) {}
    ~Ticket() { table_->Release(this); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    friend class CapTable;
    CapTable* const table_;
    // Guarded by table_->mutex_.
    SessionId session_;
    std::vector<CapClaim> claims_;             // those that stand
    std::unordered_set<uint64_t> unanswered_;  // recalls it waits for
    std::optional<omfs_fh> blocked_on_;        // waits for claims of others on this object
    std::optional<omfs_fh> acquiring_;         // waits for F of this object
    bool in_grace_ = false;                    // waits for the end of the grace period
    std::function<void()> resume_;             // set while it waits
  };

  // send: hands a recall to its session's recall connection; may not block for long. Called again
  // for what is unanswered when the session has a new connection (Reconnected). idle: nobody caches
  // the object any more.
  explicit CapTable(std::function<void(const CapRecall&)> send,
                    std::function<void(const omfs_fh&)> idle = nullptr)
      : send_(std::move(send)), idle_(std::move(idle)) {}

  enum class Verdict {
    kGo,    // the claims stand and nobody caches against them
    kWait,  // resume will be called once; then claim again
  };
  // Claims for an operation of `session`. A ticket that has the same claims already keeps them;
  // others are released first.
  Verdict Claim(Ticket* ticket, SessionId session, std::vector<CapClaim> claims,
                std::function<void()> resume);
  // The operation has acted (or gave up): what it changed may be cached again. Idempotent.
  void Release(Ticket* ticket);

  // Grants what can be granted of `wanted`. entry: the caps on a directory concern this entry only.
  // seq: the number of an earlier grant of the same operation, under which all its facts go; 0 = a
  // new one, also if nothing is granted.
  CapGrant Grant(SessionId session, const omfs_fh& object, uint32_t wanted,
                 std::string_view entry = {}, uint64_t seq = 0);
  // Grants F as soon as it can be had, whoever has the file open: kWait as for Claim. Changes that
  // come later wait for it. A session with an unanswered recall of F gets no new cap but may go on:
  // what it reads it will drop.
  Verdict Acquire(Ticket* ticket, SessionId session, const omfs_fh& object,
                  std::function<void()> resume, CapGrant* grant);
  bool OthersHold(SessionId session, const omfs_fh& object, uint32_t caps) const;
  // A number for a change that was made.
  uint64_t NextSeq();

  // Opens count: a file that one session has open for writing while another has it open is cached
  // by nobody (the rule of Sprite), except page by page where a client cannot do without
  // (OMFS_CAP_MUST).
  void AddOpen(SessionId session, const omfs_fh& object, bool writing);
  void RemoveOpen(SessionId session, const omfs_fh& object, bool writing);

  // The client's answer to a recall. Unknown numbers are answers given twice.
  void Answer(SessionId session, uint64_t seq);
  // The client gives back what it was granted up to seq.
  void GiveBack(SessionId session, const omfs_fh& object, uint64_t seq);

  // After a restart: these sessions may still cache what an earlier epoch granted them. Until each
  // has made its recall connection, and so said that it does not, or EndGrace, nothing is changed:
  // claims of changes wait.
  void StartGrace(std::vector<SessionId> sessions);
  // Their leases have passed.
  void EndGrace();
  bool in_grace() const;

  // The session can be recalled from: before this, and after SessionGone, it is granted nothing.
  void Reconnected(SessionId session);
  // Its caps are void, its recalls count as answered.
  void EndSession(SessionId session);
  // Sessions that have left a recall unanswered for so long.
  std::vector<SessionId> Overdue(std::chrono::steady_clock::duration age) const;

  // A native process changes the object, or opens it (native_watch.h): recalls the caps from all
  // sessions. done: called when all have answered. entry: of a directory.
  void RecallFromAll(const omfs_fh& object, uint32_t caps, std::string_view entry,
                     std::function<void()> done);

  // The same of every object, without waiting.
  void RecallEverything();
  // Whether any session holds a cap on it.
  bool Cached(const omfs_fh& object) const;

  struct Stats {
    size_t objects = 0;
    size_t grants = 0;  // (session, object) pairs
    size_t recalls_unanswered = 0;
    uint64_t recalls = 0;  // since the start
    uint64_t waits = 0;    // operations that had to wait
  };
  Stats stats() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Holder {
    SessionId session;
    uint32_t caps = 0;
    uint64_t seq = 0;               // the highest of its grants
    std::vector<uint64_t> recalls;  // unanswered
    uint32_t readers = 0;           // opens
    uint32_t writers = 0;           // opens
  };
  struct Object {
    std::vector<Holder> holders;
    uint32_t changing_a = 0, changing_l = 0,
             changing_f = 0;           // claims that stand; _l: those without an entry
    std::vector<std::string> entries;  // claimed
    std::vector<Ticket*> blocked;      // to be resumed at the next release
    std::vector<Ticket*> owing;  // claims of what is owed that wait all the same: not recalled yet
    std::vector<Ticket*> acquiring;    // want F; also in blocked, or wait for recalls
    bool idle() const {
      return holders.empty() && changing_a + changing_l + changing_f == 0 && entries.empty() &&
             blocked.empty() && acquiring.empty() && owing.empty();
    }
  };
  struct Outstanding {
    CapRecall recall;
    Clock::time_point since;
    std::vector<Ticket*> tickets;
    std::vector<std::shared_ptr<std::function<void()>>>
        done;  // run when the last reference is let go
  };
  struct Client {
    bool connected = false;  // has had a recall connection
    std::unordered_set<omfs_fh, HandleHash, HandleEqual> objects;
    std::set<uint64_t> sent;  // unanswered recalls; at most kMostSent, so that sending never blocks
    std::deque<uint64_t> unsent;
  };
  using Objects = std::unordered_map<omfs_fh, Object, HandleHash, HandleEqual>;
  // What must be done once the mutex is let go.
  struct Later {
    std::vector<CapRecall> send;
    std::vector<std::function<void()>> run;
    std::vector<omfs_fh> idle;
  };

  Holder* FindHolder(Object& object, SessionId session);
  Holder& HolderOf(const omfs_fh& fh, Object& object, SessionId session);
  void DropIfIdle(const omfs_fh& fh);
  void LeaveGrace(SessionId session, Later* later);
  // Sends a recall to the holder. Returns its seq.
  uint64_t RecallFrom(const omfs_fh& fh, Holder& holder, uint32_t kind, uint32_t caps,
                      std::string_view entry, Later* later);
  // The recalls that bring `caps` home from a holder; nothing if it has none of them.
  std::vector<uint64_t> BringHome(const omfs_fh& fh, Holder& holder, uint32_t caps,
                                  std::string_view entry, Later* later);
  // Whether a recall of one of these caps is unanswered.
  bool Recalled(const Holder& holder, uint32_t caps) const;
  bool Blocked(Ticket* ticket, const CapClaim& claim);
  void Wait(Ticket* ticket, std::function<void()> resume);
  void Stand(Ticket* ticket, std::vector<CapClaim> claims, Later* later);
  void Withdraw(Ticket* ticket, Later* later);
  // It waits for nobody's answers any more.
  void StopWaiting(Ticket* ticket, Later* later);
  void Answered(uint64_t number, Later* later);
  void Transmit(Client* client, Later* later);
  static void Unblock(Object& object, Later* later);
  void NoteIfUncached(const omfs_fh& fh, Later* later);
  uint32_t Grantable(const Object& object, SessionId session, uint32_t wanted,
                     std::string_view entry, bool must) const;
  void RemoveHolderIfIdle(const omfs_fh& fh, SessionId session);
  void Do(Later later);

  static constexpr size_t kMostSent = 128;

  const std::function<void(const CapRecall&)> send_;
  const std::function<void(const omfs_fh&)> idle_;
  mutable std::mutex mutex_;
  Objects objects_;                                        // guarded by mutex_
  std::unordered_map<SessionId, Client> clients_;          // guarded by mutex_
  std::unordered_map<uint64_t, Outstanding> outstanding_;  // by seq; guarded by mutex_
  std::set<SessionId> expected_;                           // guarded by mutex_; not empty: in grace
  std::vector<Ticket*> in_grace_;                          // guarded by mutex_
  uint64_t seq_ = 0;                                       // guarded by mutex_
  uint64_t recalls_ = 0;                                   // guarded by mutex_
  uint64_t waits_ = 0;                                     // guarded by mutex_
};

}  // namespace omfs
