// What OPEN, LOOKUP_OPEN and CREATE share.
#pragma once

#include "omfs/server/operation.h"

namespace omfs::ops {

// The flags of the client's open that the owner's open gets: access mode, O_TRUNC, O_SYNC, O_DSYNC,
// O_NOATIME, O_DIRECTORY. Not O_APPEND (see opening.cc), not O_DIRECT (its alignment rules are the
// client's business), not O_NONBLOCK.
int OwnerFlags(uint32_t client_flags);

// Opens an object for data as the caller. Only regular files and directories: ELOOP for a symbolic
// link, ENXIO for a socket, EOPNOTSUPP for what else the client must open on its own node. EAGAIN:
// somebody holds a lease on the file, and the thread may not wait for it.
ErrnoOr<ScopedFd> OpenInode(const Operation& op, const Inode& inode, uint32_t client_flags,
                            const Credentials& creds);

// Puts the open into the session's table and makes the reply: attributes, and up to inline_bytes of
// the file's beginning if they are in memory.
OpResult ReplyWithOpen(Operation& op, InodeRef inode, ScopedFd fd, uint32_t client_flags,
                       uint32_t inline_bytes);

}  // namespace omfs::ops
