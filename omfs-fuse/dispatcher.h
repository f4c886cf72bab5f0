// The dispatcher: from libfuse's callbacks to the methods of a FileSystem.
#pragma once

#include "omfs-fuse/file_system.h"

namespace omfs {

// The callbacks for fuse_session_new, whose userdata must be a FileSystem*.
const fuse_lowlevel_ops& DispatchTable();

}  // namespace omfs
