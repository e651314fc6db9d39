/*
 * The load of `bench echo` and `bench ws`: a number of connections, each of which sends a message, waits until it has come back whole, and
 * sends the next. It fails when a connection is lost or a message comes back changed. It counts in wrk's words.
 *
 * With a path, the connections are WebSockets that are opened at that path: a message is a binary frame, of at most 125 bytes.
 *
 * usage: client PORT CONNECTIONS SIZE SECONDS [PATH]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BYTES = 64 << 10, EVENTS = 256, MAX_FD = 1 << 16 };

static char message[MOST_BYTES], buf[MOST_BYTES];
static char sent[MOST_BYTES]; /* the message as it is sent, and its length; message is what comes back */
static int sent_size;
static int missing[MAX_FD]; /* what has not come back yet */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void send_message(int fd, int size)
{
	if (write(fd, sent, sent_size) != sent_size)
		die("write");
	missing[fd] = size;
}

/* frame makes frames of the message: masked as it is sent, unmasked as it comes back. It returns the length of the latter. */
static int frame(int size)
{
	static const unsigned char key[4] = {0x12, 0x9a, 0x5f, 0xe1};

	if (size > 125)
		die("a message of more than 125 bytes");
	sent[0] = (char)0x82;
	sent[1] = (char)(0x80 | size);
	memcpy(sent + 2, key, 4);
	for (int i = 0; i < size; i++)
		sent[6 + i] = message[i] ^ key[i & 3];
	sent_size = size + 6;
	memmove(message + 2, message, size);
	message[0] = (char)0x82;
	message[1] = (char)size;
	return size + 2;
}

/* handshake opens a WebSocket. The answer's head is read byte by byte, up to its end. */
static void handshake(int fd, const char *path)
{
	char request[512], end[4] = {0};
	int n = snprintf(request, sizeof request,
			 "GET /%s HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
			 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path);

	if (write(fd, request, n) != n)
		die("write");
	for (n = 0; memcmp(end, "\r\n\r\n", 4) != 0; n++) {
		memmove(end, end + 1, 3);
		if (read(fd, end + 3, 1) != 1)
			die("read");
		if (n == 8 && end[3] != ' ')
			die("the handshake");
		if (n == 9 && end[3] != '1') /* of 101 */
			die("the handshake");
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event events[EVENTS];
	int one = 1, ep = epoll_create1(0);

	if (argc != 5 && argc != 6)
		die("usage: client PORT CONNECTIONS SIZE SECONDS [PATH]");
	sa.sin_port = htons(atoi(argv[1]));
	int connections = atoi(argv[2]), size = atoi(argv[3]);
	double seconds = atof(argv[4]), begin;
	unsigned long done = 0;

	for (int i = 0; i < size; i++)
		message[i] = 'a' + i % 26;
	const char *path = argc == 6 && *argv[5] ? argv[5] : NULL;
	if (path) {
		size = frame(size);
	} else {
		memcpy(sent, message, size);
		sent_size = size;
	}
	for (int i = 0; i < connections; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

		if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
		    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
			die("connect");
		if (path)
			handshake(fd, path);
		send_message(fd, size);
	}
	begin = now();
	while (now() - begin < seconds) {
		int n = epoll_wait(ep, events, EVENTS, 100);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t got = read(fd, buf, missing[fd]);

			if (got <= 0)
				die("read");
			if (memcmp(buf, message + size - missing[fd], got) != 0)
				die("a message came back changed");
			missing[fd] -= got;
			if (missing[fd] == 0) {
				done++;
				send_message(fd, size);
			}
		}
	}
	printf("%lu requests in %.3fs,\n", done, now() - begin);
	return 0;
}
