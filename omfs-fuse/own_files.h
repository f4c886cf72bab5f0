// OwnFiles: how the submount of this node's own export serves files - by passthrough where it can, and who is told.
#pragma once

#include <string>
#include <string_view>

#include "omfs-fuse/caller.h"
#include "omfs-fuse/inode_table.h"
#include "omfs-fuse/passthrough.h"
#include "omfs/base/config.h"
#include "omfs/client/local_owner.h"

namespace omfs {

// Thread-safe.
class OwnFiles {
 public:
  // mount_path: of the submount.
  OwnFiles(const Config& config, std::string mount_path);

  uint32_t stack_depth() const { return passthrough_.stack_depth(); }
  // FUSE_INIT has been answered; tells omfsd how files are served.
  void Connected(int device, uint64_t offered);
  bool passes_through() { return passthrough_.active(); }

  // An open that `node`, the own one, has granted joins the file's mode (Passthrough::Enter), until Leave.
  Passthrough::Terms Enter(NodeClient* node, FuseInode* inode, const Opened& opened);
  void Leave(FuseInode* inode);

  // Whether the kernel, and not the process, asks to remove the extended attribute: a passthrough write takes a file's
  // capabilities away, and the kernel does that here too, in the name of the writer, who need not have the right to do it alone.
  // Nobody needs to: the write itself takes them from the backing file. A process that asks for it without the right
  // (CAP_SETFCAP) is refused before it comes here.
  static bool BelongsToWrite(const RequestIds& ids, const FuseInode* inode, std::string_view name);

 private:
  const std::string mount_path_;
  std::string remark_;  // on what was asked for and is not done; may be empty
  Passthrough passthrough_;
  LocalOwner owner_;
};

}  // namespace omfs
