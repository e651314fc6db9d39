/*
 * The yardstick of `bench echo`: the least that a single-threaded epoll server can do and still echo. Wait, one read,
 * one write. A write that comes back short ends the connection: the load that it serves always reads.
 *
 * usage: server            listens on a free port of 127.0.0.1 and prints "listening on HOST:PORT"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 64 << 10, EVENTS = 256, BACKLOG = 4096 };

static char buf[READ_SIZE];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sa;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		die("listen");
	printf("listening on 127.0.0.1:%d\n", ntohs(sa.sin_port));
	fflush(stdout);
	return fd;
}

static void watch(int ep, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

int main(void)
{
	struct epoll_event events[EVENTS];
	int listener = listen_on_loopback(), ep = epoll_create1(0);

	signal(SIGPIPE, SIG_IGN);
	watch(ep, listener);
	for (;;) {
		int n = epoll_wait(ep, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listener) {
				int conn = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

				if (conn >= 0)
					watch(ep, conn);
				continue;
			}
			ssize_t got = read(fd, buf, sizeof buf);

			if (got < 0 && errno == EAGAIN)
				continue;
			if (got <= 0 || write(fd, buf, got) != got)
				close(fd);
		}
	}
}
