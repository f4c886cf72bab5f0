#include "tests/checker/model.h"

#include <algorithm>

namespace omfs::checker {
namespace {

using Result = std::vector<Step>;

Result If(bool allowed, State state) {
  if (!allowed) return {};
  return {Step{std::move(state)}};
}

// An operation that can only succeed, and changes `state` to `next`.
Result Always(const Operation& op, State next) {
  return If(op.outcome == Outcome::kOk || op.outcome == Outcome::kUnknown, std::move(next));
}

Result OfFile(const Operation& op, const State& state) {
  State next = state;
  switch (op.code) {
    case Code::kRead:
      return If(op.value == state, state);
    case Code::kSize:
      return If(op.value == State{state.size()}, state);
    case Code::kWrite:
      if (next.size() <= op.a) next.resize(op.a + 1);
      next[op.a] = op.b;
      return Always(op, std::move(next));
    case Code::kAppend:
      next.push_back(op.b);
      return Always(op, std::move(next));
    case Code::kTruncate:
      next.resize(op.a);
      return Always(op, std::move(next));
    default:
      return {};
  }
}

Result OfPaged(const Operation& op, const State& state) {
  State next = state;
  switch (op.code) {
    case Code::kRead:
      return If(op.value == (state[0] <= op.a * kStride ? State{} : State{state[1 + op.a]}), state);
    case Code::kSize:
      return If(op.value == State{state[0]}, state);
    case Code::kWrite:
      next[0] = std::max<uint64_t>(state[0], op.a * kStride + sizeof op.b);
      next[1 + op.a] = op.b;
      return Always(op, std::move(next));
    case Code::kTruncate:
      next[0] = op.a * kStride;
      std::fill(next.begin() + 1 + static_cast<ptrdiff_t>(op.a), next.end(), 0);
      return Always(op, std::move(next));
    default:
      return {};
  }
}

// What an operation that would end with `outcome` from here, leaving `next`, is allowed.
Result Ends(const Operation& op, Outcome outcome, State next) {
  return If(op.outcome == outcome || op.outcome == Outcome::kUnknown, std::move(next));
}

Result Link(const Operation& op, const State& state, uint64_t memory) {
  if (memory == 0) {
    if (op.outcome == Outcome::kExists) return If(state[op.b] != 0, state);
    if (state[op.a] == 0) return Ends(op, Outcome::kNoEntry, state);
    return {Step{state, state[op.a], false}};
  }
  Result result;
  if (state[op.b] == 0) {
    State next = state;
    next[op.b] = memory;
    result = Ends(op, Outcome::kOk, std::move(next));
  }
  // The source may have lost its last name meanwhile.
  const bool named = std::find(state.begin(), state.end(), memory) != state.end();
  if (!named && op.outcome == Outcome::kNoEntry) result.push_back(Step{state});
  return result;
}

Result Rename(const Operation& op, const State& state) {
  if (state[op.a] == 0) {
    const bool found_as_one = op.outcome == Outcome::kOk && state[op.b] != 0;
    return found_as_one ? Result{Step{state}} : Ends(op, Outcome::kNoEntry, state);
  }
  State next = state;
  if (state[op.a] != state[op.b]) {
    next[op.b] = state[op.a];
    next[op.a] = 0;
  }
  return Ends(op, Outcome::kOk, std::move(next));
}

Result OfNames(const Operation& op, const State& state, uint64_t memory) {
  State next = state;
  switch (op.code) {
    case Code::kCreate:
    case Code::kMkdir:
      if (state[op.a] != 0) return Ends(op, Outcome::kExists, state);
      next[op.a] = op.code == Code::kMkdir ? 1 : op.b;
      return Ends(op, Outcome::kOk, std::move(next));
    case Code::kPlace:
      next[op.a] = op.b;
      return Ends(op, Outcome::kOk, std::move(next));
    case Code::kUnlink:
    case Code::kRmdir:
      if (state[op.a] == 0) return Ends(op, Outcome::kNoEntry, state);
      next[op.a] = 0;
      return Ends(op, Outcome::kOk, std::move(next));
    case Code::kRename:
      return Rename(op, state);
    case Code::kLink:
      return Link(op, state, memory);
    case Code::kLookup:
      if (op.outcome == Outcome::kNoEntry) return If(state[op.a] == 0, state);
      if (state[op.a] == 0) return {};
      return If(op.value == State{state[op.a]} ||
                    ((state[op.a] & kFilledLater) != 0 && op.value == State{0}),
                state);
    case Code::kList: {
      State present;
      for (uint64_t i = 0; i < state.size(); ++i) {
        if (state[i] != 0) present.push_back(i);
      }
      return If(op.value == present, state);
    }
    default:
      return {};
  }
}

}  // namespace

State InitialState(Kind kind) {
  switch (kind) {
    case Kind::kFile:
      return {};
    case Kind::kPaged:
      return State(1 + kSlots);
    case Kind::kNames:
      break;
  }
  return State(kNames);
}

bool IsPure(const Operation& op) {
  if (op.outcome == Outcome::kUnknown) return false;
  // ENOENT of a link can come from its second step.
  if (op.outcome != Outcome::kOk) return op.code != Code::kLink;
  return op.code == Code::kRead || op.code == Code::kSize || op.code == Code::kLookup ||
         op.code == Code::kList;
}

std::vector<Step> Steps(const Operation& op, const State& state, uint64_t memory) {
  switch (op.kind) {
    case Kind::kFile:
      return OfFile(op, state);
    case Kind::kPaged:
      return OfPaged(op, state);
    case Kind::kNames:
      break;
  }
  return OfNames(op, state, memory);
}

}  // namespace omfs::checker
