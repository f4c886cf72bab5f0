#include "scanner.h"

#include <ctype.h>
#include <stdlib.h>

void scanner_start(struct scanner *s, const char *line)
{
	s->at = line;
	scanner_next(s);
}

void scanner_next(struct scanner *s)
{
	while (isspace((unsigned char)*s->at))
		s->at++;
	if (!*s->at) {
		s->token.kind = TOKEN_END;
	} else if (isdigit((unsigned char)*s->at)) {
		char *end;

		s->token.kind = TOKEN_NUMBER;
		s->token.number = strtol(s->at, &end, 10);
		s->at = end;
	} else if (isalpha((unsigned char)*s->at)) {
		unsigned int n = 0;

		s->token.kind = TOKEN_NAME;
		while (isalnum((unsigned char)*s->at) && n + 1 < sizeof(s->token.name))
			s->token.name[n++] = *s->at++;
		s->token.name[n] = 0;
	} else {
		s->token.kind = TOKEN_SIGN;
		s->token.sign = *s->at++;
	}
}
