#include "omfs/client/hello.h"

#include <algorithm>
#include <vector>

#include "omfs/base/status.h"
#include "omfs/client/hlc.h"
#include "omfs/wire/endian.h"
#include "omfs/wire/header.h"
#include "omfs/wire/request.h"

namespace omfs {

absl::StatusOr<omfs_hello_rep> SayHello(TlsStream& stream, const HelloWish& wish) {
  omfs_hello_req req{};
  std::ranges::copy(wish.client_id, req.client_id);
  req.boot = Le64(wish.boot);
  req.version_min = Le16(OMFS_VERSION_MIN);
  req.version_max = Le16(OMFS_VERSION);
  req.features = Le32(wish.features);
  req.slots = Le32(wish.slots);
  req.node = Le16(wish.own_node.value);
  MetaWriter meta;
  EncodeRequest(OMFS_OP_HELLO, Credentials(), req, &meta);
  Header h;
  h.op = OMFS_OP_HELLO;
  h.session = wish.session;
  h.meta_len = meta.size();
  h.hlc = ClientClock::Get().Reading();
  std::array<std::byte, OMFS_HDR_SIZE> packed;
  h.Pack(packed);
  const std::array<iovec, 2> parts = {{
      {packed.data(), packed.size()},
      {const_cast<std::byte*>(meta.bytes().data()), meta.size()},
  }};
  OMFS_RETURN_IF_ERROR(stream.Write(parts));
  OMFS_RETURN_IF_ERROR(stream.ReadExact(packed));
  Header reply;
  OMFS_RETURN_IF_ERROR(Header::Unpack(packed, &reply));
  ClientClock::Get().Observe(reply.hlc);
  if (!reply.reply() || reply.op != OMFS_OP_HELLO || reply.payload_len != 0) {
    return InvalidArgument("answers HELLO with {}", OpName(reply.op));
  }
  if (reply.status != 0) {
    return FailedPrecondition("refuses the session: {}",
                              strerror(static_cast<int>(reply.status)));
  }
  std::vector<std::byte> bytes(reply.meta_len);
  OMFS_RETURN_IF_ERROR(stream.ReadExact(bytes));
  MetaReader in(bytes);
  omfs_hello_rep rep;
  OMFS_RETURN_IF_ERROR(in.Pod(&rep));
  if (Le16(rep.version) != OMFS_VERSION || Le64(rep.session) == 0 || Le32(rep.lease_ms) < 100 ||
      Le32(rep.slots) < 2 || Le32(rep.slots) > OMFS_MAX_SLOTS || rep.root.len == 0) {
    return InvalidArgument("sends a HELLO reply that makes no sense");
  }
  return rep;
}

}  // namespace omfs
