// PING, BYE, CANCEL, RELEASE, RECLAIMED: what concerns the session itself. HELLO stands before any session:
// ../greeting.cc.
//
// PING: any request renews the lease; this one does nothing else.
// BYE: the dispatcher ends the session once the reply is out.
// CANCEL: ends the waiting of a SETLK, which is answered with EINTR itself. A request that does not
// wait (any more) is not disturbed; the reply to CANCEL says nothing about it.
// RECLAIMED: about this server's epoch only; sent for an earlier one it says nothing about this one's opens.
// RELEASE: caps that the client has no use for any more; those granted since its number stay.
#include "omfs/server/orphans.h"
#include "omfs/server/session.h"
#include "omfs/server/lock_waiters.h"
#include "omfs/base/status.h"
#include "omfs/server/ops/ops.h"

namespace omfs::ops {

OpResult Ping(Operation& op) {
  OMFS_RETURN_IF_ERROR(op.Decode<NoFixedPart>().status());
  return Errno();
}

OpResult Bye(Operation& op) {
  OMFS_RETURN_IF_ERROR(op.Decode<NoFixedPart>().status());
  return Errno();
}

OpResult Cancel(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_cancel_req>());
  op.services().lock_waiters.Cancel(
      {op.session().id(), Le16(r.fixed.slot), Le32(r.fixed.sequence)});
  return Errno();
}

OpResult Release(Operation& op) {
  OMFS_RETURN_IF_ERROR(op.Decode<NoFixedPart>().status());
  const std::span<const std::byte> list = op.payload().span();
  if (list.size() % sizeof(omfs_release) != 0) return InvalidArgument("RELEASE with a part of an entry");
  for (size_t at = 0; at < list.size(); at += sizeof(omfs_release)) {
    omfs_release r;
    memcpy(&r, list.data() + at, sizeof r);
    op.services().caps.GiveBack(op.session().id(), r.fh, Le64(r.seq));
  }
  return Errno();
}

OpResult Reclaimed(Operation& op) {
  OMFS_ASSIGN_OR_RETURN(const auto r, op.Decode<omfs_reclaimed_req>());
  if (Le64(r.fixed.epoch) != op.services().epoch) return Errno(ESTALE);
  op.services().orphans.Reclaimed(op.session().client().client_id);
  return Errno();
}

}  // namespace omfs::ops
