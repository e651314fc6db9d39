/*
 * What the yardsticks share (cepoll/cepoll.c, csendfile/csendfile.c): they listen on a free port of loopback, accept, and serve
 * what one epoll_wait after another finds. Each says what serving is.
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
	EVENTS = 256,          /* events of one wait; more gained nothing */
	MAX_FD = 1 << 16,      /* the table of connections; a descriptor beyond it is closed */
	ACCEPTS_PER_TICK = 64, /* so that a storm of connections does not starve those that exist */
	BACKLOG = 4096,
};

static void refresh(const char *date); /* makes what shows the time again, when a new second has begun */
static void opened(int fd);            /* readies the table for a new connection */
static int serve(int poller, int fd);  /* serves one connection that is ready; 0 when it is to be closed */

static char in[READ_SIZE];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int poller, int op, int fd, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (epoll_ctl(poller, op, fd, &ev) < 0)
		die("epoll_ctl");
}

static void look_at_clock(void)
{
	static time_t shown;
	struct timespec now;
	struct tm tm;
	char date[64];

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec == shown)
		return;
	shown = now.tv_sec;
	gmtime_r(&shown, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	refresh(date);
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
		opened(fd);
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

static void run(void)
{
	struct epoll_event events[EVENTS];
	int listener = listen_loopback();
	int poller = epoll_create1(EPOLL_CLOEXEC);

	if (poller < 0)
		die("epoll_create1");
	signal(SIGPIPE, SIG_IGN);
	watch(poller, EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(poller, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		look_at_clock();
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				accept_some(poller, listener);
			else if (!serve(poller, fd))
				close(fd);
		}
	}
}
