#include "print.h"

void print_number(struct text *out, long number)
{
	if (number < 0) {
		text_add(out, '-');
		number = -number;
	}
	if (number >= 10)
		print_number(out, number / 10);
	text_add(out, (char)('0' + number % 10));
}
