// The operations of the data plane, one file each (or one per tight family). Each decodes its
// request, resolves the handles and opens in it, takes on the caller's identity, does its system
// calls and builds its reply. What is decided there beyond "as the system call does" stands on top
// of the file.
#pragma once

#include "omfs/server/operation.h"

namespace omfs::ops {

// session.cc
OpResult Ping(Operation& op);
OpResult Bye(Operation& op);
OpResult Cancel(Operation& op);
OpResult Release(Operation& op);
OpResult Reclaimed(Operation& op);
// Names and attributes.
OpResult Lookup(Operation& op);
OpResult GetAttr(Operation& op);
OpResult SetAttr(Operation& op);
OpResult ReadLink(Operation& op);
OpResult Access(Operation& op);
OpResult StatFs(Operation& op);
OpResult MkNod(Operation& op);
OpResult SymLink(Operation& op);
OpResult Link(Operation& op);
OpResult Unlink(Operation& op);
OpResult Rename(Operation& op);
// Opens and data.
OpResult Open(Operation& op);
OpResult LookupOpen(Operation& op);
OpResult Create(Operation& op);
// CREATE of a file that this very request has made before a restart: opens that file, whatever its name means now.
OpResult ReopenCreated(Operation& op, const omfs_fh& made);
OpResult Close(Operation& op);
OpResult Read(Operation& op);
OpResult Write(Operation& op);
OpResult FSync(Operation& op);
OpResult Fallocate(Operation& op);
OpResult LSeek(Operation& op);
OpResult CopyRange(Operation& op);
OpResult ReadDir(Operation& op);
// xattr.cc
OpResult GetXattr(Operation& op);
OpResult SetXattr(Operation& op);
OpResult ListXattr(Operation& op);
OpResult RemoveXattr(Operation& op);
// The value of an attribute, for intent.cc.
ErrnoOr<Buffer> ReadXattr(Operation& op, const omfs_fh& handle, const Credentials& creds,
                          const std::string& name);
// lock.cc
OpResult GetLk(Operation& op);
OpResult SetLk(Operation& op);

OpResult Flags(Operation& op);

}  // namespace omfs::ops
