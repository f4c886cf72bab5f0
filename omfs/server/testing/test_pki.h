// Certificates for tests: a CA and nodes, made anew for each run. The product's own are made by mosctl.
#pragma once

#include <string>

#include "omfs/base/ids.h"

namespace omfs::testing {

// Writes ca.crt, node.crt and node.key for a node into dir (made if missing), signed by the CA whose key and
// certificate lie in ca_dir (made if missing). Aborts on failure.
void MakeNodeCertificate(const std::string& ca_dir, const std::string& dir, NodeId node);

}  // namespace omfs::testing
