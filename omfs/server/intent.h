// What became of an operation during which the daemon died.
//
// Its intent is in the store, its reply is not: it may have happened or not. The client sends the
// request again, and the file system is asked: an entry that is gone was unlinked, an object made
// since the intent was written is the one that the request made. Where nothing can be told, and
// doing it twice would be wrong, the answer is EIO: rather an error than a wrong answer.
#pragma once

#include <optional>

#include "omfs/server/operation.h"
#include "omfs/store/store.h"

namespace omfs {

// The result if the operation had happened (or cannot be decided); nullopt: it is to be run.
std::optional<OpResult> ConcludeIntent(Operation& op, const SlotRecord& intent);

}  // namespace omfs
