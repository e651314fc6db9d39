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
#include "../yardstick.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { LETTER = 5 }; /* where the name begins in "GET /name" */

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

static void refresh(const char *date)
{
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

static void opened(int fd)
{
	conns[fd].file = NULL;
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

/* Serves one connection that is readable, or writable and owed something. */
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

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		open_file(argv[i]);
	run();
}
