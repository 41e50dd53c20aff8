/* SPDX-License-Identifier: MIT */
#include "config/device_options.h"

#include <stddef.h>
#include <string.h>

#include "host/text.h"

#define MTU_MIN 68 /* virtio 1.2, 5.1.4.1 */
#define MTU_MAX 65535
/* A Unix socket's path has 107 bytes, and "_" and a port of 10 digits are added. */
#define VSOCK_PATH_MAX 96

/* Cuts the next word off a list at its comma; NULL at the end. */
static char *next_word(char **list)
{
	char *word = *list, *comma;

	if (word == NULL)
		return NULL;
	comma = strchr(word, ',');
	if (comma != NULL)
		*comma++ = '\0';
	*list = comma;
	return word;
}

/* If `word` is "key=value", the value. */
static const char *value_of(const char *word, const char *key)
{
	size_t length = strlen(key);

	return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

bool parse_bounded(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	const char *end;

	*number = text_number(text, &end);
	return end != text && *end == '\0' && *number >= min && *number <= max;
}

bool parse_fd(const char *text, int *fd)
{
	uint64_t number;

	if (!parse_bounded(text, 3, 1 << 20, &number))
		return false;
	*fd = (int)number;
	return true;
}

bool parse_file(struct file_name *file, const char *name, const char *value,
		struct error_text *error)
{
	const char *number = value_of(value, "fd");

	*file = (struct file_name){ .text = value };
	return number == NULL || parse_fd(number, &file->fd) ||
	       error_set(error, "%s %s: expected a descriptor number from 3", name, value);
}

/* Cuts the last `suffix` off, with what follows it, which it returns; NULL if there is none. */
static char *cut_suffix(char *value, const char *suffix)
{
	char *found = NULL;

	for (char *at = value; (at = strstr(at, suffix)) != NULL; at++)
		found = at;
	if (found == NULL)
		return NULL;
	*found = '\0';
	return found + strlen(suffix);
}

/* The words at the end: those that take a value take all the rest. */
static bool parse_disk_words(struct disk_config *disk, const char *name, char *value,
			     struct error_text *error)
{
	const char *folder = cut_suffix(value, ",overlay-dir=");
	const char *file = cut_suffix(value, ",overlay=");
	size_t length = strlen(value);

	if (folder == NULL && file == NULL && length >= 3 && strcmp(value + length - 3, ",ro") == 0)
		disk->read_only = cut_suffix(value, ",ro") != NULL;
	else if (length >= 8 && strcmp(value + length - 8, ",overlay") == 0)
		disk->has_overlay = cut_suffix(value, ",overlay") != NULL;
	if ((folder != NULL) + (file != NULL) + disk->has_overlay > 1)
		return error_set(error, "%s: expected one overlay", name);
	disk->has_overlay |= folder != NULL || file != NULL;
	disk->overlay_folder = folder;
	if ((folder != NULL && folder[0] == '\0') || (file != NULL && file[0] == '\0'))
		return error_set(error, "%s: expected a path behind overlay%s=", name,
				 file != NULL ? "" : "-dir");
	return file == NULL || parse_file(&disk->overlay, name, file, error);
}

/* PATH or fd=N, and words at the end. Other commas belong to the path. */
bool parse_disk(struct disk_config *disk, const char *name, char *value, struct error_text *error)
{
	*disk = (struct disk_config){ .read_only = false };
	if (!parse_disk_words(disk, name, value, error))
		return false;
	if (value[0] == '\0')
		return error_set(error, "%s: expected PATH or PATH,ro, got an empty path", name);
	return parse_file(&disk->file, name, value, error);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Six pairs of hexadecimal digits, a unicast address. */
static bool parse_mac(const char *text, uint8_t mac[6])
{
	if (strlen(text) != 17)
		return false;
	for (unsigned i = 0; i < 6; i++, text += 3) {
		int high = hex_digit(text[0]), low = hex_digit(text[1]);
		if (high < 0 || low < 0 || (i < 5 && text[2] != ':'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return (mac[0] & 1) == 0;
}

/* A key given twice is refused: the user would get only one of the two values. */
static bool once(bool given, const char *name, const char *key, struct error_text *error)
{
	return !given || error_set(error, "%s: %s= is given twice", name, key);
}

static bool take_fd(int *fd, const char *name, const char *key, const char *value,
		    struct error_text *error)
{
	return once(*fd >= 0, name, key, error) &&
	       (parse_fd(value, fd) ||
		error_set(error, "%s %s=%s: expected a descriptor number from 3", name, key,
			  value));
}

static bool parse_net_word(struct net_config *net, const char *name, const char *word,
			   struct error_text *error)
{
	const char *value;
	uint64_t number;

	if ((value = value_of(word, "tap")) != NULL) {
		if (!once(net->tap_name != NULL, name, "tap", error))
			return false;
		net->tap_name = value;
	} else if ((value = value_of(word, "passt")) != NULL) {
		if (!once(net->passt_path != NULL, name, "passt", error))
			return false;
		net->passt_path = value;
	} else if ((value = value_of(word, "fd")) != NULL) {
		return take_fd(&net->fd, name, "fd", value, error);
	} else if ((value = value_of(word, "mac")) != NULL) {
		if (!once(net->has_mac, name, "mac", error))
			return false;
		if (!parse_mac(value, net->mac))
			return error_set(error,
					 "%s mac=%s: expected a unicast address such as "
					 "02:00:00:00:00:01",
					 name, value);
		net->has_mac = true;
	} else if ((value = value_of(word, "mtu")) != NULL) {
		if (!once(net->mtu != 0, name, "mtu", error))
			return false;
		if (!parse_bounded(value, MTU_MIN, MTU_MAX, &number))
			return error_set(error, "%s mtu=%s: expected %d to %d", name, value,
					 MTU_MIN, MTU_MAX);
		net->mtu = (uint16_t)number;
	} else {
		return error_set(error, "%s: '%s' is not tap=, passt=, fd=, mac= or mtu=", name,
				 word);
	}
	return true;
}

bool parse_net(struct net_config *net, const char *name, char *value, struct error_text *error)
{
	char *word;

	*net = (struct net_config){ .fd = -1 };
	while ((word = next_word(&value)) != NULL)
		if (!parse_net_word(net, name, word, error))
			return false;
	if ((net->tap_name != NULL) + (net->passt_path != NULL) + (net->fd >= 0) != 1)
		return error_set(error, "%s: expected either tap=NAME, passt=PATH or fd=N", name);
	return true;
}

bool parse_cid(const char *text, uint32_t *cid)
{
	uint64_t number;

	if (!parse_bounded(text, 3, VSOCK_CID_MAX, &number))
		return false;
	*cid = (uint32_t)number;
	return true;
}

static bool parse_vsock_word(struct vsock_config *vsock, const char *name, const char *word,
			     struct error_text *error)
{
	const char *value;

	if ((value = value_of(word, "cid")) != NULL) {
		if (!once(vsock->guest_cid != 0, name, "cid", error))
			return false;
		if (!parse_cid(value, &vsock->guest_cid))
			return error_set(error, "%s cid=%s: expected 3 to %u", name, value,
					 VSOCK_CID_MAX);
	} else if ((value = value_of(word, "uds")) != NULL) {
		if (!once(vsock->uds_path != NULL, name, "uds", error))
			return false;
		if (value[0] == '\0' || strlen(value) > VSOCK_PATH_MAX)
			return error_set(error, "%s uds=%s: expected a path of 1 to %d bytes", name,
					 value, VSOCK_PATH_MAX);
		vsock->uds_path = value;
	} else if ((value = value_of(word, "uds-fd")) != NULL) {
		return take_fd(&vsock->uds_fd, name, "uds-fd", value, error);
	} else if ((value = value_of(word, "connect-fd")) != NULL) {
		return take_fd(&vsock->connect_fd, name, "connect-fd", value, error);
	} else {
		return error_set(error, "%s: '%s' is not cid=, uds=, uds-fd= or connect-fd=", name,
				 word);
	}
	return true;
}

bool parse_vsock(struct vsock_config *vsock, const char *name, char *value,
		 struct error_text *error)
{
	char *word;

	*vsock = (struct vsock_config){ .uds_fd = -1, .connect_fd = -1 };
	while ((word = next_word(&value)) != NULL)
		if (!parse_vsock_word(vsock, name, word, error))
			return false;
	if (vsock->guest_cid == 0 ||
	    (vsock->uds_path == NULL && vsock->uds_fd < 0 && vsock->connect_fd < 0))
		return error_set(error, "%s: expected cid=N and uds=PATH, uds-fd=N or connect-fd=N",
				 name);
	if (vsock->uds_path != NULL && vsock->uds_fd >= 0 && vsock->connect_fd >= 0)
		return error_set(error,
				 "%s: uds= is of no use beside uds-fd= and connect-fd=", name);
	return true;
}
