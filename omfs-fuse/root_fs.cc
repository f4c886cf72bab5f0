#include "omfs-fuse/root_fs.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>

#include "omfs/base/log.h"

namespace omfs {
namespace {

constexpr double kForEver = 1e9;  // seconds

timespec Now() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t;
}

std::string_view Trimmed(std::string_view s) {
  while (!s.empty() && (s.back() == '\n' || s.back() == ' ')) s.remove_suffix(1);
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  return s;
}

}  // namespace

RootFs::RootFs(NodeId self, const std::vector<NodeEntry>& nodes,
               std::map<NodeId, std::shared_ptr<NodeClient>> clients,
               std::shared_ptr<ProcessView> view, std::shared_ptr<MountControl> mounts)
    : NodeFs(nullptr),
      self_(self),
      clients_(std::move(clients)),
      view_(std::move(view)),
      mounts_(std::move(mounts)),
      start_(Now()) {
  std::set<std::string> names;
  const auto add = [&](Kind kind, NodeId node, const std::string& name) {
    if (names.insert(name).second) {
      specials_.push_back({FUSE_ROOT_ID + specials_.size(), kind, node, name});
    }
  };
  add(Kind::kRoot, NodeId(), "");
  for (const NodeEntry& n : nodes) add(Kind::kNode, n.id, fmt::format("{}", n.id.value));
  add(Kind::kHere, NodeId(), "here");
  add(Kind::kHome, NodeId(), "home");
  add(Kind::kLastExec, NodeId(), "lastexec");
  add(Kind::kSelected, NodeId(), "selected");
  add(Kind::kMagic, NodeId(), "magic");
  add(Kind::kControl, NodeId(), ".selected");
  add(Kind::kMounts, NodeId(), ".mounts");
  // A node whose name is one of the above is reached by its number only.
  for (const NodeEntry& n : nodes) add(Kind::kName, n.id, n.name);
}

const RootFs::Special* RootFs::Find(fuse_ino_t ino) const {
  const size_t i = ino - FUSE_ROOT_ID;
  return i < specials_.size() ? &specials_[i] : nullptr;
}

NodeId RootFs::SelectedFor(const RequestIds& ids) {
  return selected_.Get(ids.pid).value_or(view_->Of(ids.pid).here);
}

std::string RootFs::TargetOf(const Special& s, const RequestIds& ids) {
  NodeId node = s.node;
  if (s.kind == Kind::kHere) node = view_->Of(ids.pid).here;
  if (s.kind == Kind::kHome) node = view_->Of(ids.pid).home;
  if (s.kind == Kind::kLastExec) node = view_->Of(ids.pid).last_exec;
  if (s.kind == Kind::kSelected) node = SelectedFor(ids);
  return fmt::format("{}", node.value);
}

struct stat RootFs::AttrOf(const Special& s, const RequestIds& ids) {
  struct stat st {};
  st.st_ino = s.ino;
  st.st_blksize = 4096;
  st.st_atim = st.st_mtim = st.st_ctim = start_;
  switch (s.kind) {
    case Kind::kRoot:
      st.st_mode = S_IFDIR | 0555;
      st.st_nlink = 2 + std::count_if(specials_.begin(), specials_.end(), [](const Special& o) {
                      return o.kind == Kind::kNode || o.kind == Kind::kMagic;
                    });
      break;
    case Kind::kNode:
      st.st_mode = S_IFDIR | 0555;
      st.st_nlink = 2;
      break;
    case Kind::kMagic:  // who may do what there is up to the owner
      st.st_mode = S_IFDIR | 0777;
      st.st_nlink = 2;
      break;
    case Kind::kControl:
      st.st_mode = S_IFREG | 0666;
      st.st_nlink = 1;
      break;
    case Kind::kMounts:
      st.st_mode = S_IFREG | 0600;
      st.st_nlink = 1;
      break;
    default:
      st.st_mode = S_IFLNK | 0777;
      st.st_nlink = 1;
      st.st_size = static_cast<off_t>(TargetOf(s, ids).size());
  }
  return st;
}

double RootFs::ValidSeconds(const Special& s) const {
  return s.kind == Kind::kRoot || s.kind == Kind::kNode || s.kind == Kind::kName ? kForEver : 0;
}

NodeClient* RootFs::MagicNode(const RequestIds& ids, Use use) {
  const NodeId here = view_->Of(ids.pid).here;
  const NodeId node = use == Use::kMake ? here : made_through_magic_.Get(ids.pid).value_or(here);
  const auto it = clients_.find(node);
  return it == clients_.end() ? nullptr : it->second.get();
}

ErrnoOr<NodeFs::Object> RootFs::Resolve(const RequestIds& ids, fuse_ino_t ino, Use use) {
  const Special* s = Find(ino);
  if (s == nullptr) return NodeFs::Resolve(ids, ino, use);
  if (s->kind == Kind::kNode) return Errno(EHOSTDOWN);
  if (s->kind != Kind::kMagic) return Errno(use == Use::kMake ? EROFS : EPERM);
  NodeClient* node = MagicNode(ids, use);
  if (node == nullptr) return Errno(EHOSTDOWN);
  ErrnoOr<Entry> root = node->Root();
  if (!root.ok()) return root.error();
  return Object{node, (*root).fh, nullptr};
}

void RootFs::Made(const RequestIds& ids, fuse_ino_t parent, NodeClient* node) {
  const Special* s = Find(parent);
  if (s != nullptr && s->kind == Kind::kMagic) made_through_magic_.Set(ids.pid, node->node());
}

void RootFs::Lookup(FuseRequest& r, fuse_ino_t parent, const char* name) {
  if (parent != FUSE_ROOT_ID) return NodeFs::Lookup(r, parent, name);
  for (const Special& s : specials_) {
    if (s.kind == Kind::kRoot || s.name != name) continue;
    fuse_entry_param e{};
    e.ino = s.ino;
    e.attr = AttrOf(s, r.ids());
    e.attr_timeout = ValidSeconds(s);
    e.entry_timeout = kForEver;
    return r.Entry(e);
  }
  r.Fail(ENOENT);
}

void RootFs::Forget(fuse_ino_t ino, uint64_t count) {
  if (Find(ino) == nullptr) NodeFs::Forget(ino, count);
}

void RootFs::Pin(fuse_ino_t ino) {
  if (Find(ino) == nullptr) NodeFs::Pin(ino);
}

void RootFs::Orphaned(fuse_ino_t ino, bool changes) {
  if (Find(ino) == nullptr) NodeFs::Orphaned(ino, changes);
}

void RootFs::GetAttr(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  const Special* s = Find(ino);
  if (s == nullptr) return NodeFs::GetAttr(r, ino, fi);
  r.Attr(AttrOf(*s, r.ids()), ValidSeconds(*s));
}

void RootFs::SetAttr(FuseRequest& r, fuse_ino_t ino, struct stat* attr, int to_set,
                     fuse_file_info* fi) {
  const Special* s = Find(ino);
  if (s == nullptr) return NodeFs::SetAttr(r, ino, attr, to_set, fi);
  // "echo 2 > .selected" truncates first.
  if ((s->kind == Kind::kControl || s->kind == Kind::kMounts) && to_set == FUSE_SET_ATTR_SIZE)
    return r.Attr(AttrOf(*s, r.ids()), 0);
  r.Fail(EROFS);
}

void RootFs::ReadLink(FuseRequest& r, fuse_ino_t ino) {
  const Special* s = Find(ino);
  if (s == nullptr) return NodeFs::ReadLink(r, ino);
  r.ReadLink(TargetOf(*s, r.ids()));
}

void RootFs::Open(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  const Special* s = Find(ino);
  if (s == nullptr) return NodeFs::Open(r, ino, fi);
  fi->direct_io = 1;
  r.Open(*fi);
}

void RootFs::Read(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) {
  const Special* s = Find(ino);
  if (s == nullptr) return NodeFs::Read(r, ino, size, offset, fi);
  const std::string text =
      s->kind == Kind::kMounts ? mounts_->Report() : fmt::format("{}\n", SelectedFor(r.ids()).value);
  if (offset < 0 || static_cast<size_t>(offset) >= text.size()) return r.Data("", 0);
  r.Data(text.data() + offset, std::min(size, text.size() - offset));
}

void RootFs::Write(FuseRequest& r, fuse_ino_t ino, const char* data, size_t size, off_t offset,
                   fuse_file_info* fi) {
  const Special* s = Find(ino);
  if (s == nullptr) return NodeFs::Write(r, ino, data, size, offset, fi);
  const std::string_view text(data, size);
  if (Errno e = s->kind == Kind::kMounts ? ControlMounts(text) : Select(r.ids(), text); !e.ok()) return r.Fail(e);
  r.Written(size);
}

Errno RootFs::Select(const RequestIds& ids, std::string_view text) {
  text = Trimmed(text);
  if (text.empty()) {
    selected_.Clear(ids.pid);
    return Errno();
  }
  for (const Special& s : specials_) {
    if ((s.kind == Kind::kNode || s.kind == Kind::kName) && s.name == text) {
      selected_.Set(ids.pid, s.node);
      return Errno();
    }
  }
  return Errno(EINVAL);
}

Errno RootFs::ControlMounts(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string verb, how, more;
  uint32_t number = 0;
  if (!(words >> verb >> number) || number == 0 || number > 65535) return Errno(EINVAL);
  words >> how;
  if (words >> more) return Errno(EINVAL);
  const NodeId node(static_cast<uint16_t>(number));
  if (verb == "abort" && how.empty()) return mounts_->Abort(node);
  if (verb != "mount" || (!how.empty() && how != "hard" && how != "soft")) return Errno(EINVAL);
  return mounts_->Mount(node, how.empty() ? std::nullopt : std::optional<bool>(how == "hard"));
}

void RootFs::Flush(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  if (Find(ino) == nullptr) return NodeFs::Flush(r, ino, fi);
  r.Done(Errno());
}

void RootFs::Release(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  if (Find(ino) == nullptr) return NodeFs::Release(r, ino, fi);
  r.Done(Errno());
}

void RootFs::OpenDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  if (ino != FUSE_ROOT_ID) return NodeFs::OpenDir(r, ino, fi);
  r.Open(*fi);
}

void RootFs::ReadDir(FuseRequest& r, fuse_ino_t ino, size_t size, off_t offset,
                     fuse_file_info* fi) {
  if (ino != FUSE_ROOT_ID) return NodeFs::ReadDir(r, ino, size, offset, fi);
  std::vector<char> reply(size);
  size_t fill = 0;
  // Cookies: 1 and 2 for the dots, then the special's index + 3.
  const auto add = [&](const char* name, fuse_ino_t number, mode_t type, off_t cookie) {
    struct stat st {};
    st.st_ino = number;
    st.st_mode = type;
    const size_t n =
        fuse_add_direntry(nullptr, reply.data() + fill, size - fill, name, &st, cookie);
    if (n > size - fill) return false;
    fill += n;
    return true;
  };
  if (offset < 1 && !add(".", FUSE_ROOT_ID, S_IFDIR, 1)) return r.Data(reply.data(), fill);
  if (offset < 2 && !add("..", FUSE_ROOT_ID, S_IFDIR, 2)) return r.Data(reply.data(), fill);
  for (size_t i = offset < 3 ? 0 : offset - 2; i < specials_.size(); ++i) {
    const Special& s = specials_[i];
    if (s.kind == Kind::kRoot || s.kind == Kind::kControl || s.kind == Kind::kMounts) continue;
    const mode_t type = s.kind == Kind::kNode || s.kind == Kind::kMagic ? S_IFDIR : S_IFLNK;
    if (!add(s.name.c_str(), s.ino, type, static_cast<off_t>(i + 3))) break;
  }
  r.Data(reply.data(), fill);
}

void RootFs::ReleaseDir(FuseRequest& r, fuse_ino_t ino, fuse_file_info* fi) {
  if (ino != FUSE_ROOT_ID) return NodeFs::ReleaseDir(r, ino, fi);
  r.Done(Errno());
}

void RootFs::FsyncDir(FuseRequest& r, fuse_ino_t ino, int data_only, fuse_file_info* fi) {
  if (ino != FUSE_ROOT_ID) return NodeFs::FsyncDir(r, ino, data_only, fi);
  r.Done(Errno());
}

void RootFs::StatFs(FuseRequest& r, fuse_ino_t ino) {
  if (Find(ino) == nullptr) return NodeFs::StatFs(r, ino);
  struct statvfs st {};
  st.f_bsize = st.f_frsize = 4096;
  st.f_files = specials_.size();
  st.f_namemax = OMFS_NAME_MAX;
  r.StatFs(st);
}

void RootFs::GetXattr(FuseRequest& r, fuse_ino_t ino, const char* name, size_t size) {
  if (Find(ino) == nullptr) return NodeFs::GetXattr(r, ino, name, size);
  r.Fail(ENODATA);
}

void RootFs::ListXattr(FuseRequest& r, fuse_ino_t ino, size_t size) {
  if (Find(ino) == nullptr) return NodeFs::ListXattr(r, ino, size);
  if (size == 0) return r.XattrSize(0);
  r.Data("", 0);
}

}  // namespace omfs
