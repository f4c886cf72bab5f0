// RootFs: the small file system at /mfs itself. It lists the nodes, on whose directories the
// submounts are made, and resolves the magic names for each calling process:
//
//   N             directory of node N: a mount point; answers EHOSTDOWN itself, at once, while
//   nothing is mounted there NAME          symbolic link to N, for each node's name here home
//   lastexec selected
//                 symbolic links to N; where they lead is computed in each READLINK from the
//                 caller's pid
//   magic         a directory whose entries are those of a node's root directory. Making something
//   through it goes to
//                 the caller's current node, which is remembered for the process; everything else
//                 goes to the node where the process, or its nearest ancestor that did, last made
//                 something through magic
//   .mounts       not listed, root's only: how the nodes' mounts are; a line "abort N" or "mount N [hard|soft]" written to it is
//   done before the write returns (MountControl; mosctl(1) writes them)
//   .selected     not listed; a process writes a node's number or name to it to choose `selected`
//   for itself and
//                 its descendants (an empty line takes it back), and reads back what is in force
//
// Directories of nodes keep their number and are valid for ever: the kernel drops a mount whose
// mount point's name it finds changed. Objects below magic live in this connection like those of a
// submount live in theirs (NodeFs).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "omfs-fuse/mount_control.h"
#include "omfs-fuse/node_fs.h"
#include "omfs-fuse/process_view.h"
#include "omfs/base/config.h"

namespace omfs {

class RootFs : public NodeFs {
 public:
  RootFs(NodeId self, const std::vector<NodeEntry>& nodes,
         std::map<NodeId, std::shared_ptr<NodeClient>> clients, std::shared_ptr<ProcessView> view,
         std::shared_ptr<MountControl> mounts);

  void Lookup(FuseRequest& r, fuse_ino_t parent, const char* name) override;
  void Forget(fuse_ino_t ino, uint64_t count) override;
  void GetAttr(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void SetAttr(FuseRequest& r, fuse_ino_t ino, struct stat* attr, int to_set,
               fuse_file_info* fi) override;
  void ReadLink(FuseRequest& r, fuse_ino_t ino) override;
  void Open(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void Read(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) override;
  void Write(FuseRequest& r, fuse_ino_t ino, const char* data, size_t size, off_t offset,
             fuse_file_info* fi) override;
  void Flush(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void Release(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void OpenDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void ReadDir(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset,
               fuse_file_info* fi) override;
  void ReleaseDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) override;
  void FsyncDir(FuseRequest& r, fuse_ino_t ino, int data_only, fuse_file_info* fi) override;
  void StatFs(FuseRequest& r, fuse_ino_t ino) override;
  void GetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, size_t size) override;
  void ListXattr(FuseRequest& r, fuse_ino_t ino, size_t size) override;
  void Pin(fuse_ino_t ino) override;
  void Orphaned(fuse_ino_t ino, bool changes) override;
  // Not offered on this connection: the kernel then asks with GETATTR, which all entries answer.
  ErrnoOr<omfs_attr> Statx(const RequestIds& ids, fuse_ino_t ino) override { return Errno(ENOSYS); }

 protected:
  ErrnoOr<Object> Resolve(const RequestIds& ids, fuse_ino_t ino, Use use) override;
  void Made(const RequestIds& ids, fuse_ino_t parent, NodeClient* node) override;

 private:
  enum class Kind { kRoot, kNode, kName, kHere, kHome, kLastExec, kSelected, kMagic, kControl, kMounts };
  struct Special {
    fuse_ino_t ino;
    Kind kind;
    NodeId node;       // kNode, kName
    std::string name;  // in the root directory; empty for the root itself
  };

  // Null for objects at owners.
  const Special* Find(fuse_ino_t ino) const;
  struct stat AttrOf(const Special& s, const RequestIds& ids);
  double ValidSeconds(const Special& s) const;
  std::string TargetOf(const Special& s, const RequestIds& ids);
  NodeId SelectedFor(const RequestIds& ids);
  // The owner that magic means to the process.
  NodeClient* MagicNode(const RequestIds& ids, Use use);
  Errno Select(const RequestIds& ids, std::string_view text);
  Errno ControlMounts(std::string_view text);

  const NodeId self_;
  const std::map<NodeId, std::shared_ptr<NodeClient>> clients_;
  const std::shared_ptr<ProcessView> view_;
  const std::shared_ptr<MountControl> mounts_;
  std::vector<Special> specials_;  // by number, from FUSE_ROOT_ID on
  NodePerProcess selected_;
  NodePerProcess made_through_magic_;
  const timespec start_;
};

}  // namespace omfs
