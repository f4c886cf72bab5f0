#include "omfs/server/operation.h"

#include <algorithm>

#include "omfs/server/identity.h"
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

ErrnoOr<OpenRef> Operation::FindOpen(uint64_t wire_id) const {
  OpenRef open = session_->opens().Find(OpenId{Le64(wire_id)});
  if (open == nullptr) return Errno(ESTALE);
  return open;
}

}  // namespace omfs
