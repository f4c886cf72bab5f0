/* Names and their values. */
#ifndef TABLE_H
#define TABLE_H
struct table;
struct table *table_new(void);
void table_set(struct table *t, const char *name, long value);
long table_get(const struct table *t, const char *name);
void table_free(struct table *t);
#endif
