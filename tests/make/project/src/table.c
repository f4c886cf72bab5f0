#include "table.h"

#include <stdlib.h>
#include <string.h>

struct entry { char name[32]; long value; struct entry *next; };
struct table { struct entry *first; };

struct table *table_new(void)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	return t;
}

static struct entry *find(const struct table *t, const char *name)
{
	struct entry *e = t->first;

	while (e && strcmp(e->name, name))
		e = e->next;
	return e;
}

void table_set(struct table *t, const char *name, long value)
{
	struct entry *e = find(t, name);

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			abort();
		strncpy(e->name, name, sizeof(e->name) - 1);
		e->next = t->first;
		t->first = e;
	}
	e->value = value;
}

long table_get(const struct table *t, const char *name)
{
	const struct entry *e = find(t, name);

	return e ? e->value : 0;
}

void table_free(struct table *t)
{
	while (t->first) {
		struct entry *e = t->first;

		t->first = e->next;
		free(e);
	}
	free(t);
}
