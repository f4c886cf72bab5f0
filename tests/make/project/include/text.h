/* Strings that grow. */
#ifndef TEXT_H
#define TEXT_H
#include <stddef.h>
struct text { char *bytes; size_t length, room; };
void text_add(struct text *t, char c);
void text_end(struct text *t);
#endif
