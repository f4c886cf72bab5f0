// What the test programs of this directory have in common.
//
// A program sets up one piece of kernel state, calls MovePoint(), and shows what has become of it: every line it
// writes is part of its transcript. It is run natively, under mosrun without moving, started away, moved at its
// move points, and moved all the time; the transcripts and the exit status must be the same, so nothing may be
// written that differs from run to run (process ids, times, device numbers, absolute paths).
//
//   PROGRAM WORK HOME [ARGUMENT...]
//
// WORK is an empty directory of the file system under test, the working directory at the start; HOME is a
// directory that is never on /mfs.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char* work_dir;  // absolute
extern const char* home_dir;  // absolute
extern char** program_arguments;  // those after HOME, ended by NULL

// The program itself. Called several times when the runner asks for it, so it must undo what it did.
void Program(void);

// Waits until the runner has moved the process, if it wants to.
void MovePoint(void);

// The two halves of MovePoint for code that must do its own waiting: tells the runner, and returns the path of the
// file that exists as soon as the move is done ("/" when nobody moves).
const char* BeginMove(void);

// Writes one line of the transcript at once (no buffering that a move could hide a loss in).
void Say(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Writes "what = value", or the name of the error when value is -1. Returns value.
long Show(const char* what, long value);
#define SHOW(call) Show(#call, (long)(call))

// The same for calls whose value means nothing to the reader: "ok" or the name of the error.
long ShowOk(const char* what, long value);
#define SHOW_OK(call) ShowOk(#call, (long)(call))

// Ends the program with a line when something fails that is not under test.
void Require(bool condition, const char* what);
#define REQUIRE(condition) Require((condition), #condition)

// Path below the home directory, in one of a few static buffers.
const char* AtHome(const char* name);

// Addresses at which nothing is mapped; functions, so that the compiler does not see through the intent.
void* BadAddress(void);
void* NoAddress(void);

// Creates or replaces a file with this text.
void WriteFile(const char* path, const char* text);

// Shows a file's bytes, unprintable ones as \xNN, at most 200 of them, and its length.
void ShowFile(const char* path);
void ShowBytes(const char* what, const void* bytes, size_t length);

// A reproducible stream of numbers, and a checksum (FNV-1a).
uint64_t NextRandom(uint64_t* state);
uint64_t Checksum(const void* bytes, size_t length);
