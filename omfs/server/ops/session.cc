// PING, BYE, CANCEL: what concerns the session itself. HELLO stands before any session:
// ../greeting.cc.
//
// PING: any request renews the lease; this one does nothing else.
// BYE: the dispatcher ends the session once the reply is out.
// CANCEL: ends the waiting of a SETLK, which is answered with EINTR itself. A request that does not
// wait (any more) is not disturbed; the reply to CANCEL says nothing about it.
#include "omfs/server/session.h"
#include "omfs/server/lock_waiters.h"
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

}  // namespace omfs::ops
