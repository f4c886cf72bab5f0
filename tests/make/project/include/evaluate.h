#ifndef EVALUATE_H
#define EVALUATE_H
#include "table.h"
#include "tree.h"
long evaluate(const struct tree *t, struct table *names);
#endif
