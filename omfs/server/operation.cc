#include "omfs/server/operation.h"

#include <algorithm>
#include <cstdlib>

#include "omfs/server/identity.h"
#include "omfs/server/native_guard.h"
#include "omfs/server/session.h"

namespace omfs {
namespace {

constexpr uint32_t kNobody = 65534;

}  // namespace

Operation::Operation(Services& services, std::shared_ptr<Session> session, const Header& header,
                     std::vector<std::byte> meta, Buffer payload)
    : services_(services),
      session_(std::move(session)),
      header_(header),
      meta_(std::move(meta)),
      payload_(std::move(payload)) {}

Errno Operation::ActAs(const Credentials& creds) const {
  acting_as_ = &creds;
  const auto names_root = [](uint32_t id) { return id == 0; };
  if (!services_.root_squash ||
      (creds.uid != 0 && creds.gid != 0 && std::ranges::none_of(creds.groups, names_root))) {
    return ThreadIdentity::Become(creds);
  }
  Credentials squashed = creds;
  if (squashed.uid == 0) squashed.uid = kNobody;
  if (squashed.gid == 0) squashed.gid = kNobody;
  std::ranges::replace_if(squashed.groups, names_root, kNobody);
  return ThreadIdentity::Become(squashed);
}

std::function<void()> Operation::Resumption() {
  return [self = shared_from_this()] { self->services_.resume(self); };
}

bool Operation::Claim(std::vector<CapClaim> claims) {
  if (!ticket_) ticket_ = std::make_unique<CapTable::Ticket>(&services_.caps);
  if ((header_.flags & OMFS_F_CACHE) == 0) {  // no reply to remember, no intent
    return services_.caps.Claim(ticket_.get(), session_->id(), std::move(claims), Resumption()) == CapTable::Verdict::kGo;
  }
  // Having waited, another thread may have it from here on.
  if (services_.caps.Claim(ticket_.get(), session_->id(), claims, Resumption()) == CapTable::Verdict::kWait) return false;
  if (recorded_ == claims) return true;
  if (!services_.record_intent(shared_from_this(), claims)) return false;
  recorded_ = std::move(claims);
  ComeBack();
  return true;
}

void Operation::Changed() {
  if (ticket_) services_.caps.Release(ticket_.get());
  granted_caps_ = 0;
  cap_seq_ = services_.caps.NextSeq();
}

void Operation::Grant(const Inode& object, uint32_t wanted, std::string_view entry, int shift) {
  if (wanted == 0) return;
  const CapGrant grant = services_.guard.Grant(session_->id(), object, wanted, entry, cap_seq_);
  granted_caps_ |= grant.caps << shift;
  cap_seq_ = grant.seq;
  ComeBack();
}

// From the daemon's identity. That the ids cannot be taken on again must not end in doing something with more rights.
void Operation::ComeBack() const {
  if (acting_as_ != nullptr && !ActAs(*acting_as_).ok()) std::abort();
}

void Operation::GrantObject(const Inode& object) { Grant(object, header_.object_caps() & OMFS_CAP_ALL, {}, 0); }

void Operation::GrantEntry(const Inode& dir, std::string_view entry) { Grant(dir, header_.dir_caps(), entry, 16); }

bool Operation::GrantListed(const Inode& object) {
  constexpr uint32_t kAll = OMFS_CAP_A | OMFS_CAP_L | OMFS_CAP_F;
  if (header_.object_caps() == 0) return false;
  const bool granted = services_.guard.Grant(session_->id(), object, kAll, {}, cap_seq_).caps == kAll;
  ComeBack();
  return granted;
}

bool Operation::OthersHold(const omfs_fh& object, uint32_t caps) const {
  return services_.caps.OthersHold(session_->id(), object, caps);
}

bool Operation::AcquireData(const Inode& object) {
  if (!ticket_) ticket_ = std::make_unique<CapTable::Ticket>(&services_.caps);
  CapGrant grant;
  if (services_.guard.Acquire(ticket_.get(), session_->id(), object, Resumption(), &grant) == CapTable::Verdict::kWait) {
    return false;
  }
  granted_caps_ |= grant.caps;
  cap_seq_ = grant.seq;
  return true;
}

ErrnoOr<OpenRef> Operation::FindOpen(uint64_t wire_id) const {
  OpenRef open = session_->opens().Find(OpenId{Le64(wire_id)});
  if (open == nullptr) return Errno(ESTALE);
  return open;
}

}  // namespace omfs
