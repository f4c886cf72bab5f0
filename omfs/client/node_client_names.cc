// Names and attributes.
#include <sys/sysmacros.h>

#include "omfs/client/node_client_calls.h"
#include "omfs/wire/attr.h"

namespace omfs {
namespace {

ErrnoOr<Entry> AsEntry(const ErrnoOr<omfs_entry_rep>& rep) {
  if (!rep.ok()) return rep.error();
  return Entry{{(*rep).fh}, (*rep).attr};
}

std::optional<Fh> Known(const omfs_fh& fh) {
  if (fh.len == 0) return std::nullopt;
  return Fh{fh};
}

}  // namespace

ErrnoOr<Entry> NodeClient::Root() { return link_.Root(); }

ErrnoOr<Entry> NodeClient::Lookup(const Caller& caller, const Fh& dir, std::string_view name,
                                   CapTerms* terms) {
  if (Errno e = CheckName(name); !e.ok()) return e;
  omfs_lookup_req req{};
  req.dir = dir.raw;
  return AsEntry(Ask<omfs_entry_rep>(OMFS_OP_LOOKUP, caller, req, terms, name));
}

ErrnoOr<omfs_attr> NodeClient::GetAttr(const Caller& caller, const Fh& fh,
                                       const RemoteOpenRef& open, CapTerms* terms) {
  Call call;
  const auto build = [&](Call* c, OpenIds ids) {
    omfs_getattr_req req{};
    req.fh = fh.raw;
    req.open_id = Le64(ids.first);
    c->op = OMFS_OP_GETATTR;
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {open.get()}, build, terms);
  if (!e.ok()) return e;
  omfs_attr_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return rep.attr;
}

ErrnoOr<omfs_attr> NodeClient::SetAttr(const Caller& caller, const Fh& fh,
                                       const RemoteOpenRef& open, const AttrChange& change,
                                       CapTerms* terms) {
  Call call;
  const auto build = [&](Call* c, OpenIds ids) {
    omfs_setattr_req req{};
    req.fh = fh.raw;
    req.open_id = Le64(ids.first);
    req.valid = Le32(change.valid);
    req.mode = Le32(change.mode);
    req.uid = Le32(change.uid);
    req.gid = Le32(change.gid);
    req.size = Le64(change.size);
    req.atime = ToWire(change.atime);
    req.mtime = ToWire(change.mtime);
    c->op = OMFS_OP_SETATTR;
    c->same_again = ids.first != 0;  // ftruncate, fchmod...: the same again
    EncodeRequest(c->op, caller, req, &c->meta);
  };
  const Errno e = Transact(&call, {open.get()}, build, terms);
  if (!e.ok()) return e;
  omfs_attr_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return rep.attr;
}

ErrnoOr<std::string> NodeClient::ReadLink(const Caller& caller, const Fh& fh) {
  Call call;
  omfs_fh_req req{fh.raw};
  if (Errno e = Do(&call, OMFS_OP_READLINK, caller, req, nullptr); !e.ok()) return e;
  MetaReader in(call.reply_meta);
  omfs_bytes_rep rep;
  if (!in.Pod(&rep).ok()) return Errno(EPROTO);
  absl::StatusOr<std::string_view> target = in.Bytes(Le32(rep.len), "link target");
  if (!target.ok()) return Errno(EPROTO);
  return std::string(*target);
}

Errno NodeClient::Access(const Caller& caller, const Fh& fh, int mask) {
  Call call;
  omfs_access_req req{};
  req.fh = fh.raw;
  req.mask = Le32(mask);
  return Do(&call, OMFS_OP_ACCESS, caller, req, nullptr);
}

ErrnoOr<struct statvfs> NodeClient::StatFs(const Caller& caller, const Fh& fh) {
  const auto rep = Ask<omfs_statfs_rep>(OMFS_OP_STATFS, caller, omfs_fh_req{fh.raw}, nullptr);
  if (!rep.ok()) return rep.error();
  struct statvfs s {};
  s.f_blocks = Le64((*rep).blocks);
  s.f_bfree = Le64((*rep).bfree);
  s.f_bavail = Le64((*rep).bavail);
  s.f_files = Le64((*rep).files);
  s.f_ffree = s.f_favail = Le64((*rep).ffree);
  s.f_fsid = Le64((*rep).fsid);
  s.f_bsize = Le32((*rep).bsize);
  s.f_frsize = Le32((*rep).frsize);
  s.f_namemax = Le32((*rep).namelen);
  s.f_flag = Le32((*rep).flags);
  return s;
}

ErrnoOr<Entry> NodeClient::MkNod(const Caller& caller, const Fh& dir, std::string_view name,
                                 mode_t mode, dev_t rdev, CapTerms* terms) {
  if (Errno e = CheckName(name); !e.ok()) return e;
  omfs_mknod_req req{};
  req.dir = dir.raw;
  req.mode = Le32(mode);
  req.rdev_major = Le32(major(rdev));
  req.rdev_minor = Le32(minor(rdev));
  return AsEntry(Ask<omfs_entry_rep>(OMFS_OP_MKNOD, caller, req, terms, name));
}

ErrnoOr<Entry> NodeClient::Symlink(const Caller& caller, const Fh& dir, std::string_view name,
                                   std::string_view target, CapTerms* terms) {
  if (Errno e = CheckName(name); !e.ok()) return e;
  if (target.empty()) return Errno(ENOENT);
  if (target.size() >= OMFS_PATH_MAX) return Errno(ENAMETOOLONG);
  omfs_symlink_req req{};
  req.dir = dir.raw;
  return AsEntry(Ask<omfs_entry_rep>(OMFS_OP_SYMLINK, caller, req, terms, name, target));
}

ErrnoOr<Entry> NodeClient::HardLink(const Caller& caller, const Fh& fh, const Fh& dir,
                                    std::string_view name, CapTerms* terms) {
  if (Errno e = CheckName(name); !e.ok()) return e;
  omfs_link_req req{};
  req.fh = fh.raw;
  req.dir = dir.raw;
  return AsEntry(Ask<omfs_entry_rep>(OMFS_OP_LINK, caller, req, terms, name));
}

ErrnoOr<std::optional<Fh>> NodeClient::Unlink(const Caller& caller, const Fh& dir, std::string_view name, int flags,
                                              CapTerms* terms) {
  if (Errno e = CheckName(name); !e.ok()) return e;
  Call call;
  omfs_unlink_req req{};
  req.dir = dir.raw;
  req.flags = Le32(flags);
  if (Errno e = Do(&call, OMFS_OP_UNLINK, caller, req, terms, name); !e.ok()) return e;
  omfs_unlink_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return std::optional<Fh>();
  return Known(rep.removed);
}

ErrnoOr<NodeClient::Renamed> NodeClient::Rename(const Caller& caller, const Fh& dir, std::string_view name,
                                                const Fh& new_dir, std::string_view new_name, uint32_t flags,
                                                CapTerms* terms) {
  if (Errno e = CheckName(name); !e.ok()) return e;
  if (Errno e = CheckName(new_name); !e.ok()) return e;
  Call call;
  omfs_rename_req req{};
  req.dir = dir.raw;
  req.new_dir = new_dir.raw;
  req.flags = Le32(flags);
  if (Errno e = Do(&call, OMFS_OP_RENAME, caller, req, terms, name, new_name); !e.ok()) return e;
  omfs_rename_rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Renamed();
  return Renamed{Known(rep.moved), Known(rep.replaced)};
}

}  // namespace omfs
