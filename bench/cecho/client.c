/*
 * The load of `bench echo`: a number of connections, each of which sends a message, waits until it has come back whole, and
 * sends the next. It fails when a connection is lost or a message comes back changed. It counts in wrk's words.
 *
 * usage: client PORT CONNECTIONS SIZE SECONDS
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
	if (write(fd, message, size) != size)
		die("write");
	missing[fd] = size;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event events[EVENTS];
	int one = 1, ep = epoll_create1(0);

	if (argc != 5)
		die("usage: client PORT CONNECTIONS SIZE SECONDS");
	sa.sin_port = htons(atoi(argv[1]));
	int connections = atoi(argv[2]), size = atoi(argv[3]);
	double seconds = atof(argv[4]), begin = now();
	unsigned long done = 0;

	for (int i = 0; i < size; i++)
		message[i] = 'a' + i % 26;
	for (int i = 0; i < connections; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

		if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
		    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
			die("connect");
		send_message(fd, size);
	}
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
