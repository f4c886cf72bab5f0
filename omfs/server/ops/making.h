// What MKNOD and SYMLINK have in common: the reply about an object that was just made.
#pragma once

#include "omfs/server/operation.h"

namespace omfs::ops {

// The object was made as `name` in `dir`; the claim of the name still stands, and is given up here.
// mode: with its type.
OpResult ReplyWithMade(Operation& op, const Inode& dir, const std::string& name, uint32_t mode);

// The times of what has just been made.
void StampMade(Operation& op, const Inode& made);

}  // namespace omfs::ops
