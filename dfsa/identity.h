// Identity of an open object below /mfs: enough to open the same object again on any node (identify / create).
//
// It is the owner's node number and the owner's signed file handle, so it stays true when the object is renamed, and for
// as long as anything holds it open also when it is unlinked. FUSE clients tell it in the extended attribute
// trusted.omfs.handle and open it under the name .omfs-fh:<hex> in the root of the node's mount; both only for root.
//
// Directories are different: the kernel has one dentry for each, and moves it to wherever the directory was last looked up. One
// that is opened by handle would from then on be a child of the root, and ".." in it lead there. So the owner is asked for
// its path (trusted.omfs.path:<hex> of the root), which is then walked, and the result compared with the identity.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "omfs/base/errno_or.h"
#include "omfs/base/ids.h"
#include "omfs/base/scoped_fd.h"
#include "proto/omfs_wire.h"

namespace omfs::dfsa {

struct Identity {
  NodeId node;
  omfs_fh handle{};
  bool may_be_locked = false;  // by a process of the node where it was identified; not part of the identity
};

// Identity of an object reached through a FUSE mount of /mfs; path may be /proc/PID/fd/N. ENODATA (or ENOTSUP): the
// object is not below /mfs.
ErrnoOr<Identity> IdentifyPath(const std::string& path);

// Opens the object through the mount of its owner below `mfs` (e.g. "/mfs"), close-on-exec; flags without O_PATH. A directory is reached by its path, all
// else by its handle: ESTALE or ENOENT if it is gone.
ErrnoOr<ScopedFd> OpenThroughMfs(const Identity& id, const std::string& mfs, int flags);

// Opens an object of this node's own export natively. mount: any descriptor (not O_PATH) of the export's mount. Needs
// CAP_DAC_READ_SEARCH.
ErrnoOr<ScopedFd> OpenNative(int mount, const Identity& id, int flags);

}  // namespace omfs::dfsa
