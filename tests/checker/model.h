// What one object would do if operations came one after the other: the sequential specification.
//
// kFile: a file of 8-byte tokens. State: its tokens. Operations: write A = index, B = token (a gap
// is filled with zeros); append B = token; truncate A = number of tokens; read gives all tokens;
// size gives their number.
//
// kPaged: a file of kSlots tokens, kStride bytes apart, so that each is in a page of its own and
// truncations fall into the middle of pages. State: size in bytes, then the tokens. read A = slot
// gives its token, or nothing when the file ends before it; write A = slot, B = token; truncate A:
// to A * kStride bytes; size gives bytes.
//
// kNames: a directory of kNames names. State: under each name the identity of the object there, 0
// for none.
//   create A = name, B = identity: EEXIST if there is one        place: the same, but replaces what
//   is there (rename from elsewhere) unlink A     rename A to B     link A to B     mkdir A, rmdir
//   A (of names that nothing else uses) lookup A gives the identity    list gives the names that
//   are there
// An identity with kFilledLater is of a file that was made empty and is then filled with it: a
// lookup may find it empty, 0. Two of them are not atomic, natively either, and are modelled as
// they are:
//   link looks up A first and makes B later: two steps, between which others come.
//   rename succeeds without doing anything when both names are found to be one object; a FUSE
//   client's kernel looks up both one after the other, so it may find under B what has been renamed
//   there from A meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/checker/history.h"

namespace omfs::checker {

inline constexpr int kSlots = 8;
inline constexpr int kStride = 5000;
inline constexpr int kNames = 8;  // the last two are directories, if anything

inline constexpr uint64_t kFilledLater = uint64_t{1} << 63;

using State = std::vector<uint64_t>;

State InitialState(Kind kind);

// Whether the operation leaves every state as it is, given its outcome.
bool IsPure(const Operation& op);

// A step of an operation from a state. An operation of two steps remembers in `memory` what the
// first has seen (0 before).
struct Step {
  State state;
  uint64_t memory = 0;
  bool done = true;
};

// All steps that the outcome and value of the operation allow (any outcome if that is unknown).
std::vector<Step> Steps(const Operation& op, const State& state, uint64_t memory);

}  // namespace omfs::checker
