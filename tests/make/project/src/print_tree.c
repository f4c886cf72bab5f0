#include "print.h"

void print_tree(struct text *out, const struct tree *t)
{
	if (t->sign == '0') {
		print_number(out, t->number);
	} else if (t->sign == 'x') {
		for (const char *c = t->name; *c; c++)
			text_add(out, *c);
	} else {
		text_add(out, '(');
		print_tree(out, t->left);
		text_add(out, t->sign);
		print_tree(out, t->right);
		text_add(out, ')');
	}
}
