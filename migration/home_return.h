// A process coming home: the deputy's address space is made what the guest's is.
//
// The deputy has kept its mappings while the process was away; only their pages were given up. Where mapping and origin are
// still the same, nothing but changed pages has to be written; the rest is unmapped, mapped or protected anew, range by
// range. Pages of mapped files are compared first, so that a program's text stays shared with its file.
#pragma once

#include "migration/deputy_blob.h"
#include "migration/memory_transfer.h"

namespace omfs::migration {

class HomeReturn {
 public:
  // The deputy is stopped. calls: through its blob.
  HomeReturn(RemoteCalls* calls, const Image& image, OwnRange blob) : calls_(*calls), image_(image), blob_(blob) {}

  // Mappings; afterwards memory frames may be applied.
  absl::Status Begin();
  absl::Status Apply(const Frame& frame);
  // Signal state, thread registrations and descriptors, for which there is room (DescriptorRoom). mfs: where /mfs is mounted.
  absl::Status Finish(DeputyBlob& blob, const std::string& mfs);

 private:
  absl::Status FitMappings();
  absl::Status FillFromFile(const Vma& v, uint64_t start, uint64_t end);
  absl::Status PlaceStub();
  absl::Status RestoreSignals(DeputyBlob& blob);
  absl::Status RestoreDescriptors(DeputyBlob& blob, const std::string& mfs);

  RemoteCalls& calls_;
  const Image& image_;
  OwnRange blob_;
};

}  // namespace omfs::migration
