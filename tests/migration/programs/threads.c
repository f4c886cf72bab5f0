// Threads, which version 1 does not move: the program must still be right.
#include <pthread.h>

#include "probe.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void* Add(void* argument) {
  for (int i = 0; i < 20000; ++i) {
    pthread_mutex_lock(&mutex);
    ++counter;
    pthread_mutex_unlock(&mutex);
  }
  return (char*)argument + 1;
}

void Program(void) {
  pthread_t threads[4];
  counter = 0;
  MovePoint();
  for (long i = 0; i < 4; ++i) REQUIRE(pthread_create(&threads[i], NULL, Add, (void*)i) == 0);
  long sum = 0;
  for (int i = 0; i < 4; ++i) {
    void* result;
    REQUIRE(pthread_join(threads[i], &result) == 0);
    sum += (long)result;
  }
  Say("counter %ld, sum %ld", counter, sum);
  WriteFile("file", "after the threads");
  MovePoint();
  ShowFile("file");
  SHOW(unlink("file"));
}
