// What became of an operation during which the daemon died.
//
// Its intent is in the store, its reply is not: it may have happened or not. The file system is asked. The intent was
// written when the operation's claims stood and nobody else could change what it names, and says what each name meant
// then: what a name means now tells whether the operation happened - as long as nobody else has changed it since.
// Therefore the next daemon decides before it lets anybody in (DecideFates), and writes down what it found: the reply, or that
// nothing happened. The client's repetition of the request is answered by that.
//
// Attributes are not decided: setting them twice gives what the first time gave. Where nothing can be told, and doing it
// twice would be wrong, the answer is EIO: rather an error than a wrong answer.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "omfs/server/operation.h"
#include "omfs/server/open_table.h"
#include "omfs/store/store.h"

namespace omfs {

// Before the first client is let in, on a thread of the server (identity.h); switches its identity. numbers: of the server's opens.
absl::Status DecideFates(Services& services, Store* store, OpenTable::Numbers* numbers);

// For an operation that repeats one of before the restart: the result if that happened, or cannot be decided; nullopt: it is
// to be run.
std::optional<OpResult> ConcludeIntent(Operation& op, const SlotRecord& intent);

}  // namespace omfs
