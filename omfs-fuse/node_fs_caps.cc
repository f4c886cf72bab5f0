// Caps: what may be cached, and how it is taken back.
//
// A fact is given to the kernel under publish_, shared: it is checked to be alive, its remaining
// time is computed, the answer is written to the device. A recall first declares the facts dead
// under publish_, alone; from then on no answer can give them to the kernel any more, and those
// that did are in the kernel already. Then the kernel is made to forget them, and then the owner is
// answered. The kernel's own races are its own care: an attribute reply that meets a notification
// on its way is dropped by it (attr_version), a name that meets one is ordered by the directory's
// lock.
//
// Requests the owner has not been told of. Under A, L and F a file is opened here alone
// (NodeClient::OpenLater); before A or L goes - the file may be removed, or its mode change - the
// owner is told of those opens, so that what was opened stays open.
//
// Nothing here waits for somebody who waits for this: what a recall needs of the owner - telling
// opens - never waits for other clients there; what it needs of the kernel is EntryNotifier's and
// DataGate's care.
//
// When the session or the owner's epoch is lost, every cap is void. Facts are dead by their
// generation at once; the kernel's names go by the epoch, its attributes one by one, its pages too,
// before the recall connection of the new generation is made, which tells the owner that it is
// done. A program that reads pages that are not gone yet is made to ask for the attributes first
// (FUSE_AUTO_INVAL_DATA, and their time is over), and is answered when its pages are gone
// (ForgetOldPages).
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "omfs-fuse/node_fs.h"
#include "omfs/base/log.h"
#include "omfs/wire/attr.h"
#include "omfs/wire/endian.h"

namespace omfs {
namespace {

// Beyond this the kernel asks again although it need not, which costs one request of a second's
// work.
constexpr double kLongest = 60;  // seconds

constexpr uint32_t kFmodeExec = 0x20;  // include/linux/fs.h __FMODE_EXEC

}  // namespace

NodeFs::~NodeFs() {
  if (node_ != nullptr) node_->link().SetGenerationListener(nullptr);
  recalls_.reset();
}

void NodeFs::StartCaching(std::shared_ptr<KernelCache> kernel) {
  kernel_ = std::move(kernel);
  notifier_ = std::make_unique<EntryNotifier>(kernel_);
  releases_ = std::make_unique<ReleaseQueue>(node_.get());
  node_->link().SetGenerationListener([this] { OnNewGeneration(); });
  recalls_ = std::make_unique<RecallChannel>(
      &node_->link(), [this] { PrepareForCaps(); },
      [this](const Recall& recall, RecallChannel::Answer answer) {
        OnRecall(recall, std::move(answer));
      });
  caching_ = true;
}

CapTerms NodeFs::Terms(uint32_t object, uint32_t directory) const {
  CapTerms terms;
  if (caching_) terms.wanted = OMFS_CAPS(object, directory);
  return terms;
}

double NodeFs::Validity() const {
  const auto left = node_->link().lease_end() - std::chrono::steady_clock::now();
  return std::clamp(std::chrono::duration<double>(left).count(), 0.0, kLongest);
}

void NodeFs::AnswerEntry(FuseRequest& r, const Object& dir, const char* name,
                         const ErrnoOr<Entry>& entry, const CapTerms& terms) {
  const bool caching = caching_ && dir.inode != nullptr;
  const bool missing = !entry.ok() && entry.error().value == ENOENT;
  if (!entry.ok() && !(missing && caching && terms.directory(OMFS_CAP_L)))
    return r.Fail(entry.error());
  fuse_entry_param e{};
  std::shared_lock publish(publish_);
  if (caching && terms.directory(OMFS_CAP_L)) {
    dir.inode->cache.PutName(name, missing ? std::nullopt : std::optional<Fh>((*entry).fh),
                             terms.stamp);
    if (kernel_->keeps_names() && dir.inode->cache.NameAlive(name, terms.stamp))
      e.entry_timeout = Validity();
  }
  if (missing) {
    if (e.entry_timeout == 0) return r.Fail(ENOENT);
    return r.Entry(e);
  }
  FuseInode* inode = inodes_.Remember(dir.node, (*entry).fh);
  e.ino = inode->number;
  e.attr = StatFrom((*entry).attr);
  if (S_ISDIR(e.attr.st_mode)) inode->SawDirectory((*entry).attr);
  if (caching && terms.object(kAttributeCaps)) {
    inode->cache.PutAttributes((*entry).attr, terms.stamp);
    if (inode->cache.AttributesAlive(terms.stamp)) e.attr_timeout = Validity();
  }
  r.Entry(e);
  if (!r.taken()) Forget(e.ino, 1);
}

bool NodeFs::AnswerLookupFromCache(FuseRequest& r, const Object& dir, const char* name) {
  if (!caching_ || dir.inode == nullptr) return false;
  std::shared_lock publish(publish_);
  const uint64_t generation = node_->link().generation();
  const double validity = Validity();
  if (validity == 0) return false;
  const auto known = dir.inode->cache.Name(name, generation);
  if (!known) return false;
  fuse_entry_param e{};
  if (kernel_->keeps_names()) e.entry_timeout = validity;
  if (!known->has_value()) {
    if (e.entry_timeout == 0) {
      r.Fail(ENOENT);
    } else {
      r.Entry(e);
    }
    return true;
  }
  // Only what the kernel knows has attributes here.
  const auto found = inodes_.Find(dir.node, **known);
  if (found.empty() || found.back()->backing.backed()) return false;
  const auto attr = found.back()->cache.Attributes(generation);
  if (!attr) return false;
  e.ino = inodes_.Remember(dir.node, **known)->number;
  e.attr = StatFrom(*attr);
  e.attr_timeout = validity;
  r.Entry(e);
  if (!r.taken()) Forget(e.ino, 1);
  return true;
}

void NodeFs::AnswerAttributes(FuseRequest& r, const Object& object, const omfs_attr& attr,
                              const CapTerms& terms) {
  double validity = 0;
  std::shared_lock publish(publish_);
  if (caching_ && object.inode != nullptr && terms.object(kAttributeCaps)) {
    object.inode->cache.PutAttributes(attr, terms.stamp);
    if (object.inode->cache.AttributesAlive(terms.stamp)) validity = Validity();
  }
  if (object.inode != nullptr) SawRoot(object.inode->number, attr);
  r.Attr(StatFrom(attr), validity);
}

bool NodeFs::AnswerAttributesFromCache(FuseRequest& r, const Object& object) {
  if (!caching_ || object.inode == nullptr || object.inode->backing.backed()) return false;
  if (object.inode->may_have_pages) ForgetOldPages(object.inode);
  std::shared_lock publish(publish_);
  const double validity = Validity();
  if (validity == 0) return false;
  const auto attr = object.inode->cache.Attributes(node_->link().generation());
  if (!attr) return false;
  r.Attr(StatFrom(*attr), validity);
  return true;
}

void NodeFs::Changed(const Object& object, uint32_t caps, const CapTerms& terms) {
  if (!caching_ || object.inode == nullptr || terms.stamp.seq == 0) return;
  std::lock_guard alone(publish_);
  object.inode->cache.Kill(caps, terms.stamp);
}

void NodeFs::ChangedName(const Object& dir, std::string_view name, const CapTerms& terms) {
  if (!caching_ || dir.inode == nullptr || terms.stamp.seq == 0) return;
  std::lock_guard alone(publish_);
  dir.inode->cache.KillName(name, terms.stamp);
}

void NodeFs::ChangedUnseen(NodeClient* node, const std::optional<Fh>& fh, const CapTerms& terms) {
  if (!caching_ || !fh || terms.stamp.seq == 0) return;
  std::lock_guard alone(publish_);
  const auto found = inodes_.Find(node, *fh);
  for (const auto& inode : found) inode->cache.Kill(kAttributeCaps & ~OMFS_CAP_F, terms.stamp);
  if (found.empty()) inodes_.RaiseFloor(terms.stamp);
}

void NodeFs::DropPages(FuseInode* inode, uint64_t offset, uint64_t length) {
  if (inode != nullptr && inode->may_have_pages) kernel_->ForgetData(inode->number, offset, length);
}

bool NodeFs::MayOpenLater(const Object& object, int flags) const {
  if (!caching_ || object.inode == nullptr ||
      node_->link().lease_end() <= std::chrono::steady_clock::now())
    return false;
  constexpr int kHarmless = O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_LARGEFILE | O_NONBLOCK |
                            O_DIRECTORY | static_cast<int>(kFmodeExec);
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & ~(O_ACCMODE | kHarmless)) != 0) return false;
  const auto attr = object.inode->cache.Attributes(node_->link().generation());
  if (!attr) return false;
  const uint32_t mode = Le32(attr->mode);
  return S_ISREG(mode) || S_ISDIR(mode);
}

void NodeFs::OnRecall(const Recall& recall, RecallChannel::Answer answer) {
  std::vector<std::shared_ptr<FuseInode>> found;
  {
    std::lock_guard alone(publish_);
    found = inodes_.Find(node_.get(), recall.fh);
    if (found.empty()) inodes_.RaiseFloor({recall.stamp.generation, recall.stamp.seq - 1});
    for (const auto& inode : found) {
      if (recall.kind == OMFS_RECALL_ENTRY) {
        inode->cache.KillName(recall.name, recall.stamp);
      } else {
        inode->cache.Kill(recall.caps, recall.stamp);
      }
    }
  }
  for (const auto& inode : found) TakeBack(inode.get(), recall);
  if (recall.kind == OMFS_RECALL_ENTRY && !found.empty()) {
    return notifier_->Forget(found.front()->number, recall.name, std::move(answer));
  }
  answer();
}

void NodeFs::TakeBack(FuseInode* inode, const Recall& recall) {
  if (recall.kind == OMFS_RECALL_ENTRY) {
    kernel_->ForgetData(inode->number, 0, 0);  // the listing, and the attributes
    return;
  }
  if ((recall.caps & (OMFS_CAP_A | OMFS_CAP_L)) != 0) {
    for (const RemoteOpenRef& open : inode->Opens()) {
      if (const Errno e = node_->EnsureOpen(open); !e.ok()) {
        spdlog::warn("an open could not be told to the owner node={} why={}", node_->node().value,
                     strerror(e.value));
      }
    }
  }
  kernel_->ForgetAttributes(inode->number);
  if ((recall.caps & OMFS_CAP_F) != 0 && inode->may_have_pages) {
    inode->data_gate.Recall([&] { kernel_->ForgetData(inode->number, 0, 0); });
  }
  // A directory that is being removed has no entries any more, and what it lacks it will never
  // have: its names may stay. Only if everything about it is doubtful they may not.
  if ((recall.caps & OMFS_CAP_L) != 0 && !inode->may_have_pages)
    kernel_->ForgetData(inode->number, 0, 0);
  if ((recall.caps & kAttributeCaps) == kAttributeCaps) kernel_->ForgetAllEntries();
}

void NodeFs::OnNewGeneration() {
  // On the link's thread, which may not wait: for anything but names the kernel may want an inode
  // that it is just evicting, and that waits for a read which waits for the link. Attributes go by
  // time until PrepareForCaps: a session that was lost by its lease has none that are still valid,
  // and a restarted owner changes nothing before.
  kernel_->ForgetAllEntries();
}

void NodeFs::PrepareForCaps() {
  for (const auto& inode : inodes_.All()) {
    kernel_->ForgetAttributes(inode->number);
    ForgetOldPages(inode.get());
  }
}

void NodeFs::ForgetOldPages(FuseInode* inode) {
  const uint64_t now = node_->link().generation();
  if (inode->pages_generation == now) return;
  // Files' pages, and listings, which are not counted.
  inode->data_gate.Recall([&] { kernel_->ForgetData(inode->number, 0, 0); });
  inode->pages_generation = now;
}

void NodeFs::KernelHasPages(FuseInode* inode) {
  if (inode->may_have_pages) return;
  inode->pages_generation = node_->link().generation();
  inode->may_have_pages = true;
}

}  // namespace omfs
