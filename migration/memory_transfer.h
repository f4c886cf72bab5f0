// Moving a process's memory: which mappings it has, what they hold, and sending that.
//
// Only pages of the process's own travel as memory: anonymous ones that are not all zero, and private copies of file
// pages. The content of mapped files travels once per file, as file data. The receiver keeps the two apart in the same
// way (a private mapping of a file that holds the content), so that MADV_DONTNEED gives back the file's bytes there too,
// and so that on the way home the pages that were changed can be told from those that were not.
#pragma once

#include <functional>
#include <vector>

#include "migration/link.h"
#include "migration/process_maps.h"
#include "migration/traced_task.h"

namespace omfs::migration {

// Mappings of ours in the process (blob, stub): left out of the image.
struct OwnRange {
  uint64_t start = 0, end = 0;
};

// Describes the mappings of a process at home in image->vmas and files. Fails with the reason (one line) when one of
// them cannot be moved.
absl::Status DescribeMappings(const std::vector<Mapping>& maps, const std::vector<OwnRange>& own, pid_t pid,
                              Image* image);

// Describes the mappings of a guest on its way home. Mappings of the memory files that stand for home files are told by
// their name "<prefix><index>"; `origin` has the files. A mapping of a file below /mfs becomes memory of its own.
absl::Status DescribeGuestMappings(const std::vector<Mapping>& maps, const std::vector<OwnRange>& own,
                                   const std::string& file_prefix, const Image& origin, Image* image);

// Sends file contents (kFileData) of the image's mapped files, as far as they are mapped.
absl::Status SendFiles(pid_t pid, const std::vector<Mapping>& maps, const Image& image, Link* link);

// Sends the own pages (kMemory) of every mapping in image->vmas. Pages of anonymous mappings that are all zero are
// left out when the receiver starts with empty mappings.
absl::Status SendOwnPages(TracedTask& task, const Image& image, Link* link);

}  // namespace omfs::migration
