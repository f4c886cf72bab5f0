// What a language run-time keeps: thread-local variables, errno, exceptions thrown across a move, iostreams,
// static objects.
#include <csetjmp>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" {
#include "probe.h"
}

namespace {

thread_local int thread_value = 5;
thread_local std::string thread_text = "thread";

struct Guard {
  explicit Guard(const char* name) : name(name) {}
  ~Guard() { Say("leaving %s", name); }
  const char* name;
};

void Throw(int depth) {
  const Guard guard("frame");
  if (depth == 0) {
    MovePoint();
    throw std::runtime_error("thrown after the move");
  }
  Throw(depth - 1);
}

}  // namespace

extern "C" void Program() {
  thread_value = 7;
  thread_text += " text";
  errno = EXDEV;
  MovePoint();
  Say("errno %s, thread %d \"%s\"", strerrorname_np(errno), thread_value, thread_text.c_str());
  thread_value = 5;
  thread_text = "thread";
  try {
    Throw(3);
  } catch (const std::exception& error) {
    Say("caught: %s", error.what());
  }
  std::jmp_buf back;
  if (const int value = setjmp(back); value == 0) {
    MovePoint();
    longjmp(back, 9);
  } else {
    Say("longjmp %d", value);
  }
  std::map<std::string, std::vector<int>> map;
  for (int i = 0; i < 10000; ++i) map["key" + std::to_string(i % 100)].push_back(i);
  {
    std::ofstream out("stream");
    for (const auto& [key, values] : map) {
      out << key;
      for (const int value : values) out << ' ' << value;
      out << '\n';
      if (key == "key50") MovePoint();
    }
  }
  std::ifstream in("stream");
  std::string word;
  size_t words = 0, letters = 0;
  while (in >> word) {
    if (++words == 5000) MovePoint();
    letters += word.size();
  }
  Say("%zu words, %zu letters", words, letters);
  in.close();
  SHOW(unlink("stream"));
}
