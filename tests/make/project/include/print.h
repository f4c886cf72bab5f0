#ifndef PRINT_H
#define PRINT_H
#include "text.h"
#include "tree.h"
void print_number(struct text *out, long number);
void print_tree(struct text *out, const struct tree *t);
#endif
