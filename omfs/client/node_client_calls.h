// NodeClient's templates for calls that name no open. For node_client*.cc only.
#pragma once

#include "omfs/client/node_client.h"
#include "omfs/wire/endian.h"

namespace omfs {

// 0, or the errno for a name that cannot be a directory entry's.
inline Errno CheckName(std::string_view name) {
  if (ValidName(name)) return Errno();
  return Errno(name.size() > OMFS_NAME_MAX ? ENAMETOOLONG : name.empty() ? ENOENT : EINVAL);
}

template <WirePod Req>
Errno NodeClient::Do(Call* call, uint16_t op, const Caller& caller, const Req& req, CapTerms* terms,
                     std::string_view first, std::string_view second) {
  return Transact(
      call, {},
      [&](Call* c, OpenIds) {
        c->op = op;
        EncodeRequest(op, caller, req, &c->meta, first, second);
      },
      terms);
}

template <WirePod Rep, WirePod Req>
ErrnoOr<Rep> NodeClient::Ask(uint16_t op, const Caller& caller, const Req& req, CapTerms* terms,
                             std::string_view first, std::string_view second) {
  Call call;
  if (Errno e = Do(&call, op, caller, req, terms, first, second); !e.ok()) return e;
  Rep rep;
  if (!MetaReader(call.reply_meta).Pod(&rep).ok()) return Errno(EPROTO);
  return rep;
}

}  // namespace omfs
