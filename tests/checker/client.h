// One client of a round: does planned operations on /mfs and notes each with its outcome.
#pragma once

#include <map>
#include <vector>

#include "omfs/base/scoped_fd.h"
#include "tests/checker/history.h"
#include "tests/checker/stream.h"

namespace omfs::checker {

class Client {
 public:
  Client(int number, int node, const std::vector<Object>& objects)
      : number_(number), node_(node), objects_(objects) {}

  void Do(const Planned& planned);
  // Syncs and closes what is held, with a note of each sync.
  void End();
  // Reads all there is of every object.
  void ReadAll();

  std::vector<Operation> TakeHistory() { return std::move(history_); }

 private:
  struct Held {
    ScopedFd plain, appending;
  };

  // The body gives 0 or an errno and fills value.
  template <typename Body>
  int Note(const Planned& planned, Body body);
  int OnFile(const Planned& planned, std::vector<uint64_t>* value);
  int OnNames(const Planned& planned, std::vector<uint64_t>* value);
  int Make(const Object& object, const Planned& planned);
  int Place(const Object& object, const Planned& planned);
  int Hold(size_t object);
  void SyncHeld(size_t object, bool let_go);

  const int number_, node_;
  const std::vector<Object>& objects_;
  std::map<size_t, Held> held_;
  std::vector<Operation> history_;
};

}  // namespace omfs::checker
