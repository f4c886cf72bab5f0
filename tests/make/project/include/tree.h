/* Expressions. */
#ifndef TREE_H
#define TREE_H
struct tree { char sign; long number; char name[32]; struct tree *left, *right; };
struct tree *tree_number(long number);
struct tree *tree_name(const char *name);
struct tree *tree_join(char sign, struct tree *left, struct tree *right);
void tree_free(struct tree *t);
#endif
