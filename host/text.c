/* SPDX-License-Identifier: MIT */
#include "host/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct output {
	char *text;
	size_t room, used;
	void (*make_room)(void); /* NULL: the rest is left out */
};

/* A conversion: its flags and numbers. */
struct conversion {
	bool left, wide;
	char pad;
	int width, precision;
};

static void put(struct output *out, char byte)
{
	if (out->used + 1 >= out->room && out->make_room != NULL)
		out->make_room();
	if (out->used + 1 < out->room)
		out->text[out->used] = byte;
	out->used++;
}

static void put_padded(struct output *out, const struct conversion *as, const char *text,
		       size_t length)
{
	int missing = as->width - (int)length;

	for (; !as->left && missing > 0; missing--)
		put(out, as->pad);
	while (length-- > 0)
		put(out, *text++);
	for (; missing > 0; missing--)
		put(out, ' ');
}

/* Of a negative one the sign stands behind zeroes that pad it. */
static void put_number(struct output *out, const struct conversion *as, uint64_t value,
		       unsigned base, bool negative)
{
	char digits[24], *end = digits + sizeof(digits), *first = end;

	if (negative)
		value = -value;
	do
		*--first = "0123456789abcdef"[value % base];
	while ((value /= base) != 0);
	if (negative)
		*--first = '-';
	put_padded(out, as, first, (size_t)(end - first));
}

static int read_number(const char **format, va_list *args)
{
	if (**format != '*')
		return (int)text_number(*format, format);
	++*format;
	return va_arg(*args, int);
}

static void put_signed(struct output *out, const struct conversion *as, va_list *args)
{
	int64_t value = as->wide ? va_arg(*args, int64_t) : va_arg(*args, int);

	put_number(out, as, (uint64_t)value, 10, value < 0);
}

static void put_unsigned(struct output *out, const struct conversion *as, va_list *args,
			 unsigned base)
{
	put_number(out, as, as->wide ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), base,
		   false);
}

static void put_argument(struct output *out, const struct conversion *as, char kind, va_list *args)
{
	switch (kind) {
	case 's': {
		const char *text = va_arg(*args, const char *);
		if (text == NULL)
			text = "(null)";
		put_padded(out, as, text, strnlen(text, (size_t)as->precision));
		break;
	}
	case 'd':
		put_signed(out, as, args);
		break;
	case '%':
		put(out, '%');
		break;
	default:
		put_unsigned(out, as, args, kind == 'x' ? 16 : kind == 'o' ? 8 : 10);
	}
}

static void put_all(struct output *out, const char *format, va_list *args)
{
	for (; *format != '\0'; format++) {
		struct conversion as = { .pad = ' ', .precision = -1 };
		if (*format != '%') {
			put(out, *format);
			continue;
		}
		for (format++; *format == '-' || *format == '0'; format++)
			if (*format == '-')
				as.left = true;
			else
				as.pad = '0';
		as.width = read_number(&format, args);
		if (*format == '.') {
			format++;
			as.precision = read_number(&format, args);
		}
		for (; *format == 'l' || *format == 'z'; format++)
			as.wide = true;
		put_argument(out, &as, *format, args);
	}
}

int text_format_list(char *text, size_t room, const char *format, va_list args)
{
	struct output out = { text, room, 0, NULL };
	va_list own;

	va_copy(own, args);
	put_all(&out, format, &own);
	va_end(own);
	if (room > 0)
		text[out.used < room ? out.used : room - 1] = '\0';
	return (int)out.used;
}

int text_format(char *text, size_t room, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = text_format_list(text, room, format, args);
	va_end(args);
	return length;
}

uint64_t text_number(const char *text, const char **end)
{
	uint64_t number = 0;

	for (; *text >= '0' && *text <= '9'; text++) {
		unsigned digit = (unsigned)(*text - '0');
		number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
	}
	*end = text;
	return number;
}

static char printed_text[1024];
static void write_printed(void);
static struct output printed = { printed_text, sizeof(printed_text), 0, write_printed };
static int print_error;

static void write_printed(void)
{
	size_t done = 0;

	while (done < printed.used && print_error == 0) {
		ssize_t n = write(STDOUT_FILENO, printed_text + done, printed.used - done);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			print_error = errno;
	}
	printed.used = 0;
}

void text_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_all(&printed, format, &args);
	va_end(args);
}

bool text_print_end(void)
{
	write_printed();
	errno = print_error;
	return print_error == 0;
}
