#include "text.h"

#include <stdlib.h>

void text_add(struct text *t, char c)
{
	if (t->length == t->room) {
		t->room = t->room ? 2 * t->room : 16;
		t->bytes = realloc(t->bytes, t->room);
		if (!t->bytes)
			abort();
	}
	t->bytes[t->length++] = c;
}

void text_end(struct text *t)
{
	text_add(t, 0);
}
