/* SPDX-License-Identifier: MIT */
/* The values of --net and --vsock. */
#include <stdarg.h>

#include "config/options.h"
#include "tests/unit/check.h"

static char arguments[8][256];
static struct vm_config config;
static struct error_text error;

static enum options_result parse(const char *first, ...)
{
	static char program[] = "vmm", kernel[] = "--kernel=k";
	char *argv[10] = { program, kernel };
	int argc = 2;
	va_list list;

	va_start(list, first);
	for (const char *next = first; next != NULL; next = va_arg(list, const char *), argc++) {
		CHECK(argc < 9);
		snprintf(arguments[argc - 2], sizeof(arguments[0]), "%s", next);
		argv[argc] = arguments[argc - 2];
	}
	va_end(list);
	error.text[0] = '\0';
	return options_parse(&config, argc, argv, &error);
}

/* In both spellings; the message names the option and holds both parts. */
static void check_refused(const char *name, const char *value, const char *part)
{
	char joined[256];

	snprintf(joined, sizeof(joined), "%s=%s", name, value);
	for (unsigned spelling = 0; spelling < 2; spelling++) {
		enum options_result result =
			spelling ? parse(joined, NULL) : parse(name, value, NULL);
		if (result != OPTIONS_BAD)
			fprintf(stderr, "%s was taken\n", joined);
		CHECK_EQ(result, OPTIONS_BAD);
		CHECK_HAS(error.text, name);
		CHECK_HAS(error.text, part);
		CHECK(strchr(error.text, '\n') == NULL);
	}
}

static void check_taken(const char *name, const char *value)
{
	char joined[256];

	snprintf(joined, sizeof(joined), "%s=%s", name, value);
	if (parse(joined, NULL) != OPTIONS_RUN)
		fprintf(stderr, "%s: %s\n", joined, error.text);
	CHECK_EQ(parse(joined, NULL), OPTIONS_RUN);
	CHECK_EQ(parse(name, value, NULL), OPTIONS_RUN);
}

static void test_net_words(void)
{
	CHECK_EQ(parse(NULL), OPTIONS_RUN);
	CHECK_EQ(config.n_nets, 0);
	check_taken("--net", "tap=tap0");
	CHECK_EQ(config.n_nets, 1);
	CHECK_STRING(config.nets[0].tap_name, "tap0");
	CHECK_EQ(config.nets[0].fd, -1);
	CHECK_EQ(config.nets[0].has_mac, false);
	CHECK_EQ(config.nets[0].mtu, 0);
	check_taken("--net", "mtu=9000,mac=02:ab:CD:00:0f:Ff,fd=7");
	CHECK(config.nets[0].tap_name == NULL);
	CHECK_EQ(config.nets[0].fd, 7);
	CHECK_EQ(config.nets[0].mtu, 9000);
	CHECK_EQ(config.nets[0].has_mac, true);
	CHECK_BYTES(config.nets[0].mac, "\x02\xab\xcd\x00\x0f\xff", 6);
	check_taken("--net", "mtu=9000,passt=/run/p");
	CHECK_STRING(config.nets[0].passt_path, "/run/p");
	CHECK(config.nets[0].tap_name == NULL);
	CHECK_EQ(config.nets[0].fd, -1);
	CHECK_EQ(parse("--net=tap=a", "--net", "fd=3", "--net", "tap=b=c,mtu=68", NULL),
		 OPTIONS_RUN);
	CHECK_EQ(config.n_nets, 3);
	CHECK_STRING(config.nets[0].tap_name, "a");
	CHECK_EQ(config.nets[1].fd, 3);
	CHECK_STRING(config.nets[2].tap_name, "b=c");
	CHECK_EQ(config.nets[2].mtu, 68);
	CHECK_EQ(parse("--net=tap=a", "--net=tap=b", "--net=mtu=100,tap=a", NULL), OPTIONS_BAD);
	CHECK_STRING(error.text, "--net tap=a is given twice");
	CHECK_EQ(parse("--net=tap=a", "--net=tap=b", "--net=mtu=100,tap=c", NULL), OPTIONS_RUN);
}

static void test_net_refused(void)
{
	static const struct {
		const char *value, *part;
	} bad[] = {
		{ "tap0", "'tap0' is not" },
		{ "tap=a,", "'' is not" },
		{ ",tap=a", "'' is not" },
		{ "tap=a,,mtu=100", "'' is not" },
		{ "tap=a,mut=100", "'mut=100' is not" },
		{ "tap=a,TAP=b", "'TAP=b' is not" },
		{ "tap=a,mtu", "'mtu' is not" },
		{ "tap=a,mtus=5", "'mtus=5' is not" },
		{ "mtu=1500", "either tap=NAME, passt=PATH or fd=N" },
		{ "tap=a,fd=3", "either tap=NAME, passt=PATH or fd=N" },
		{ "tap=a,passt=p", "either tap=NAME, passt=PATH or fd=N" },
		{ "fd=3,passt=p", "either tap=NAME, passt=PATH or fd=N" },
		{ "passt=p,passt=p", "passt= is given twice" },
		{ "tap=a,tap=a", "tap= is given twice" },
		{ "tap=a,mtu=100,tap=b", "tap= is given twice" },
		{ "fd=4,fd=5", "fd= is given twice" },
		{ "tap=a,mtu=100,mtu=100", "mtu= is given twice" },
		{ "tap=a,mac=02:00:00:00:00:01,mac=02:00:00:00:00:02", "mac= is given twice" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refused("--net", bad[i].value, bad[i].part);
	check_refused("--net", "tap=a,mtu=67", "mtu=67: expected 68 to 65535");
	check_refused("--net", "tap=a,mtu=65536", "mtu=65536: expected");
	check_taken("--net", "tap=a,mtu=65535");
}

static void test_numbers(void)
{
	static const char *const bad[] = { "",
					   "-1",
					   "+3",
					   " 3",
					   "3 ",
					   "0x10",
					   "2",
					   "1048577",
					   "3k",
					   "x",
					   "18446744073709551619",
					   "99999999999999999999999" };
	char value[128], part[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(value, sizeof(value), "fd=%s", bad[i]);
		snprintf(part, sizeof(part), "fd=%s: expected a descriptor number from 3", bad[i]);
		check_refused("--net", value, part);
		snprintf(value, sizeof(value), "cid=3,uds-fd=%s", bad[i]);
		snprintf(part, sizeof(part), "uds-fd=%s: expected a descriptor", bad[i]);
		check_refused("--vsock", value, part);
		if (i == 7)
			continue; /* a good context id */
		snprintf(value, sizeof(value), "uds=p,cid=%s", bad[i]);
		snprintf(part, sizeof(part), "cid=%s: expected 3 to 4294967294", bad[i]);
		check_refused("--vsock", value, part);
	}
	check_refused("--vsock", "uds=p,cid=4294967295", "expected 3 to 4294967294");
	check_refused("--vsock", "uds=p,cid=0", "expected 3 to");
	check_taken("--vsock", "uds=p,cid=4294967294");
	CHECK_EQ(config.vsock.guest_cid, 4294967294);
	check_taken("--vsock", "uds=p,cid=3");
	check_taken("--net", "fd=1048576");
}

static void test_mac(void)
{
	static const char *const bad[] = {
		"",
		"02:00:00:00:00",
		"02:00:00:00:00:01:02",
		"02:00:00:00:00:0",
		"02:00:00:00:00:001",
		"2:00:00:00:00:001",
		"02-00-00-00-00-01",
		"020000000001xxxxx",
		"0g:00:00:00:00:01",
		"02:00:00:00:00:0G",
		"02:00:00:00:00:0@",
		"02:00:00:00:00:0`",
		"02:00:00:00:00: 1",
		"01:00:00:00:00:01", /* multicast */
		"ff:ff:ff:ff:ff:ff",
		"0x:00:00:00:00:01",
		"02:00:00:00:00:1:",
	};
	static const struct {
		const char *text, *bytes;
	} good[] = {
		{ "00:00:00:00:00:00", "\0\0\0\0\0\0" },
		{ "fe:dc:ba:98:76:54", "\xfe\xdc\xba\x98\x76\x54" },
		{ "FE:DC:BA:98:76:5f", "\xfe\xdc\xba\x98\x76\x5f" },
		{ "0a:0A:0f:F0:99:09", "\x0a\x0a\x0f\xf0\x99\x09" },
	};
	char value[128], part[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(value, sizeof(value), "tap=a,mac=%s", bad[i]);
		snprintf(part, sizeof(part), "mac=%s: expected a unicast", bad[i]);
		check_refused("--net", value, part);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(value, sizeof(value), "mac=%s,tap=a", good[i].text);
		check_taken("--net", value);
		CHECK_BYTES(config.nets[0].mac, good[i].bytes, 6);
		CHECK(config.nets[0].has_mac);
	}
}

static void test_most_nets(void)
{
	static char text[MAX_NETS + 1][32];
	char *argv[MAX_NETS + 4] = { (char[]){ "vmm" }, (char[]){ "--kernel=k" } };

	for (int i = 0; i <= MAX_NETS; i++) {
		snprintf(text[i], sizeof(text[i]), "--net=tap=t%d", i);
		argv[2 + i] = text[i];
	}
	CHECK_EQ(options_parse(&config, MAX_NETS + 2, argv, &error), OPTIONS_RUN);
	CHECK_EQ(config.n_nets, MAX_NETS);
	for (int i = 0; i <= MAX_NETS; i++)
		snprintf(text[i], sizeof(text[i]), "--net=tap=t%d", i);
	CHECK_EQ(options_parse(&config, MAX_NETS + 3, argv, &error), OPTIONS_BAD);
	CHECK_HAS(error.text, "at most 8 network interfaces");
}

static void test_vsock(void)
{
	char value[256], path[128];

	CHECK_EQ(parse(NULL), OPTIONS_RUN);
	CHECK_EQ(config.vsock.guest_cid, 0);
	check_taken("--vsock", "cid=52,uds=/run/v.sock");
	CHECK_EQ(config.vsock.guest_cid, 52);
	CHECK_STRING(config.vsock.uds_path, "/run/v.sock");
	CHECK_EQ(config.vsock.uds_fd, -1);
	check_taken("--vsock", "uds-fd=5,cid=4");
	CHECK(config.vsock.uds_path == NULL);
	CHECK_EQ(config.vsock.uds_fd, 5);
	check_taken("--vsock", "uds-fd=5,uds=p,cid=4");
	CHECK_STRING(config.vsock.uds_path, "p");
	CHECK_EQ(config.vsock.uds_fd, 5);
	CHECK_EQ(config.vsock.connect_fd, -1);
	check_taken("--vsock", "connect-fd=6,cid=4");
	CHECK_EQ(config.vsock.connect_fd, 6);
	CHECK_EQ(config.vsock.uds_fd, -1);
	check_taken("--vsock", "connect-fd=6,uds-fd=5,cid=4");
	check_taken("--vsock", "connect-fd=6,uds=p,cid=4");
	check_refused("--vsock", "cid=3,connect-fd=6,uds-fd=5,uds=p", "uds= is of no use");
	check_refused("--vsock", "cid=3,connect-fd=6,connect-fd=7", "connect-fd= is given twice");
	check_refused("--vsock", "cid=3", "expected cid=N and uds=PATH, uds-fd=N or connect-fd=N");
	check_refused("--vsock", "uds=p", "expected cid=N and uds=PATH, uds-fd=N or connect-fd=N");
	check_refused("--vsock", "cid=3,uds=", "uds=: expected a path");
	check_refused("--vsock", "cid=3,uds=p,", "'' is not cid=, uds=, uds-fd= or connect-fd=");
	check_refused("--vsock", "cid=3,path=p", "'path=p' is not");
	check_refused("--vsock", "3", "'3' is not");
	check_refused("--vsock", "", "'' is not");
	check_refused("--vsock", "cid=3,uds=p,cid=3", "cid= is given twice");
	check_refused("--vsock", "cid=3,uds=p,uds=q", "uds= is given twice");
	check_refused("--vsock", "cid=3,uds-fd=4,uds-fd=5", "uds-fd= is given twice");
	memset(path, 'x', sizeof(path));
	path[96] = '\0';
	snprintf(value, sizeof(value), "cid=3,uds=%s", path);
	check_taken("--vsock", value);
	path[96] = 'x', path[97] = '\0';
	snprintf(value, sizeof(value), "cid=3,uds=%s", path);
	check_refused("--vsock", value, "expected a path of 1 to 96 bytes");
	CHECK_EQ(parse("--vsock=cid=3,uds=p", "--vsock=cid=4,uds=q", NULL), OPTIONS_BAD);
	CHECK_HAS(error.text, "given twice");
}

int main(void)
{
	RUN(test_net_words);
	RUN(test_net_refused);
	RUN(test_numbers);
	RUN(test_mac);
	RUN(test_most_nets);
	RUN(test_vsock);
	return 0;
}
