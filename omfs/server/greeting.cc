#include "omfs/server/greeting.h"

#include <algorithm>
#include <cerrno>

#include "omfs/base/log.h"
#include "omfs/base/status.h"
#include "omfs/server/operation.h"

namespace omfs {
namespace {

void Refuse(Connection& connection, const Header& header, uint32_t status) {
  Header reply;
  reply.op = header.op;
  reply.slot = header.slot;
  reply.sequence = header.sequence;
  reply.status = status;
  connection.Send(reply, {}, {});
}

}  // namespace

void Greeting::RefuseVersion(Connection& connection, const Header& header) {
  Refuse(connection, header, EPROTONOSUPPORT);
}

absl::Status Greeting::Greet(const std::shared_ptr<Connection>& connection,
                             const Message& message) {
  const Header& h = message.header;
  if (h.op != OMFS_OP_HELLO) return InvalidArgument("{} before HELLO", OpName(h.op));
  OMFS_ASSIGN_OR_RETURN(const auto r, DecodeRequest<omfs_hello_req>(h.op, message.meta));
  const NodeId node(Le16(r.fixed.node));
  if (node != connection->peer()) {
    Refuse(*connection, h, EPERM);
    return InvalidArgument("it says that it is node {}", node.value);
  }
  const uint16_t oldest = Le16(r.fixed.version_min), newest = Le16(r.fixed.version_max);
  if (oldest > OMFS_VERSION || newest < OMFS_VERSION_MIN) {
    RefuseVersion(*connection, h);
    return InvalidArgument("it speaks versions {}..{}, not {}..{}", oldest, newest,
                           OMFS_VERSION_MIN, OMFS_VERSION);
  }
  if (!r.parts[0].empty() && r.parts[0] != config_->export_path) {
    Refuse(*connection, h, ENOENT);
    return InvalidArgument("it asks for the export {}", Quoted(r.parts[0]));
  }

  SessionTable::Hello hello;
  std::ranges::copy(r.fixed.client_id, hello.client.client_id.begin());
  hello.client.boot = Le64(r.fixed.boot);
  hello.client.node = node;
  hello.client.session = SessionId{h.session};
  hello.slots = Le32(r.fixed.slots);
  hello.sequence = h.sequence;
  const bool for_recalls = (Le32(r.fixed.features) & OMFS_FEATURE_RECALLS) != 0;
  hello.must_exist = for_recalls;
  const auto welcome = sessions_->Greet(hello);
  if (!welcome.ok()) {
    Refuse(*connection, h, absl::IsNotFound(welcome.status()) ? ESTALE : EIO);
    return welcome.status();
  }
  if (for_recalls) {
    // Before the first grant: a restarted owner must know.
    if (absl::Status s = sessions_->SetCaching(*welcome->session); !s.ok()) {
      Refuse(*connection, h, EIO);
      return s;
    }
    connection->set_carries_recalls();
  }
  connection->set_session(welcome->session);
  welcome->session->Attach(connection);

  const auto root = tree_->Entry(*tree_->root());
  if (!root.ok()) {
    Refuse(*connection, h, static_cast<uint32_t>(root.error().value));
    return ErrnoStatus(root.error().value, "the export's root");
  }
  SPDLOG_INFO("session {}: {} session={} slots={}{}", welcome->resumed ? "resumed" : "made",
              connection->Name(), welcome->session->id().value, welcome->session->slot_count(),
              for_recalls ? " recalls" : "");
  omfs_hello_rep rep{};
  rep.session = Le64(welcome->session->id().value);
  rep.epoch = Le64(epoch_);
  rep.version = Le16(std::min<uint16_t>(OMFS_VERSION, newest));
  rep.node = Le16(config_->node.value);
  rep.features =
      Le32((Le32(r.fixed.features) & (OMFS_FEATURE_CRC | OMFS_FEATURE_RECALLS)) | OMFS_FEATURE_CAPS | OMFS_FEATURE_RECLAIM);
  rep.slots = Le32(welcome->session->slot_count());
  rep.lease_ms = Le32(config_->lease_ms);
  rep.max_payload = Le32(OMFS_MAX_PAYLOAD);
  rep.resumed = Le32(welcome->resumed ? 1 : 0);
  rep.root = root->fh;
  rep.root_attr = root->attr;
  Header out = h;
  out.flags = h.flags & OMFS_F_CRC;
  out.session = welcome->session->id().value;
  out.credits = static_cast<uint16_t>(welcome->session->slot_count());
  connection->Send(out, std::as_bytes(std::span(&rep, 1)), {});
  // Only now: recalls may follow at once.
  if (for_recalls) {
    welcome->session->AttachRecalls(connection);
    caps_->Reconnected(welcome->session->id());
  }
  return absl::OkStatus();
}

}  // namespace omfs
