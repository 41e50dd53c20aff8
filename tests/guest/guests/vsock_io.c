/* SPDX-License-Identifier: MIT */
/* A program on the vsock. It listens on
 *   5000  echoes; when the other side has ended, ends too
 *   5001  does not read until it is told to
 *   5002  sends 1 MiB (byte n is n * n >> 8), ends its half, and reads on to the other half's end
 *   5003  takes commands, a line each, and answers each with a line:
 *           "connect PORT COUNT"  opens COUNT connections to the host's port, which echo
 *           "read"                port 5001 reads from now on
 *           "features BITS"       starts the device anew
 *           "end"                 resets the PC
 * All other ports are reset. */
#include "rt/rt.h"
#include "rt/vsock.h"

#define STREAMS_MAX   1400u
#define BUFFER_BYTES  16384u
#define HALF_BYTES    (1u << 20)
#define FIRST_PORT    20000u
#define PORT_ECHO     5000u
#define PORT_SLOW     5001u
#define PORT_HALF     5002u
#define PORT_COMMANDS 5003u

enum state {
	FREE,
	CONNECTING,
	OPEN,
};

struct stream {
	enum state state;
	uint32_t guest_port, host_port, kind; /* the port on which it would listen */
	uint32_t buf_alloc, fwd_cnt, sent;    /* to the host */
	uint32_t received, read, told;        /* from the host */
	uint32_t to_send;                     /* where what is to be sent ends */
	uint32_t shutdown, ended;             /* flags that have come and that were sent */
	uint8_t buffer[BUFFER_BYTES];
};

static struct vsock vsock;
static struct stream streams[STREAMS_MAX];
static uint32_t n_streams; /* how many were ever used */
static uint32_t next_port = FIRST_PORT;
static uint32_t waiting, opened, refused; /* of "connect" */
static struct stream *commander;
static bool slow_reads, restart;
static uint64_t restart_features;

static void send_packet(struct stream *stream, uint16_t op, uint32_t flags, uint32_t length)
{
	struct vsock_packet *packet = vsock_prepare(&vsock);

	if (packet == NULL) {
		print("send FAILED\n");
		guest_reset();
	}
	packet->src_port = stream->guest_port;
	packet->dst_port = stream->host_port;
	packet->op = op;
	packet->flags = flags;
	packet->length = length;
	packet->buf_alloc = BUFFER_BYTES;
	packet->fwd_cnt = stream->told = stream->read;
	if (stream->kind == PORT_HALF) {
		for (uint32_t i = 0, n = stream->sent; i < length; i++, n++)
			packet->data[i] = (uint8_t)(n * n >> 8);
	} else {
		for (uint32_t i = 0; i < length; i++)
			packet->data[i] = stream->buffer[(stream->sent + i) % BUFFER_BYTES];
	}
	stream->sent += length;
	vsock_send(&vsock, packet);
}

static struct stream *find(uint32_t guest_port, uint32_t host_port)
{
	for (uint32_t i = 0; i < n_streams; i++)
		if (streams[i].state != FREE && streams[i].guest_port == guest_port &&
		    streams[i].host_port == host_port)
			return &streams[i];
	return NULL;
}

static struct stream *make(enum state state, uint32_t guest_port, uint32_t host_port, uint32_t kind)
{
	uint32_t i = 0;

	while (i < n_streams && streams[i].state != FREE)
		i++;
	if (i == STREAMS_MAX)
		return NULL;
	if (i == n_streams)
		n_streams++;
	struct stream *stream = &streams[i];
	memset(stream, 0, sizeof(*stream) - BUFFER_BYTES);
	stream->state = state;
	stream->guest_port = guest_port;
	stream->host_port = host_port;
	stream->kind = kind;
	stream->to_send = kind == PORT_HALF ? HALF_BYTES : 0;
	return stream;
}

static uint32_t credit(const struct stream *stream)
{
	uint32_t unread = stream->sent - stream->fwd_cnt;

	return unread < stream->buf_alloc ? stream->buf_alloc - unread : 0;
}

static void end_half(struct stream *stream, uint32_t flags)
{
	if ((stream->ended | flags) == stream->ended)
		return;
	stream->ended |= flags;
	send_packet(stream, VSOCK_SHUTDOWN, stream->ended, 0);
}

/* Sends what of the stream can be sent, and ends it when it is over. */
static void serve(struct stream *stream)
{
	if (stream->state != OPEN)
		return;
	while (stream->sent != stream->to_send && credit(stream) > 0) {
		uint32_t n = stream->to_send - stream->sent;
		n = n < credit(stream) ? n : credit(stream);
		send_packet(stream, VSOCK_RW, 0, n < VSOCK_DATA_MAX ? n : VSOCK_DATA_MAX);
	}
	/* Echoed data has been read when it is sent. */
	if (stream->kind == PORT_ECHO)
		stream->read = stream->sent;
	else if (stream->kind != PORT_SLOW || slow_reads)
		stream->read = stream->received;
	if (stream->read - stream->told >= BUFFER_BYTES / 2)
		send_packet(stream, VSOCK_CREDIT_UPDATE, 0, 0);
	if (stream->kind == PORT_HALF && stream->sent == stream->to_send)
		end_half(stream, VSOCK_SHUTDOWN_SEND);
	if ((stream->shutdown & VSOCK_SHUTDOWN_SEND) && stream->read == stream->received &&
	    stream->sent == stream->to_send) {
		if (stream->kind == PORT_HALF && !(stream->ended & VSOCK_SHUTDOWN_RCV))
			print_number("half received", stream->received);
		end_half(stream, VSOCK_SHUTDOWN_SEND | VSOCK_SHUTDOWN_RCV);
	}
}

static void answer(const char *text)
{
	while (*text != '\0')
		commander->buffer[commander->to_send++ % BUFFER_BYTES] = (uint8_t)*text++;
	serve(commander);
}

static void answer_connected(void)
{
	char text[] = "opened 0000 refused 0000\n";

	for (uint32_t i = 0, n = opened, m = refused; i < 4; i++, n /= 10, m /= 10) {
		text[10 - i] = (char)('0' + n % 10);
		text[23 - i] = (char)('0' + m % 10);
	}
	answer(text);
}

static uint32_t number(const char **at)
{
	uint32_t value = 0;

	while (**at == ' ')
		++*at;
	while (**at >= '0' && **at <= '9')
		value = value * 10 + (uint32_t)(*(*at)++ - '0');
	return value;
}

static bool begins(const char *text, const char *word)
{
	while (*word != '\0')
		if (*text++ != *word++)
			return false;
	return true;
}

static void command(struct stream *stream, struct vsock_packet *packet)
{
	const char *at = (const char *)packet->data;

	packet->data[packet->length < VSOCK_DATA_MAX ? packet->length : VSOCK_DATA_MAX - 1] = 0;
	commander = stream;
	if (begins(at, "connect ")) {
		at += 8;
		uint32_t port = number(&at), count = number(&at);
		opened = refused = 0;
		waiting = count;
		for (; count > 0; count--) {
			struct stream *new = make(CONNECTING, next_port++, port, PORT_ECHO);
			send_packet(new, VSOCK_REQUEST, 0, 0);
		}
	} else if (begins(at, "read")) {
		slow_reads = true;
		answer("ok\n");
	} else if (begins(at, "features ")) {
		at += 9;
		restart = true;
		restart_features = number(&at);
	} else if (begins(at, "end")) {
		guest_reset();
	}
}

static void receive_data(struct stream *stream, struct vsock_packet *packet)
{
	if (stream->received + packet->length - stream->read > BUFFER_BYTES) {
		print("more than the credit FAILED\n");
		guest_reset();
	}
	if (stream->kind == PORT_ECHO)
		for (uint32_t i = 0; i < packet->length; i++)
			stream->buffer[stream->to_send++ % BUFFER_BYTES] = packet->data[i];
	stream->received += packet->length;
	if (stream->kind == PORT_COMMANDS)
		command(stream, packet);
}

static void connected(struct stream *stream, bool ok)
{
	stream->state = ok ? OPEN : FREE;
	*(ok ? &opened : &refused) += 1;
	if (--waiting == 0)
		answer_connected();
}

static void reset_unknown(const struct vsock_packet *packet)
{
	struct stream nobody = { .guest_port = packet->dst_port, .host_port = packet->src_port };

	if (packet->op != VSOCK_RST)
		send_packet(&nobody, VSOCK_RST, 0, 0);
}

static void packet_of_stream(struct stream *stream, struct vsock_packet *packet)
{
	stream->buf_alloc = packet->buf_alloc;
	stream->fwd_cnt = packet->fwd_cnt;
	if (packet->op == VSOCK_RST && stream->state == CONNECTING)
		connected(stream, false);
	else if (packet->op == VSOCK_RST)
		stream->state = FREE;
	else if (packet->op == VSOCK_RESPONSE && stream->state == CONNECTING)
		connected(stream, true);
	else if (packet->op == VSOCK_RW)
		receive_data(stream, packet);
	else if (packet->op == VSOCK_SHUTDOWN)
		stream->shutdown |= packet->flags;
	else if (packet->op == VSOCK_CREDIT_REQUEST)
		send_packet(stream, VSOCK_CREDIT_UPDATE, 0, 0);
	serve(stream);
}

static void handle(struct vsock_packet *packet)
{
	struct stream *stream = find(packet->dst_port, packet->src_port);

	if (packet->src_cid != VSOCK_HOST_CID || packet->dst_cid != vsock.cid ||
	    packet->length > VSOCK_DATA_MAX) {
		print("packet FAILED\n");
		return;
	}
	if (stream == NULL && packet->op == VSOCK_REQUEST && packet->dst_port >= PORT_ECHO &&
	    packet->dst_port <= PORT_COMMANDS)
		stream = make(OPEN, packet->dst_port, packet->src_port, packet->dst_port);
	if (stream == NULL) {
		reset_unknown(packet);
		return;
	}
	if (packet->op == VSOCK_REQUEST)
		send_packet(stream, VSOCK_RESPONSE, 0, 0);
	packet_of_stream(stream, packet);
}

void guest_main(const uint8_t *zero_page)
{
	restart_features = cmdline_number(zero_page, "features=", 0);
	restart = true;
	for (;;) {
		struct vsock_packet *packet;
		if (restart) {
			restart = false;
			memset(streams, 0, sizeof(streams));
			print_check("start", vsock_start(&vsock, 0, restart_features));
			print_number("cid", vsock.cid);
			print("ready\n");
		}
		packet = vsock_receive(&vsock);
		if (packet != NULL) {
			handle(packet);
			vsock_done(&vsock, packet);
		} else if (slow_reads) {
			for (uint32_t i = 0; i < n_streams; i++)
				if (streams[i].kind == PORT_SLOW)
					serve(&streams[i]);
		}
	}
}
