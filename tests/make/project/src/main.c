/* Reads sums, a line each, and prints them with their values. */
#include <stdio.h>
#include <stdlib.h>

#include "evaluate.h"
#include "parser.h"
#include "print.h"

const char *version(void);

int main(void)
{
	struct table *names = table_new();
	char line[200];

	printf("version %s\n", version());
	while (fgets(line, sizeof(line), stdin)) {
		struct tree *t = parse(line);
		struct text out = { 0 };

		print_tree(&out, t);
		text_end(&out);
		printf("%s = %ld\n", out.bytes, evaluate(t, names));
		free(out.bytes);
		tree_free(t);
	}
	table_free(names);
	return 0;
}
