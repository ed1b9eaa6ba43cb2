// SPDX-License-Identifier: GPL-2.0-only
/* lkvm vfio irqs: a report of --irq-report as a table. It reads what irq_report.c writes, and nothing else. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "irq_report.h"

#define CELL 96

static const struct column {
	const char *key, *title;
	int width;
} columns[] = {
	{ "device", "DEVICE", 12 },
	{ "interrupt", "KIND", 4 },
	{ "vector", "VECTOR", 6 },
	{ "address", "GUEST DOORBELL", 14 },
	{ "event", "EVENT", 5 },
	{ "gsi", "GSI", 4 },
	{ "devid", "DEVID", 5 },
	{ "doorbell_iova", "IOVA", 12 },
	{ "doorbell_by", "BY", 6 },
	{ "doorbell_phys", "PHYSICAL", 10 },
	{ "host_irq", "HOST IRQ", 8 },
	{ "host_count", "COUNT", 6 },
	{ "armed", "ARMED", 5 },
	{ "delivery", "DELIVERY", 9 },
	{ "why_not_direct", "WHY NOT DIRECT", 0 },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct reader {
	FILE *file;
	const char *name;
	unsigned line;
	char text[512]; /* the line, without what surrounds it */
};

static int not_a_report(const struct reader *reader)
{
	return refuse(-EINVAL, "%s, line %u: this is not what --irq-report writes", reader->name,
		      reader->line);
}

/* The next line without indentation, comma and newline. */
static int next_line(struct reader *reader)
{
	char line[512], *at = line;
	size_t len;

	reader->line++;
	if (!fgets(line, sizeof(line), reader->file))
		return not_a_report(reader);
	at += strspn(at, " ");
	len = strcspn(at, "\n");
	if (at[len] != '\n')
		return not_a_report(reader);
	if (len && at[len - 1] == ',')
		len--;
	at[len] = 0;
	snprintf(reader->text, sizeof(reader->text), "%s", at);
	return 0;
}

static int expect(struct reader *reader, const char *text)
{
	int err = next_line(reader);

	if (err)
		return err;
	return strcmp(reader->text, text) != 0 ? not_a_report(reader) : 0;
}

/* A string without escapes, a decimal number, true, false or null: all that a report has. */
static bool take_value(const char *text, char cell[CELL])
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text++;
		len -= 2;
		for (size_t i = 0; i < len; i++)
			if (text[i] == '"' || text[i] == '\\' || !isprint((unsigned char)text[i]))
				return false;
	} else if (!strcmp(text, "null")) {
		text = "-";
		len = 1;
	} else if (!strcmp(text, "true") || !strcmp(text, "false")) {
		text = *text == 't' ? "yes" : "no";
		len = strlen(text);
	} else if (!len || strspn(text, "0123456789") != len) {
		return false;
	}
	if (len >= CELL)
		return false;
	memcpy(cell, text, len);
	cell[len] = 0;
	return true;
}

/* "KEY": VALUE, with this key. */
static int next_member(struct reader *reader, const char *key, char cell[CELL])
{
	size_t len = strlen(key);
	const char *text = reader->text;
	int err = next_line(reader);

	if (err)
		return err;
	if (text[0] != '"' || strncmp(text + 1, key, len) != 0 ||
	    strncmp(text + 1 + len, "\": ", 3) != 0 || !take_value(text + len + 4, cell))
		return not_a_report(reader);
	return 0;
}

static void print_row(char cells[COLUMNS][CELL], FILE *out)
{
	for (size_t i = 0; i < COLUMNS; i++)
		if (i + 1 < COLUMNS)
			fprintf(out, "%-*s  ", columns[i].width, cells[i]);
		else
			fprintf(out, "%s\n", cells[i]);
}

static void print_titles(FILE *out)
{
	char cells[COLUMNS][CELL];

	for (size_t i = 0; i < COLUMNS; i++)
		snprintf(cells[i], CELL, "%s", columns[i].title);
	print_row(cells, out);
}

/* Vectors that were never armed say nothing: they are counted. */
static int read_row(struct reader *reader, FILE *out, unsigned *idle)
{
	char cells[COLUMNS][CELL];
	int err = 0;

	for (size_t i = 0; i < COLUMNS && !err; i++)
		err = next_member(reader, columns[i].key, cells[i]);
	if (!err)
		err = expect(reader, "}");
	if (err)
		return err;
	if (!strcmp(cells[1], "-"))
		++*idle;
	else
		print_row(cells, out);
	return 0;
}

static int read_rows(struct reader *reader, FILE *out)
{
	unsigned idle = 0;
	int err;

	print_titles(out);
	for (;;) {
		err = next_line(reader);
		if (err)
			return err;
		if (!strcmp(reader->text, "]"))
			break;
		if (strcmp(reader->text, "{") != 0)
			return not_a_report(reader);
		err = read_row(reader, out, &idle);
		if (err)
			return err;
	}
	if (idle)
		fprintf(out, "%u vectors were never armed\n", idle);
	return expect(reader, "}");
}

int vfio_irq_table(FILE *in, const char *name, FILE *out)
{
	struct reader reader = { .file = in, .name = name };
	char doorbell[CELL], direct[CELL], why[CELL], version[CELL];
	int err = expect(&reader, "{");

	if (!err)
		err = next_member(&reader, "lkvm_irq_report", version);
	if (!err && strcmp(version, "1") != 0)
		err = not_a_report(&reader);
	if (!err)
		err = next_member(&reader, "guest_doorbell", doorbell);
	if (!err)
		err = next_member(&reader, "direct_delivery", direct);
	if (!err)
		err = next_member(&reader, "why_not", why);
	if (err)
		return err;
	fprintf(out, "the guest's doorbell page: %s; direct delivery possible: %s%s%s\n", doorbell,
		direct, strcmp(why, "-") ? ": " : "", strcmp(why, "-") ? why : "");
	err = next_line(&reader);
	if (!err && !strcmp(reader.text, "\"vectors\": []"))
		return expect(&reader, "}");
	if (!err && strcmp(reader.text, "\"vectors\": [") != 0)
		err = not_a_report(&reader);
	return err ? err : read_rows(&reader, out);
}

int vfio_irqs_print(const char *path, FILE *out)
{
	FILE *file = fopen(path, "re");
	int err;

	if (!file)
		return report(-errno, "cannot open %s", path);
	err = vfio_irq_table(file, path, out);
	fclose(file);
	return err;
}
