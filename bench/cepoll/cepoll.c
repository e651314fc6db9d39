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
#include "../yardstick.h"

enum {
	OUT_SIZE = 256 << 10, /* answers of one read; when it is full it is written and filled again */
	HEAD_END = 4,         /* strlen("\r\n\r\n") */
};

/* All that is remembered of a connection: how many bytes of "\r\n\r\n" its last read ended with. */
static unsigned char matched[MAX_FD];

static char out[OUT_SIZE];
static char answer[512];
static size_t answer_len;

static void refresh(const char *date)
{
	answer_len = snprintf(answer, sizeof answer,
			      "HTTP/1.1 200 OK\r\n"
			      "Date: %s\r\n"
			      "Content-Length: 13\r\n"
			      "Content-Type: text/plain\r\n"
			      "\r\n"
			      "Hello, World!",
			      date);
}

static void opened(int fd)
{
	matched[fd] = 0;
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

static int serve(int poller, int fd)
{
	ssize_t n = read(fd, in, READ_SIZE);

	(void)poller;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return 0;
	return send_answers(fd, count_heads(in, n, &matched[fd]));
}

int main(void)
{
	run();
}
