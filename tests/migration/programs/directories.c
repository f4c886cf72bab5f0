// Directories: making, listing in one go and piecewise across moves, seeking, removing.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "probe.h"

enum { kFiles = 400 };

static void Name(char* name, int i) { sprintf(name, "entry-with-a-longer-name-%03d", i); }

// Reads a directory and says which of the entries are there, moving once on the way when asked to.
static void List(DIR* dir, bool move) {
  int seen[kFiles] = {0};
  int dots = 0, strange = 0, wrong_type = 0, count = 0;
  errno = 0;
  for (struct dirent* entry; (entry = readdir(dir)) != NULL;) {
    int i = -1;
    if (move && ++count == kFiles / 2) MovePoint();
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      ++dots;
      wrong_type += entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN;
    } else if (sscanf(entry->d_name, "entry-with-a-longer-name-%d", &i) == 1 && i >= 0 && i < kFiles) {
      ++seen[i];
      wrong_type += entry->d_type != (i % 10 == 0 ? DT_DIR : DT_REG) && entry->d_type != DT_UNKNOWN;
    } else {
      ++strange;
    }
  }
  int once = 0, twice = 0;
  for (int i = 0; i < kFiles; ++i) {
    once += seen[i] == 1;
    twice += seen[i] > 1;
  }
  Say("list: %d once, %d more than once, %d dots, %d strange, %d of wrong type, errno %d", once, twice, dots,
      strange, wrong_type, errno);
}

void Program(void) {
  char name[64];
  struct stat status;
  SHOW(mkdir("d", 0755));
  SHOW(mkdir("d", 0755));
  SHOW(chdir("d"));
  for (int i = 0; i < kFiles; ++i) {
    Name(name, i);
    if (i % 10 == 0)
      REQUIRE(mkdir(name, 0700) == 0);
    else
      REQUIRE(close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0600)) == 0);
  }
  SHOW(stat(".", &status));
  Say("links %ld", (long)status.st_nlink);
  DIR* dir = opendir(".");
  REQUIRE(dir != NULL);
  List(dir, false);
  rewinddir(dir);
  MovePoint();
  List(dir, true);
  rewinddir(dir);
  for (int i = 0; i < 100; ++i) REQUIRE(readdir(dir) != NULL);
  const long position = telldir(dir);
  char expected[256];
  strcpy(expected, readdir(dir)->d_name);
  for (int i = 0; i < 50; ++i) REQUIRE(readdir(dir) != NULL);
  MovePoint();
  seekdir(dir, position);
  Say("seekdir comes back: %d", strcmp(expected, readdir(dir)->d_name) == 0);
  SHOW(closedir(dir));

  SHOW(chdir(".."));
  SHOW(rmdir("d"));
  SHOW(unlink("d"));
  SHOW(rmdir("missing"));
  SHOW(mkdir("missing/x", 0700));
  SHOW(open("d", O_WRONLY));
  SHOW(open("d", O_RDONLY | O_CREAT, 0600));
  MovePoint();
  for (int i = 0; i < kFiles; ++i) {
    sprintf(name, "d/entry-with-a-longer-name-%03d", i);
    REQUIRE((i % 10 == 0 ? rmdir(name) : unlink(name)) == 0);
  }
  SHOW(stat("d", &status));
  Say("links %ld", (long)status.st_nlink);
  SHOW(rmdir("d"));
  SHOW(stat("d", &status));
}
