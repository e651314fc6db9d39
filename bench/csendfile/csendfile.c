/*
 * csendfile: the yardstick of static files. The least that a single-threaded epoll server can do and still send a file
 * for each request: wait, one read, the head by send(MSG_MORE), the content by sendfile, EPOLLOUT for what the socket does not
 * take. The files are open before the first request.
 *
 * What it leaves out, knowingly: parsing (the first letter of the name chooses the file), pipelining, errors, time-outs,
 * conditions and ranges. Its head has the fields and about the length of microhttp's own.
 *
 * usage: csendfile FILE...  listens on a free port of 127.0.0.1 and prints "listening on HOST:PORT". The files are told apart
 *                           by the first letter of their names.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	READ_SIZE = 64 << 10,
	EVENTS = 256,
	MAX_FD = 1 << 16,
	ACCEPTS_PER_TICK = 64,
	BACKLOG = 4096,
	LETTER = 5, /* where the name begins in "GET /name" */
};

/* A file that is served, by the first letter of its name. */
struct file {
	int fd;
	off_t size;
	char head[512];
	size_t head_len;
};

/* What a connection still has to send. */
struct conn {
	struct file *file; /* NULL when nothing is owed */
	off_t off;
};

static struct file files[256];
static struct conn conns[MAX_FD];
static char in[READ_SIZE];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void open_file(const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct file *f = &files[(unsigned char)name[0]];
	struct stat st;

	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		die(path);
	f->size = st.st_size;
}

/* Makes the heads again when a new second has begun. */
static void refresh_heads(void)
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
	for (int i = 0; i < 256; i++)
		if (files[i].size > 0)
			files[i].head_len = snprintf(files[i].head, sizeof files[i].head,
						     "HTTP/1.1 200 OK\r\n"
						     "Date: %s\r\n"
						     "Content-Length: %lld\r\n"
						     "Content-Type: application/octet-stream\r\n"
						     "Last-Modified: %s\r\n"
						     "ETag: \"0123456789abcdef-10000\"\r\n"
						     "Accept-Ranges: bytes\r\n"
						     "X-Content-Type-Options: nosniff\r\n"
						     "\r\n",
						     date, (long long)files[i].size, date);
}

static void watch(int poller, int op, int fd, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (epoll_ctl(poller, op, fd, &ev) < 0)
		die("epoll_ctl");
}

/* Sends what the socket takes of the file. Returns 0 when the connection is to be closed. */
static int send_file(int poller, int fd, int waited)
{
	struct conn *c = &conns[fd];

	while (c->off < c->file->size) {
		ssize_t n = sendfile(fd, c->file->fd, &c->off, c->file->size - c->off);

		if (n < 0 && errno == EAGAIN) {
			if (!waited)
				watch(poller, EPOLL_CTL_MOD, fd, EPOLLOUT);
			return 1;
		}
		if (n <= 0)
			return 0;
	}
	c->file = NULL;
	if (waited)
		watch(poller, EPOLL_CTL_MOD, fd, EPOLLIN);
	return 1;
}

/* Serves one connection that is readable, or writable and owed something. Returns 0 when it is to be closed. */
static int serve(int poller, int fd)
{
	struct conn *c = &conns[fd];
	ssize_t n;

	if (c->file != NULL)
		return send_file(poller, fd, 1);
	n = read(fd, in, READ_SIZE);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n <= LETTER || files[(unsigned char)in[LETTER]].size == 0)
		return 0;
	c->file = &files[(unsigned char)in[LETTER]];
	c->off = 0;
	if (send(fd, c->file->head, c->file->head_len, MSG_MORE) != (ssize_t)c->file->head_len)
		return 0;
	return send_file(poller, fd, 0);
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
		conns[fd].file = NULL;
		watch(poller, EPOLL_CTL_ADD, fd, EPOLLIN);
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

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int poller = epoll_create1(EPOLL_CLOEXEC);
	int listener;

	if (poller < 0)
		die("epoll_create1");
	for (int i = 1; i < argc; i++)
		open_file(argv[i]);
	signal(SIGPIPE, SIG_IGN);
	listener = listen_loopback();
	watch(poller, EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(poller, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		refresh_heads();
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				accept_some(poller, listener);
			else if (!serve(poller, fd))
				close(fd);
		}
	}
}
