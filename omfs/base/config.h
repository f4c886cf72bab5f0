// The node's configuration: /etc/omfs/omfs.conf and the static node map /etc/omfs/nodes.
//
// omfs.conf: lines "key = value"; '#' starts a comment; unknown keys and unreadable values are errors that
// name file and line. Keys and defaults are the members of Config below.
//
// nodes: lines "NUMBER NAME ADDRESS [DATA-PORT [CONTROL-PORT]]"; the same on every node.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "omfs/base/ids.h"

namespace omfs {

inline constexpr uint16_t kDefaultDataPort = 4660;
inline constexpr uint16_t kDefaultControlPort = 4661;
inline constexpr char kDefaultConfigPath[] = "/etc/omfs/omfs.conf";

struct NodeEntry {
  NodeId id;
  std::string name;
  std::string address;  // IP address or host name
  uint16_t data_port = kDefaultDataPort;
  uint16_t control_port = kDefaultControlPort;
};

struct Config {
  NodeId node;                                // node = 1           (required)
  std::string listen = "0.0.0.0";             // listen = ADDRESS
  uint16_t data_port = kDefaultDataPort;      // data_port = 4660
  uint16_t control_port = kDefaultControlPort;  // control_port = 4661
  std::string export_path = "/";              // export = /
  bool root_squash = false;                   // root_squash = yes|no: callers with uid 0 act as nobody
  std::string mount_point = "/mfs";           // mount = /mfs
  std::string node_map = "/etc/omfs/nodes";   // nodes = FILE
  std::string pki_dir = "/etc/omfs/pki";      // pki = DIR: ca.crt node.crt node.key [ca.key]
  std::string state_dir = "/var/lib/omfs";    // state = DIR
  std::string run_dir = "/run/omfs";          // run = DIR: omfsd.sock
  std::string log_level = "info";             // log_level = ...
  std::string log_file;                       // log_file = FILE, empty = stderr
  uint32_t lease_ms = 12000;                  // lease_ms = 12000
  int64_t clock_offset_ms = 0;                // clock_offset_ms = 0: its time stamps are by a clock so far ahead; for tests
  bool cache = false;                         // cache = yes|no: /mfs caches what the owners grant caps for
  bool hard = false;                          // hard = yes|no: calls on /mfs wait for a node as long as it takes
  bool passthrough = false;                   // passthrough = yes|no: the kernel reads and writes this node's own files itself
  bool local_bind = false;                    // local = fuse|bind: how /mfs/<this node> is to be mounted
  std::vector<NodeEntry> nodes;               // read from node_map

  // The entry of a node, or nullptr.
  const NodeEntry* Find(NodeId id) const;
  const NodeEntry* FindByName(const std::string& name_or_number) const;
};

// Reads and checks both files. Errors name the file, the line and what was wrong there.
absl::StatusOr<Config> LoadConfig(const std::string& path);
absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& file_name);
absl::StatusOr<std::vector<NodeEntry>> ParseNodeMap(const std::string& text,
                                                    const std::string& file_name);

}  // namespace omfs
