#include "evaluate.h"

long evaluate(const struct tree *t, struct table *names)
{
	long left, right;

	if (t->sign == '0')
		return t->number;
	if (t->sign == 'x')
		return table_get(names, t->name);
	right = evaluate(t->right, names);
	if (t->sign == '=') {
		table_set(names, t->left->name, right);
		return right;
	}
	left = evaluate(t->left, names);
	switch (t->sign) {
	case '+':
		return left + right;
	case '-':
		return left - right;
	case '*':
		return left * right;
	default:
		return right ? left / right : 0;
	}
}
