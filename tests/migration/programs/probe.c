#include "probe.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

const char* work_dir;
const char* home_dir;
char** program_arguments;

static const char* sync_dir;  // where the runner and MovePoint meet; NULL when nobody moves
static int move_count;

const char* BeginMove(void) {
  static char ready[4096], go[4096];
  if (sync_dir == NULL) return "/";
  snprintf(ready, sizeof ready, "%s/ready.%d", sync_dir, move_count);
  snprintf(go, sizeof go, "%s/go.%d", sync_dir, move_count);
  // Not by open: the program may have no descriptor to spare.
  if (mknod(ready, S_IFREG | 0600, 0) != 0) {  // it may have given up its rights; the runner moves it on its own
    return "/";
  }
  ++move_count;
  return go;
}

void MovePoint(void) {
  const int saved_errno = errno;
  const char* go = BeginMove();
  while (access(go, F_OK) != 0) {
    const struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
  }
  errno = saved_errno;
}

static void WriteAll(const char* text, size_t length) {
  while (length > 0) {
    const ssize_t written = write(STDOUT_FILENO, text, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) _exit(120);
    text += written;
    length -= (size_t)written;
  }
}

void Say(const char* format, ...) {
  char line[4096];
  const int saved_errno = errno;
  va_list args;
  va_start(args, format);
  int length = vsnprintf(line, sizeof line - 1, format, args);
  va_end(args);
  if (length > (int)sizeof line - 2) length = sizeof line - 2;
  line[length++] = '\n';
  WriteAll(line, (size_t)length);
  errno = saved_errno;
}

long Show(const char* what, long value) {
  if (value == -1)
    Say("%s: %s", what, strerrorname_np(errno));
  else
    Say("%s = %ld", what, value);
  return value;
}

long ShowOk(const char* what, long value) {
  Say("%s: %s", what, value == -1 ? strerrorname_np(errno) : "ok");
  return value;
}

void Require(bool condition, const char* what) {
  if (condition) return;
  Say("failed: %s: %s", what, strerrorname_np(errno));
  exit(121);
}

const char* AtHome(const char* name) {
  static char paths[4][4096];
  static int next;
  char* path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", home_dir, name);
  return path;
}

void* BadAddress(void) { return (void*)8; }
void* NoAddress(void) { return NULL; }

void WriteFile(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  Require(fd >= 0, path);
  Require(write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
  close(fd);
}

void ShowBytes(const char* what, const void* bytes, size_t length) {
  char text[1024];
  size_t at = 0;
  const unsigned char* byte = bytes;
  for (size_t i = 0; i < length && i < 200; ++i)
    at += (size_t)snprintf(text + at, sizeof text - at, isprint(byte[i]) ? "%c" : "\\x%02x", byte[i]);
  text[at] = 0;
  Say("%s: %zu bytes \"%s\"", what, length, text);
}

void ShowFile(const char* path) {
  static char buffer[1 << 16];
  const int fd = open(path, O_RDONLY);
  if (fd < 0) {
    Say("file %s: %s", path[0] == '/' ? strrchr(path, '/') : path, strerrorname_np(errno));
    return;
  }
  size_t length = 0;
  ssize_t n;
  while (length < sizeof buffer && (n = read(fd, buffer + length, sizeof buffer - length)) > 0)
    length += (size_t)n;
  close(fd);
  ShowBytes(path[0] == '/' ? strrchr(path, '/') : path, buffer, length);
}

uint64_t NextRandom(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

uint64_t Checksum(const void* bytes, size_t length) {
  const unsigned char* byte = bytes;
  uint64_t sum = 0xcbf29ce484222325;
  for (size_t i = 0; i < length; ++i) sum = (sum ^ byte[i]) * 0x100000001b3;
  return sum;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s WORK HOME [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  work_dir = argv[1];
  home_dir = argv[2];
  program_arguments = argv + 3;
  sync_dir = getenv("MIGRATION_SYNC");
  const char* rounds = getenv("MIGRATION_ROUNDS");
  umask(022);
  for (int left = rounds != NULL ? atoi(rounds) : 1; left > 0; --left) {
    Require(chdir(work_dir) == 0, "chdir to the work directory");
    Program();
  }
  Say("end");
  return 0;
}
