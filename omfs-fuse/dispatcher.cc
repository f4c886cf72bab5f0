#include "omfs-fuse/dispatcher.h"

namespace omfs {
namespace {

FileSystem* Target(fuse_req_t req) { return static_cast<FileSystem*>(fuse_req_userdata(req)); }

// One callback per method: Forward<&FileSystem::Lookup>::Call has the signature libfuse wants.
template <auto Method>
struct Forward;
template <typename... Args, void (FileSystem::*Method)(FuseRequest&, Args...)>
struct Forward<Method> {
  static void Call(fuse_req_t req, Args... args) {
    FuseRequest r(req);
    (Target(req)->*Method)(r, args...);
  }
};

void Forget(fuse_req_t req, fuse_ino_t ino, uint64_t count) {
  Target(req)->Forget(ino, count);
  fuse_reply_none(req);
}

void ForgetMulti(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) Target(req)->Forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

// What the kernel may do by itself. Umask and default ACLs are applied at the owner (DONT_MASK,
// POSIX_ACL), and so is the loss of set-id bits on write (HANDLE_KILLPRIV): the owner executes with
// the caller's ids. Nothing is written back later by the kernel: sizes and times are the owner's.
// Attributes are asked for before pages are read when their time is over, so that pages are used no longer than the lease
// (AUTO_INVAL_DATA).
void Init(void* file_system, fuse_conn_info* conn) {
  unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
                          FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_DONT_MASK | FUSE_CAP_IOCTL_DIR |
                          FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS |
                          FUSE_CAP_POSIX_ACL | FUSE_CAP_HANDLE_KILLPRIV;
  if (static_cast<FileSystem*>(file_system)->OffersReadDirPlus()) {
    wanted |= FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
  }
  conn->want = conn->capable & wanted;
  conn->max_write = OMFS_MAX_PAYLOAD;
  conn->max_read = OMFS_MAX_PAYLOAD;
  conn->max_readahead = OMFS_MAX_PAYLOAD;
  conn->max_background = 64;
  conn->congestion_threshold = 48;
  conn->time_gran = 1;
}

fuse_lowlevel_ops MakeTable() {
  fuse_lowlevel_ops ops{};
  ops.init = Init;
  ops.lookup = Forward<&FileSystem::Lookup>::Call;
  ops.forget = Forget;
  ops.forget_multi = ForgetMulti;
  ops.getattr = Forward<&FileSystem::GetAttr>::Call;
  ops.setattr = Forward<&FileSystem::SetAttr>::Call;
  ops.readlink = Forward<&FileSystem::ReadLink>::Call;
  ops.mknod = Forward<&FileSystem::MkNod>::Call;
  ops.mkdir = Forward<&FileSystem::MkDir>::Call;
  ops.unlink = Forward<&FileSystem::Unlink>::Call;
  ops.rmdir = Forward<&FileSystem::RmDir>::Call;
  ops.symlink = Forward<&FileSystem::Symlink>::Call;
  ops.rename = Forward<&FileSystem::Rename>::Call;
  ops.link = Forward<&FileSystem::Link>::Call;
  ops.open = Forward<&FileSystem::Open>::Call;
  ops.create = Forward<&FileSystem::Create>::Call;
  ops.read = Forward<&FileSystem::Read>::Call;
  ops.write = Forward<&FileSystem::Write>::Call;
  ops.flush = Forward<&FileSystem::Flush>::Call;
  ops.release = Forward<&FileSystem::Release>::Call;
  ops.fsync = Forward<&FileSystem::Fsync>::Call;
  ops.fallocate = Forward<&FileSystem::Fallocate>::Call;
  ops.lseek = Forward<&FileSystem::Seek>::Call;
  ops.copy_file_range = Forward<&FileSystem::CopyFileRange>::Call;
  ops.opendir = Forward<&FileSystem::OpenDir>::Call;
  ops.readdir = Forward<&FileSystem::ReadDir>::Call;
  ops.readdirplus = Forward<&FileSystem::ReadDirPlus>::Call;
  ops.releasedir = Forward<&FileSystem::ReleaseDir>::Call;
  ops.fsyncdir = Forward<&FileSystem::FsyncDir>::Call;
  ops.statfs = Forward<&FileSystem::StatFs>::Call;
  ops.setxattr = Forward<&FileSystem::SetXattr>::Call;
  ops.getxattr = Forward<&FileSystem::GetXattr>::Call;
  ops.listxattr = Forward<&FileSystem::ListXattr>::Call;
  ops.removexattr = Forward<&FileSystem::RemoveXattr>::Call;
  ops.getlk = Forward<&FileSystem::GetLock>::Call;
  ops.setlk = Forward<&FileSystem::SetLock>::Call;
  ops.flock = Forward<&FileSystem::Flock>::Call;
  ops.ioctl = Forward<&FileSystem::Ioctl>::Call;
  return ops;
}

}  // namespace

const fuse_lowlevel_ops& DispatchTable() {
  static const fuse_lowlevel_ops table = MakeTable();
  return table;
}

}  // namespace omfs
