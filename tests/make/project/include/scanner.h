#ifndef SCANNER_H
#define SCANNER_H
#include "token.h"
struct scanner { const char *at; struct token token; };
void scanner_start(struct scanner *s, const char *line);
void scanner_next(struct scanner *s);
#endif
