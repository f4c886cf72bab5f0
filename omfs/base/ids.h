// Strong types for the numbers that name things in a cluster.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace omfs {

// Number of a node, 1..65535; 0 means none.
struct NodeId {
  uint16_t value = 0;
  constexpr NodeId() = default;
  constexpr explicit NodeId(uint16_t v) : value(v) {}
  constexpr bool valid() const { return value != 0; }
  friend constexpr auto operator<=>(NodeId, NodeId) = default;
};

// A session between one client instance and one owner.
struct SessionId {
  uint64_t value = 0;
  friend constexpr auto operator<=>(SessionId, SessionId) = default;
};

// An open of a session.
struct OpenId {
  uint64_t value = 0;
  friend constexpr auto operator<=>(OpenId, OpenId) = default;
};

}  // namespace omfs

template <>
struct std::hash<omfs::NodeId> {
  size_t operator()(omfs::NodeId n) const noexcept { return n.value; }
};
template <>
struct std::hash<omfs::SessionId> {
  size_t operator()(omfs::SessionId s) const noexcept { return std::hash<uint64_t>()(s.value); }
};
template <>
struct std::hash<omfs::OpenId> {
  size_t operator()(omfs::OpenId s) const noexcept { return std::hash<uint64_t>()(s.value); }
};
