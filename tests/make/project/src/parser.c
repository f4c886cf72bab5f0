#include "parser.h"

#include <stddef.h>

#include "scanner.h"

static struct tree *sum(struct scanner *s);

static int is_sign(const struct scanner *s, char sign)
{
	return s->token.kind == TOKEN_SIGN && s->token.sign == sign;
}

static struct tree *value(struct scanner *s)
{
	struct tree *t = NULL;

	if (s->token.kind == TOKEN_NUMBER) {
		t = tree_number(s->token.number);
	} else if (s->token.kind == TOKEN_NAME) {
		t = tree_name(s->token.name);
	} else if (is_sign(s, '(')) {
		scanner_next(s);
		t = sum(s);
	}
	scanner_next(s);
	return t ? t : tree_number(0);
}

static struct tree *product(struct scanner *s)
{
	struct tree *t = value(s);

	while (is_sign(s, '*') || is_sign(s, '/')) {
		char sign = s->token.sign;

		scanner_next(s);
		t = tree_join(sign, t, value(s));
	}
	return t;
}

static struct tree *sum(struct scanner *s)
{
	struct tree *t = product(s);

	while (is_sign(s, '+') || is_sign(s, '-')) {
		char sign = s->token.sign;

		scanner_next(s);
		t = tree_join(sign, t, product(s));
	}
	return t;
}

struct tree *parse(const char *line)
{
	struct scanner s;
	struct tree *t;

	scanner_start(&s, line);
	t = sum(&s);
	if (is_sign(&s, '=')) {
		scanner_next(&s);
		t = tree_join('=', t, sum(&s));
	}
	return t;
}
