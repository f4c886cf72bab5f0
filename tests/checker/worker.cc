// omfs-check-worker NODE NODES SEED THREADS DIRECTORY: the clients of one node. Commands, a line
// each, on standard input:
//
//   prepare ROUND        makes the round's objects (one worker does it)
//   run ROUND OPERATIONS each thread does that many operations; the history goes to
//   DIRECTORY/rROUND.NODE final ROUND          reads everything once; the history goes to
//   DIRECTORY/rROUND.NODE.final remove ROUND         (one worker)
//
// Each is answered with "done COMMAND ROUND NUMBER-OF-OPERATIONS", or "failed ..." when a
// preparation did not succeed.
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "tests/checker/client.h"

namespace omfs::checker {
namespace {

struct Setup {
  int node, nodes;
  uint64_t seed;
  int threads;
  std::string directory;
  int FirstClient() const { return node * 1000; }
};

std::string RoundDirectory(int owner, int round) {
  return "/mfs/" + std::to_string(owner) + "/check/r" + std::to_string(round);
}

// All that is there already is right, too: after a fault the preparation is tried again.
bool Prepare(const Setup& s, int round) {
  std::error_code error;
  for (int owner = 1; owner <= s.nodes; ++owner) {
    std::filesystem::create_directories(RoundDirectory(owner, round), error);
    if (error) return false;
  }
  for (const Object& object : ObjectsOf(s.seed, round, s.nodes)) {
    if (object.kind != Kind::kNames) {
      std::ofstream file(object.path, std::ios::trunc);
      if (!file.flush()) return false;
      continue;
    }
    std::filesystem::create_directory(object.path, error);
    for (int node = 1; node <= s.nodes && !error; ++node) {
      for (int t = 0; t < s.threads && !error; ++t) {
        std::filesystem::create_directory(StagingOf(object, node * 1000 + t), error);
      }
    }
    if (error) return false;
  }
  return true;
}

bool Remove(const Setup& s, int round) {
  std::error_code error;
  for (int owner = 1; owner <= s.nodes && !error; ++owner) {
    std::filesystem::remove_all(RoundDirectory(owner, round), error);
  }
  return !error;
}

size_t Save(const std::vector<Operation>& history, std::ofstream& file) {
  for (const Operation& op : history) file << Format(op) << '\n';
  return history.size();
}

std::string HistoryFile(const Setup& s, int round) {
  return s.directory + "/r" + std::to_string(round) + "." + std::to_string(s.node);
}

size_t Run(const Setup& s, int round, int operations) {
  const std::vector<Object> objects = ObjectsOf(s.seed, round, s.nodes);
  std::vector<std::vector<Operation>> histories(s.threads);
  std::vector<std::thread> threads;
  for (int t = 0; t < s.threads; ++t) {
    threads.emplace_back([&, t] {
      const int number = s.FirstClient() + t;
      Client client(number, s.node, objects);
      Stream stream(s.seed, round, number, objects);
      for (int i = 0; i < operations; ++i) client.Do(stream.Next());
      client.End();
      histories[t] = client.TakeHistory();
    });
  }
  size_t count = 0;
  std::ofstream file(HistoryFile(s, round));
  for (int t = 0; t < s.threads; ++t) {
    threads[t].join();
    count += Save(histories[t], file);
  }
  return count;
}

size_t Final(const Setup& s, int round) {
  const std::vector<Object> objects = ObjectsOf(s.seed, round, s.nodes);
  Client client(s.FirstClient(), s.node, objects);
  client.ReadAll();
  std::ofstream file(HistoryFile(s, round) + ".final");
  return Save(client.TakeHistory(), file);
}

void Serve(const Setup& s) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string command;
    int round = 0, operations = 0;
    in >> command >> round >> operations;
    size_t count = 0;
    bool good = true;
    if (command == "prepare") {
      good = Prepare(s, round);
    } else if (command == "run") {
      count = Run(s, round, operations);
    } else if (command == "final") {
      count = Final(s, round);
    } else if (command == "remove") {
      good = Remove(s, round);
    } else {
      good = false;
    }
    std::cout << (good ? "done " : "failed ") << command << ' ' << round << ' ' << count
              << std::endl;
  }
}

}  // namespace
}  // namespace omfs::checker

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: omfs-check-worker NODE NODES SEED THREADS DIRECTORY\n";
    return 2;
  }
  omfs::checker::Serve(
      {atoi(argv[1]), atoi(argv[2]), strtoull(argv[3], nullptr, 0), atoi(argv[4]), argv[5]});
  return 0;
}
