#include "tree.h"

#include <stdlib.h>
#include <string.h>

static struct tree *node(char sign)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->sign = sign;
	return t;
}

struct tree *tree_number(long number)
{
	struct tree *t = node('0');

	t->number = number;
	return t;
}

struct tree *tree_name(const char *name)
{
	struct tree *t = node('x');

	strncpy(t->name, name, sizeof(t->name) - 1);
	return t;
}

struct tree *tree_join(char sign, struct tree *left, struct tree *right)
{
	struct tree *t = node(sign);

	t->left = left;
	t->right = right;
	return t;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	tree_free(t->left);
	tree_free(t->right);
	free(t);
}
