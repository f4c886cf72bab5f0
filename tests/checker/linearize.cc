#include "tests/checker/linearize.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "tests/checker/model.h"

namespace omfs::checker {
namespace {

using Index = uint32_t;
using Indices = std::vector<Index>;  // sorted

// What a configuration is apart from the operations of unknown outcome that have happened in it.
struct Core {
  State state;
  Indices done;                                    // of those under way that will return
  std::vector<std::pair<Index, uint64_t>> memory;  // of those between their steps, sorted

  auto operator<=>(const Core&) const = default;
};

struct Configuration {
  Core core;
  Indices unknown_done;  // of unknown outcome, which never return
};

// Configurations, without those that another one makes superfluous: the same, but with fewer
// unknown ones used up.
class Configurations {
 public:
  // false: there was one at least as good.
  bool Insert(const Configuration& c) {
    std::vector<Indices>& ways = ways_[c.core];
    for (const Indices& way : ways) {
      if (std::includes(c.unknown_done.begin(), c.unknown_done.end(), way.begin(), way.end()))
        return false;
    }
    size_ -= std::erase_if(ways, [&c](const Indices& way) {
      return std::includes(way.begin(), way.end(), c.unknown_done.begin(), c.unknown_done.end());
    });
    ways.push_back(c.unknown_done);
    ++size_;
    return true;
  }

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [core, ways] : ways_) {
      for (const Indices& way : ways) visit(Configuration{core, way});
    }
  }

  size_t size() const { return size_; }

 private:
  std::map<Core, std::vector<Indices>> ways_;
  size_t size_ = 0;
};

bool Contains(const Indices& set, Index i) { return std::binary_search(set.begin(), set.end(), i); }

void Insert(Indices* set, Index i) {
  set->insert(std::lower_bound(set->begin(), set->end(), i), i);
}

class Search {
 public:
  Search(std::vector<Operation> history, size_t limit) : ops_(std::move(history)), limit_(limit) {}

  Verdict Run() {
    Configuration first;
    first.core.state = InitialState(ops_.empty() ? Kind::kFile : ops_[0].kind);
    configurations_.Insert(first);
    for (const auto& [time, is_return, index] : Events()) {
      if (!is_return) {
        Invoke(index);
        continue;
      }
      if (!Return(index)) return Undecided();
      if (configurations_.size() == 0) return Violation(index);
    }
    verdict_.answer = Verdict::kLinearizable;
    return verdict_;
  }

 private:
  // In order of time; at one moment invocations first, so that what may overlap does.
  std::vector<std::tuple<int64_t, bool, Index>> Events() const {
    std::vector<std::tuple<int64_t, bool, Index>> events;
    for (Index i = 0; i < ops_.size(); ++i) {
      events.emplace_back(ops_[i].invoked, false, i);
      if (ops_[i].outcome != Outcome::kUnknown) events.emplace_back(ops_[i].returned, true, i);
    }
    std::sort(events.begin(), events.end());
    return events;
  }

  bool IsUnknown(Index i) const { return ops_[i].outcome == Outcome::kUnknown; }

  bool HasHappened(const Configuration& c, Index i) const {
    return Contains(IsUnknown(i) ? c.unknown_done : c.core.done, i);
  }

  void MarkDone(Configuration* c, Index i) const {
    Insert(IsUnknown(i) ? &c->unknown_done : &c->core.done, i);
  }

  // Lets everything under way happen that changes nothing and agrees with the state.
  Configuration Settle(Configuration c) const {
    for (Index i : under_way_) {
      if (IsPure(ops_[i]) && !HasHappened(c, i) && !Steps(ops_[i], c.core.state, 0).empty())
        MarkDone(&c, i);
    }
    return c;
  }

  void Invoke(Index i) {
    under_way_.push_back(i);
    if (!IsPure(ops_[i])) return;
    Configurations settled;
    configurations_.ForEach([&](const Configuration& c) { settled.Insert(Settle(c)); });
    configurations_ = std::move(settled);
  }

  // All configurations one step of `i` leads to.
  std::vector<Configuration> After(const Configuration& c, Index i) const {
    const auto& memory = c.core.memory;
    const auto at = std::lower_bound(memory.begin(), memory.end(), std::make_pair(i, uint64_t{0})) -
                    memory.begin();
    const bool has_memory = at != std::ssize(memory) && memory[at].first == i;
    std::vector<Configuration> result;
    for (Step& step : Steps(ops_[i], c.core.state, has_memory ? memory[at].second : 0)) {
      Configuration next = c;
      next.core.state = std::move(step.state);
      if (has_memory) next.core.memory.erase(next.core.memory.begin() + at);
      if (step.done) {
        MarkDone(&next, i);
      } else {
        next.core.memory.insert(next.core.memory.begin() + at, {i, step.memory});
      }
      result.push_back(Settle(std::move(next)));
    }
    return result;
  }

  // false: too many configurations.
  bool Return(Index returning) {
    Configurations seen, kept;
    // Those that have used up fewest unknown ones first: they make the others superfluous.
    std::map<size_t, std::vector<Configuration>> work;
    configurations_.ForEach(
        [&](const Configuration& c) { work[c.unknown_done.size()].push_back(c); });
    before_return_ = std::move(configurations_);
    while (!work.empty()) {
      auto& least = work.begin()->second;
      if (least.empty()) {
        work.erase(work.begin());
        continue;
      }
      Configuration c = std::move(least.back());
      least.pop_back();
      if (Contains(c.core.done, returning)) {
        c.core.done.erase(std::lower_bound(c.core.done.begin(), c.core.done.end(), returning));
        kept.Insert(c);
        continue;
      }
      for (Index i : under_way_) {
        if (HasHappened(c, i)) continue;
        for (Configuration& next : After(c, i)) {
          if (seen.Insert(next)) work[next.unknown_done.size()].push_back(std::move(next));
        }
      }
      if (seen.size() > limit_) return false;
    }
    under_way_.erase(std::find(under_way_.begin(), under_way_.end(), returning));
    verdict_.most_configurations = std::max(verdict_.most_configurations, seen.size());
    configurations_ = std::move(kept);
    return true;
  }

  Verdict Undecided() {
    verdict_.answer = Verdict::kUndecided;
    return verdict_;
  }

  Verdict Violation(Index at) {
    constexpr size_t kShownBefore = 12, kShownStates = 6;
    std::ostringstream out;
    out << "no order explains:\n  " << Format(ops_[at]) << "\nunder way then:\n";
    for (Index i : under_way_) out << "  " << Format(ops_[i]) << "\n";
    out << "returned last before it:\n";
    std::vector<Operation> earlier;
    for (const Operation& op : ops_) {
      if (op.returned >= 0 && op.returned < ops_[at].returned) earlier.push_back(op);
    }
    std::sort(earlier.begin(), earlier.end(),
              [](const Operation& x, const Operation& y) { return x.returned < y.returned; });
    const size_t first = earlier.size() - std::min(earlier.size(), kShownBefore);
    for (size_t i = first; i < earlier.size(); ++i) out << "  " << Format(earlier[i]) << "\n";
    out << "states it could have been in (" << before_return_.size() << " ways):\n";
    std::set<State> states;
    before_return_.ForEach([&](const Configuration& c) {
      if (states.size() < kShownStates) states.insert(c.core.state);
    });
    for (const State& s : states) {
      out << " ";
      for (uint64_t v : s) out << ' ' << v;
      out << "\n";
    }
    verdict_.answer = Verdict::kViolation;
    verdict_.explanation = out.str();
    return verdict_;
  }

  const std::vector<Operation> ops_;
  const size_t limit_;
  Indices under_way_;
  Configurations configurations_, before_return_;
  Verdict verdict_;
};

bool IsReading(Code code) {
  return code == Code::kRead || code == Code::kSize || code == Code::kLookup || code == Code::kList;
}

bool IsFileChange(Code code) {
  return code == Code::kWrite || code == Code::kAppend || code == Code::kTruncate;
}

struct Window {
  int node;
  int64_t from, to;
};

}  // namespace

Verdict Linearize(std::vector<Operation> history, size_t limit) {
  // An operation of unknown outcome whose token nobody ever read most likely never happened, and
  // never is allowed. Only when no order is found without those are all of them tried.
  std::set<uint64_t> seen;
  for (const Operation& op : history) seen.insert(op.value.begin(), op.value.end());
  std::vector<Operation> likely;
  std::copy_if(history.begin(), history.end(), std::back_inserter(likely),
               [&seen](const Operation& op) {
                 const bool has_token = op.code == Code::kWrite || op.code == Code::kAppend ||
                                        op.code == Code::kCreate || op.code == Code::kPlace;
                 return op.outcome != Outcome::kUnknown || !has_token || seen.contains(op.b);
               });
  const bool all = likely.size() == history.size();
  Verdict verdict = Search(std::move(likely), limit).Run();
  if (verdict.answer == Verdict::kLinearizable || all) return verdict;
  return Search(std::move(history), limit).Run();
}

Prepared Prepare(std::vector<Operation> history, Loss loss) {
  Prepared result;
  std::stable_sort(history.begin(), history.end(),
                   [](const Operation& x, const Operation& y) { return x.invoked < y.invoked; });
  // Back to front: the next sync of each client.
  std::map<int, const Operation*> next_sync;
  std::vector<Window> windows;
  for (auto op = history.rbegin(); op != history.rend(); ++op) {
    if (op->code == Code::kSync) {
      next_sync[op->client] = &*op;
      continue;
    }
    if (!IsFileChange(op->code)) continue;
    const Operation* sync = next_sync.contains(op->client) ? next_sync[op->client] : nullptr;
    const bool sync_failed = sync != nullptr && sync->outcome != Outcome::kOk;
    if (loss == Loss::kNone) continue;
    if (op->outcome == Outcome::kOk && sync_failed) {
      op->outcome = Outcome::kUnknown;
      ++result.lost_and_reported;
      windows.push_back({op->node, op->invoked, sync->returned < 0 ? INT64_MAX : sync->returned});
    } else if (op->outcome == Outcome::kUnknown) {
      windows.push_back({op->node, op->invoked, op->returned < 0 ? INT64_MAX : op->returned});
    }
  }
  for (Operation& op : history) {
    if (op.code == Code::kSync) continue;
    if (IsReading(op.code)) {
      if (op.outcome == Outcome::kUnknown) {
        ++result.failed_reads;
        continue;
      }
      const bool of_lost = std::any_of(windows.begin(), windows.end(), [&op](const Window& w) {
        return op.node == w.node && op.returned >= w.from && op.invoked <= w.to;
      });
      if (of_lost) {
        ++result.reads_of_lost_data;
        continue;
      }
    }
    result.history.push_back(std::move(op));
  }
  return result;
}

Verdict Judge(const std::vector<Operation>& history, Prepared* prepared) {
  Prepared ignored;
  if (prepared == nullptr) prepared = &ignored;
  *prepared = Prepare(history, Loss::kNone);
  const Verdict nothing_lost = Linearize(prepared->history);
  if (nothing_lost.answer == Verdict::kLinearizable) return nothing_lost;
  *prepared = Prepare(history, Loss::kPossible);
  return Linearize(prepared->history);
}

}  // namespace omfs::checker
