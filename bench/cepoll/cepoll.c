/*
 * cepoll: the yardstick. The least that a single-threaded epoll server can do and still answer HTTP requests:
 * wait, one read, find the ends of the heads, append one answer for each, one write. It parses nothing, so what it
 * costs is what the kernel's TCP costs; every other server is reported as a ratio to it.
 *
 * What it leaves out, knowingly: request bodies, errors, timeouts, and peers that do not read what they asked for
 * (a write that comes back short ends the connection; the load that it serves always reads, and the tool fails on
 * a lost connection).
 *
 * Its answer has the fields and the length of microhttp's own, so that both move the same number of bytes.
 *
 * usage: cepoll            listens on a free port of 127.0.0.1 and prints "listening on HOST:PORT"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	READ_SIZE = 64 << 10,  /* one buffer for all connections: more than any load here sends at once */
	OUT_SIZE = 256 << 10,  /* answers of one read; when it is full it is written and filled again */
	EVENTS = 256,          /* events of one wait; more gained nothing */
	MAX_FD = 1 << 16,      /* the table of connections; a descriptor beyond it is closed */
	ACCEPTS_PER_TICK = 64, /* so that a storm of connections does not starve those that exist */
	BACKLOG = 4096,
	HEAD_END = 4,          /* strlen("\r\n\r\n") */
};

/* All that is remembered of a connection: how many bytes of "\r\n\r\n" its last read ended with. */
static unsigned char matched[MAX_FD];

static char in[READ_SIZE];
static char out[OUT_SIZE];
static char answer[512];
static size_t answer_len;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Makes the answer again when a new second has begun. */
static void refresh_answer(void)
{
	static time_t made;
	struct timespec now;
	struct tm tm;
	char date[64];

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec == made)
		return;
	made = now.tv_sec;
	gmtime_r(&made, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	answer_len = snprintf(answer, sizeof answer,
			      "HTTP/1.1 200 OK\r\n"
			      "Date: %s\r\n"
			      "Content-Length: 13\r\n"
			      "Content-Type: text/plain\r\n"
			      "\r\n"
			      "Hello, World!",
			      date);
}

/* The number of leading bytes of "\r\n\r\n" that are matched once c has followed `have` of them. */
static unsigned step(unsigned have, char c)
{
	static const char end[] = "\r\n\r\n";

	if (c == end[have])
		return have + 1;
	return c == '\r';
}

/*
 * Counts the heads that end in p[0..n). A head end may be split over reads, so the first bytes and the last ones go
 * through step; all between is memmem's.
 */
static size_t count_heads(const char *p, size_t n, unsigned char *have)
{
	const char *end = p + n, *q;
	unsigned state = *have;
	size_t heads = 0;

	while (state > 0 && p < end) {
		state = step(state, *p++);
		if (state == HEAD_END) {
			heads++;
			state = 0;
		}
	}
	while ((q = memmem(p, end - p, "\r\n\r\n", HEAD_END)) != NULL) {
		heads++;
		p = q + HEAD_END;
	}
	if (end - p >= HEAD_END)
		p = end - (HEAD_END - 1);
	while (p < end)
		state = step(state, *p++);
	*have = state;
	return heads;
}

static int write_all(int fd, size_t n)
{
	return write(fd, out, n) == (ssize_t)n;
}

/* Writes n answers, all in one write unless they outgrow the buffer. */
static int send_answers(int fd, size_t n)
{
	size_t used = 0;

	while (n-- > 0) {
		if (used + answer_len > OUT_SIZE) {
			if (!write_all(fd, used))
				return 0;
			used = 0;
		}
		memcpy(out + used, answer, answer_len);
		used += answer_len;
	}
	return used == 0 || write_all(fd, used);
}

/* Serves one readable connection; 0 when it is to be closed. */
static int serve(int fd)
{
	ssize_t n = read(fd, in, READ_SIZE);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return 0;
	return send_answers(fd, count_heads(in, n, &matched[fd]));
}

static void watch(int poller, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void accept_some(int poller, int listener)
{
	int one = 1;

	for (int i = 0; i < ACCEPTS_PER_TICK; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (fd >= MAX_FD) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		matched[fd] = 0;
		watch(poller, fd);
	}
}

static int listen_loopback(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		die("listen");
	printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return fd;
}

int main(void)
{
	struct epoll_event events[EVENTS];
	int listener = listen_loopback();
	int poller = epoll_create1(EPOLL_CLOEXEC);

	if (poller < 0)
		die("epoll_create1");
	signal(SIGPIPE, SIG_IGN);
	watch(poller, listener);
	for (;;) {
		int n = epoll_wait(poller, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		refresh_answer();
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				accept_some(poller, listener);
			else if (!serve(fd))
				close(fd);
		}
	}
}
