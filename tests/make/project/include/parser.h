#ifndef PARSER_H
#define PARSER_H
#include "tree.h"
struct tree *parse(const char *line);
#endif
