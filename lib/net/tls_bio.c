/* tls_bio.c - the socket under TLS, with nothing between OpenSSL and the system calls.
 *
 * OpenSSL's own socket BIO asks for kernel TLS (which we never turn on) a dozen times a request through two
 * layers of calls, and it writes with write(), which raises SIGPIPE. This one reads, writes, says when to wait
 * and where the stream ended; everything else it is asked is no. The descriptor stays the connection's. */
#include "tls_priv.h"
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

static BIO_METHOD *method; /* made once, for all threads; never changes */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int fd_of(BIO *b)
{
    return (int)(intptr_t)BIO_get_data(b);
}

/* What a system call's answer means to OpenSSL. */
static int judge(ssize_t n, size_t *ret_bytes)
{
    *ret_bytes = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static bool is_wait(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static int bio_read(BIO *b, char *to, size_t bytes, size_t *ret_bytes)
{
    ssize_t n;
    do {
        n = recv(fd_of(b), to, bytes, 0);
    } while (n < 0 && errno == EINTR);
    BIO_clear_retry_flags(b);
    if (is_wait(n))
        BIO_set_retry_read(b);
    else if (n == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    return judge(n, ret_bytes);
}

static int bio_write(BIO *b, const char *from, size_t bytes, size_t *ret_bytes)
{
    ssize_t n;
    do {
        n = send(fd_of(b), from, bytes, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    BIO_clear_retry_flags(b);
    if (is_wait(n))
        BIO_set_retry_write(b);
    return judge(n, ret_bytes);
}

static long bio_ctrl(BIO *b, int what, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (what == BIO_CTRL_EOF)
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return what == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
    int type = BIO_get_new_index();
    BIO_METHOD *m = type < 0
                        ? NULL
                        : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "socket");
    bool is_ok = m && BIO_meth_set_read_ex(m, bio_read) && BIO_meth_set_write_ex(m, bio_write) &&
                 BIO_meth_set_ctrl(m, bio_ctrl);
    if (is_ok)
        method = m;
    else
        BIO_meth_free(m);
}

bool tls_use_socket(SSL *ssl, int fd)
{
    (void)pthread_once(&once, make_method);
    BIO *b = method ? BIO_new(method) : NULL;
    if (!b)
        return false;
    BIO_set_data(b, (void *)(intptr_t)fd);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    return true;
}
