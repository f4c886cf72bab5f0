// Names and attributes.
//
// Two ways in for agents that move processes, open to root only: the extended attribute
// trusted.omfs.handle (node_fs_xattrs.cc) tells an object's identity, and looking up ".omfs-fh:<hex
// of the handle>" in an owner's root directory finds the object again, whatever became of its
// names. (For a directory the kernel then shows this name in getcwd(2) until it is looked up by its
// real one: agents use it for files.)
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "omfs-fuse/node_fs.h"
#include "omfs/wire/attr.h"

namespace omfs {
namespace {

constexpr std::string_view kByHandle = ".omfs-fh:";

AttrChange ChangeFrom(const struct stat& attr, int to_set) {
  AttrChange c;
  const auto take = [&](int fuse_bit, uint32_t bit) {
    if ((to_set & fuse_bit) != 0) c.valid |= bit;
    return (to_set & fuse_bit) != 0;
  };
  take(FUSE_SET_ATTR_MODE, OMFS_SET_MODE);
  take(FUSE_SET_ATTR_UID, OMFS_SET_UID);
  take(FUSE_SET_ATTR_GID, OMFS_SET_GID);
  take(FUSE_SET_ATTR_SIZE, OMFS_SET_SIZE);
  // "Now" is the owner's clock's.
  if (!take(FUSE_SET_ATTR_ATIME_NOW, OMFS_SET_ATIME_NOW)) take(FUSE_SET_ATTR_ATIME, OMFS_SET_ATIME);
  if (!take(FUSE_SET_ATTR_MTIME_NOW, OMFS_SET_MTIME_NOW)) take(FUSE_SET_ATTR_MTIME, OMFS_SET_MTIME);
  c.mode = attr.st_mode & 07777;
  c.uid = attr.st_uid;
  c.gid = attr.st_gid;
  c.size = attr.st_size;
  c.atime = attr.st_atim;
  c.mtime = attr.st_mtim;
  return c;
}

}  // namespace

ErrnoOr<NodeFs::Object> NodeFs::Resolve(const RequestIds&, fuse_ino_t ino, Use) {
  if (ino == FUSE_ROOT_ID) {
    ErrnoOr<Entry> root = node_->Root();
    if (!root.ok()) return root.error();
    return Object{node_.get(), (*root).fh, inodes_.Root(node_.get(), (*root).fh)};
  }
  FuseInode* inode = InodeTable::At(ino);
  return Object{inode->node, inode->fh, inode};
}

ErrnoOr<omfs_attr> NodeFs::Attributes(const Caller& caller, const Object& object, CapTerms* terms) {
  ErrnoOr<omfs_attr> attr = object.node->GetAttr(caller, object.fh, nullptr, terms);
  if (object.inode == nullptr) return attr;
  if (attr.ok() && S_ISDIR(StatFrom(*attr).st_mode)) object.inode->SawDirectory(*attr);
  if (attr.ok() || attr.error().value != ESTALE) return attr;
  const RemoteOpenRef open = object.inode->AnyOpen();
  if (!open) {
    if (const auto removed = object.inode->RemovedDirectory()) return *removed;
    return attr;
  }
  return object.node->GetAttr(caller, object.fh, open, terms);
}

bool FhFromHex(std::string_view hex, Fh* fh) {
  if (hex.size() != 2 * sizeof fh->raw) return false;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  auto* bytes = reinterpret_cast<uint8_t*>(&fh->raw);
  for (size_t i = 0; i < sizeof fh->raw; ++i) {
    const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

ErrnoOr<Entry> NodeFs::LookupByHandle(const RequestIds& ids, NodeClient* node,
                                      std::string_view hex) {
  Fh fh;
  if (ids.uid != 0 || !FhFromHex(hex, &fh)) return Errno(ENOENT);
  ErrnoOr<omfs_attr> attr = node->GetAttr(CallerOf(ids), fh, nullptr);
  if (!attr.ok()) return attr.error();
  return Entry{fh, *attr};
}

void NodeFs::Lookup(FuseRequest& r, fuse_ino_t parent, const char* name) {
  ErrnoOr<Object> dir = Resolve(r.ids(), parent);
  if (!dir.ok()) return r.Fail(dir.error());
  const std::string_view n = name;
  if (parent == FUSE_ROOT_ID && n.starts_with(kByHandle)) {
    const Object uncached{dir->node, dir->fh, nullptr};
    return AnswerEntry(r, uncached, name, LookupByHandle(r.ids(), dir->node, n.substr(kByHandle.size())), CapTerms());
  }
  if (AnswerLookupFromCache(r, *dir, name)) return;
  CapTerms terms = Terms(kAttributeCaps, OMFS_CAP_L);
  const ErrnoOr<Entry> found = InDirectory(*dir, dir->node->Lookup(r.caller(), dir->fh, n, &terms));
  AnswerEntry(r, *dir, name, found, terms);
}

void NodeFs::Forget(fuse_ino_t ino, uint64_t count) {
  if (ino == FUSE_ROOT_ID) return;
  const std::shared_ptr<FuseInode> forgotten = inodes_.Forget(ino, count);
  if (forgotten && releases_ && forgotten->cache.highest().seq != 0) {
    releases_->Add({forgotten->fh, forgotten->cache.Floor()});
  }
}

void NodeFs::GetAttr(FuseRequest& r, fuse_ino_t ino, fuse_file_info*) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  if (AnswerAttributesFromCache(r, *object)) return;
  CapTerms terms = Terms(kAttributeCaps);
  ErrnoOr<omfs_attr> attr = Attributes(r.caller(), *object, &terms);
  if (!attr.ok()) return r.Fail(attr.error());
  AnswerAttributes(r, *object, *attr, terms);
}

ErrnoOr<omfs_attr> NodeFs::Statx(const RequestIds& ids, fuse_ino_t ino) {
  ErrnoOr<Object> object = Resolve(ids, ino);
  if (!object.ok()) return object.error();
  ErrnoOr<omfs_attr> attr = Attributes(CallerOf(ids), *object, nullptr);
  if (attr.ok()) SawRoot(ino, *attr);
  return attr;
}

void NodeFs::SetAttr(FuseRequest& r, fuse_ino_t ino, struct stat* attr, int to_set,
                     fuse_file_info* fi) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  AttrChange change = ChangeFrom(*attr, to_set);
  const RemoteOpenRef open = fi != nullptr ? FileHandle::Of(fi)->open : nullptr;
  // A change of nothing is chown(-1, -1), or the loss of set-id bits before a write: FUSE tells
  // neither from the other. For the owner of the object both mean the first; for others the first
  // is refused (which only here is not told) and the second follows from the write itself.
  const bool nothing = change.valid == 0;
  if (nothing) {
    change.valid = OMFS_SET_UID | OMFS_SET_GID;
    change.uid = change.gid = ~0u;
  }
  CapTerms terms = Terms(kAttributeCaps);
  ErrnoOr<omfs_attr> result = object->node->SetAttr(r.caller(), object->fh, open, change, &terms);
  Changed(*object, kAttributeCaps & ~OMFS_CAP_L, terms);
  if (nothing && !result.ok()) result = Attributes(r.caller(), *object, &terms);
  if (!result.ok()) return r.Fail(result.error());
  AnswerAttributes(r, *object, *result, terms);
}

void NodeFs::ReadLink(FuseRequest& r, fuse_ino_t ino) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  ErrnoOr<std::string> target = object->node->ReadLink(r.caller(), object->fh);
  if (!target.ok()) return r.Fail(target.error());
  r.ReadLink(*target);
}

void NodeFs::MkNod(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  ErrnoOr<Object> dir = Resolve(r.ids(), parent, Use::kMake);
  if (!dir.ok()) return r.Fail(dir.error());
  const EntryNotifier::ChangeScope change(notifier(), parent);
  CapTerms terms = Terms(kAttributeCaps, OMFS_CAP_L);
  const ErrnoOr<Entry> made = InDirectory(*dir, dir->node->MkNod(r.caller(), dir->fh, name, mode, rdev, &terms));
  if (made.ok()) Made(r.ids(), parent, dir->node);
  ChangedName(*dir, name, terms);
  AnswerEntry(r, *dir, name, made, terms);
}

void NodeFs::MkDir(FuseRequest& r, fuse_ino_t parent, const char* name, mode_t mode) {
  MkNod(r, parent, name, (mode & 07777) | S_IFDIR, 0);
}

void NodeFs::Symlink(FuseRequest& r, const char* target, fuse_ino_t parent, const char* name) {
  ErrnoOr<Object> dir = Resolve(r.ids(), parent, Use::kMake);
  if (!dir.ok()) return r.Fail(dir.error());
  const EntryNotifier::ChangeScope change(notifier(), parent);
  CapTerms terms = Terms(kAttributeCaps, OMFS_CAP_L);
  const ErrnoOr<Entry> made = InDirectory(*dir, dir->node->Symlink(r.caller(), dir->fh, name, target, &terms));
  if (made.ok()) Made(r.ids(), parent, dir->node);
  ChangedName(*dir, name, terms);
  AnswerEntry(r, *dir, name, made, terms);
}

void NodeFs::Remove(FuseRequest& r, fuse_ino_t parent, const char* name, int flags) {
  ErrnoOr<Object> dir = Resolve(r.ids(), parent);
  if (!dir.ok()) return r.Fail(dir.error());
  const EntryNotifier::ChangeScope change(notifier(), parent);
  CapTerms terms = Terms(0, OMFS_CAP_L);
  const ErrnoOr<std::optional<Fh>> removed = dir->node->Unlink(r.caller(), dir->fh, name, flags, &terms);
  ChangedName(*dir, name, terms);
  if (!removed.ok()) return r.Fail(removed.error());
  ChangedUnseen(dir->node, *removed, terms);
  if (terms.directory(OMFS_CAP_L) && dir->inode != nullptr) dir->inode->cache.PutName(name, std::nullopt, terms.stamp);
  r.Done(Errno());
}

void NodeFs::Unlink(FuseRequest& r, fuse_ino_t parent, const char* name) {
  Remove(r, parent, name, 0);
}

void NodeFs::RmDir(FuseRequest& r, fuse_ino_t parent, const char* name) {
  Remove(r, parent, name, AT_REMOVEDIR);
}

void NodeFs::Rename(FuseRequest& r, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
                    const char* new_name, unsigned int flags) {
  ErrnoOr<Object> from = Resolve(r.ids(), parent);
  if (!from.ok()) return r.Fail(from.error());
  ErrnoOr<Object> to = Resolve(r.ids(), new_parent);
  if (!to.ok()) return r.Fail(to.error());
  if (from->node != to->node) return r.Fail(EXDEV);
  const EntryNotifier::ChangeScope change(notifier(), parent), other_change(notifier(), new_parent);
  CapTerms terms = Terms(0, OMFS_CAP_L);
  const auto renamed = from->node->Rename(r.caller(), from->fh, name, to->fh, new_name, flags, &terms);
  ChangedName(*from, name, terms);
  ChangedName(*to, new_name, terms);
  if (!renamed.ok()) return r.Fail(renamed.error());
  ChangedUnseen(from->node, renamed->moved, terms);
  ChangedUnseen(from->node, renamed->replaced, terms);
  r.Done(Errno());
}

void NodeFs::Link(FuseRequest& r, fuse_ino_t ino, fuse_ino_t new_parent, const char* new_name) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  ErrnoOr<Object> dir = Resolve(r.ids(), new_parent);
  if (!dir.ok()) return r.Fail(dir.error());
  if (object->node != dir->node) return r.Fail(EXDEV);
  const EntryNotifier::ChangeScope change(notifier(), new_parent);
  CapTerms terms = Terms(kAttributeCaps, OMFS_CAP_L);
  ErrnoOr<Entry> made = dir->node->HardLink(r.caller(), object->fh, dir->fh, new_name, &terms);
  // The object has lost its last name since the kernel looked it up, or the directory is gone: what link(2) calls ENOENT.
  if (!made.ok() && made.error().value == ESTALE) made = Errno(ENOENT);
  ChangedName(*dir, new_name, terms);
  Changed(*object, kAttributeCaps & ~OMFS_CAP_F, terms);
  AnswerEntry(r, *dir, new_name, made, terms);
}

void NodeFs::StatFs(FuseRequest& r, fuse_ino_t ino) {
  ErrnoOr<Object> object = Resolve(r.ids(), ino);
  if (!object.ok()) return r.Fail(object.error());
  ErrnoOr<struct statvfs> st = object->node->StatFs(r.caller(), object->fh);
  if (!st.ok()) return r.Fail(st.error());
  SawStatFs(*st);
  r.StatFs(*st);
}

}  // namespace omfs
