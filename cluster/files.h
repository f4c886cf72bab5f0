// Whole small files: configuration, keys, state.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

namespace omfs {

// The file's bytes. Errors name the path: "cannot read PATH: ...".
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

// Replaces the file as one step, durably: a reader sees the old or the new content, never a mix, and a key is never
// readable for a moment under a wider mode. Errors name the path.
absl::Status WriteFileAtomically(const std::string& path, const std::string& content, mode_t mode);

// Makes a directory and its missing parents; an existing one keeps its mode.
absl::Status MakeDirectories(const std::string& path, mode_t mode);

bool FileExists(const std::string& path);

// The path of one of oMFS's own programs that users do not start: beside this one's, or where packages put it.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// The directory part of a path: "/a/b" -> "/a", "b" -> ".".
std::string DirectoryOf(const std::string& path);

}  // namespace omfs
