/* SPDX-License-Identifier: Apache-2.0
 * Messages with descriptors, and listening sockets that change hands. */
#include "base/mem.h"
#include "net/fdpass.h"
#include "net/listener.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_NS INT64_C(5000000000)

static char dir[64], path[96];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/tulle-fdpass-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/door", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

/* Both ends of one connection; the door stays open in *ret_door. */
static int meet(int *ret_door, int *ret_far)
{
    uid_t user = 12345;
    *ret_door = fdpass_listen(path, NULL);
    assert_true(*ret_door >= 0);
    assert_int_equal(fdpass_accept(*ret_door, &user), ERR_BUSY);
    *ret_far = fdpass_connect(path, WAIT_NS, NULL);
    assert_true(*ret_far >= 0);
    int near = fdpass_accept(*ret_door, &user);
    assert_true(near >= 0);
    assert_int_equal(user, geteuid());
    return near;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_messages_arrive_whole(void **state)
{
    (void)state;
    int door, far, pipes[2];
    struct fdpass_msg m;
    int near = meet(&door, &far);
    assert_int_equal(fdpass_recv(near, &m, NULL), ERR_BUSY);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(fdpass_send(far, SV("two"), pipes, 2, NULL), 0);
    assert_int_equal(fdpass_send(far, SV("none"), NULL, 0, NULL), 0);
    assert_int_equal(fdpass_recv(near, &m, NULL), 0);
    assert_memory_equal(m.text, "two", m.text_len);
    assert_int_equal(m.fds_len, 2);
    assert_int_equal(write(m.fds[1], "x", 1), 1);
    char byte;
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
    int first = m.fds[0];
    fdpass_drop(&m);
    assert_false(is_open(first));
    assert_int_equal(fdpass_recv(near, &m, NULL), 0);
    assert_int_equal(m.text_len, 4);
    assert_int_equal(m.fds_len, 0);
    close(far);
    assert_int_equal(fdpass_recv(near, &m, NULL), ERR_CLOSED);
    close(near), close(door), close(pipes[0]), close(pipes[1]);
}

static void test_too_much_is_refused(void **state)
{
    (void)state;
    char text[FDPASS_TEXT_BYTES + 1] = { 0 };
    int door, far, fds[FDPASS_MAX];
    struct fdpass_msg m;
    struct err err = { 0 };
    int near = meet(&door, &far);
    for (size_t i = 0; i < FDPASS_MAX; i++)
        fds[i] = far;
    assert_int_equal(fdpass_send(far, SV("full"), fds, FDPASS_MAX, NULL), 0);
    assert_int_equal(fdpass_recv(near, &m, NULL), 0);
    assert_int_equal(m.fds_len, FDPASS_MAX);
    fdpass_drop(&m);
    assert_int_equal(send(far, text, sizeof(text), 0), sizeof(text));
    assert_int_equal(fdpass_recv(near, &m, &err), ERR_LIMIT);
    assert_non_null(strstr(err.why, "256 bytes"));
    close(far), close(near), close(door);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct err err = { 0 };
    char longer[200];
    (void)unlink(path);
    assert_int_equal(fdpass_connect(path, WAIT_NS, NULL), ERR_NOT_FOUND);
    int door = fdpass_listen(path, NULL);
    close(door); /* the name stays, its listener is gone */
    assert_int_equal(fdpass_connect(path, WAIT_NS, NULL), ERR_NOT_FOUND);
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(fdpass_listen(longer, &err), ERR_USAGE);
    assert_non_null(strstr(err.why, "199 bytes"));
    assert_int_equal(fdpass_listen("/no/such/folder/door", NULL), ERR_IO);
    assert_int_equal(fdpass_listen("", NULL), ERR_USAGE);
}

/* The next one takes the name over while the one before still listens. */
static void test_a_door_in_place_of_a_door(void **state)
{
    (void)state;
    struct stat st;
    uid_t user;
    int first = fdpass_listen(path, NULL), second = fdpass_listen(path, NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int far = fdpass_connect(path, WAIT_NS, NULL);
    assert_int_equal(fdpass_accept(first, &user), ERR_BUSY);
    int near = fdpass_accept(second, &user);
    assert_true(far >= 0 && near >= 0);
    close(first), close(second), close(far), close(near);
}

struct count {
    int n;
    struct loop *loop;
};

static void count_one(void *owner, struct listener *l, int fd, const struct addr *peer)
{
    struct count *c = owner;
    (void)peer;
    c->n++;
    close(fd);
    listener_conn_gone(l);
    loop_stop(c->loop);
}

static void stop_loop(struct timer *t)
{
    loop_stop(t->loop);
}

static void turn(struct loop *l)
{
    struct timer end;
    timer_init(&end, l, stop_loop);
    timer_after(&end, 20000000);
    loop_run(l);
    timer_stop(&end);
}

static int call(uint16_t port)
{
    struct addr to;
    assert_int_equal(addr_parse(SV("127.0.0.1"), port, &to, NULL), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &to.sa, addr_len(&to)), 0);
    return fd;
}

static void test_sockets_change_hands(void **state)
{
    (void)state;
    struct count old = { 0, loop_new(NULL) }, new = { 0, loop_new(NULL) };
    struct listener_conf conf = { .host = SV("127.0.0.1") };
    int fds[4], null = open("/dev/null", O_RDONLY);
    struct listener *before = listener_open(old.loop, &conf, count_one, &old, NULL);
    conf.port = listener_port(before);
    assert_int_equal(listeners_fds(old.loop, fds, 4), 1);
    assert_int_equal(listeners_fds(old.loop, fds, 0), 0);
    int passed[] = { dup(fds[0]), null, dup(fds[0]) };
    assert_int_equal(listeners_inherit(new.loop, passed, 3), 2);
    assert_false(is_open(null));
    listeners_set_deaf(old.loop, true);
    int waits = call(conf.port);
    turn(old.loop);
    assert_int_equal(old.n, 0);
    struct listener *after = listener_open(new.loop, &conf, count_one, &new, NULL);
    assert_non_null(after);
    assert_int_equal(listener_port(after), conf.port);
    listeners_disinherit(new.loop);
    assert_false(is_open(passed[0]) && is_open(passed[2])); /* one of them was not needed */
    turn(new.loop);
    assert_int_equal(new.n, 1);
    listener_close(after);
    int again = call(conf.port); /* the old process takes it back */
    listeners_set_deaf(old.loop, false);
    turn(old.loop);
    assert_int_equal(old.n, 1);
    listener_close(before);
    close(waits), close(again);
    loop_free(old.loop);
    loop_free(new.loop);
}

static void on_ready(void *owner)
{
    ++*(int *)owner;
}

static void test_watching_without_memory(void **state)
{
    (void)state;
    struct loop *l = loop_new(NULL);
    int pipes[2], n = 0;
    assert_int_equal(pipe(pipes), 0);
    mem_fail_nth(1);
    assert_null(fd_watch_new(l, dup(pipes[0]), on_ready, &n, NULL));
    mem_fail_nth(0);
    struct fd_watch *w = fd_watch_new(l, dup(pipes[0]), on_ready, &n, NULL);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    turn(l);
    assert_true(n > 0);
    assert_null(fd_watch_free(w));
    assert_null(fd_watch_free(NULL));
    n = 0;
    turn(l);
    assert_int_equal(n, 0);
    loop_free(l);
    close(pipes[0]), close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_arrive_whole),
        cmocka_unit_test(test_too_much_is_refused),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_a_door_in_place_of_a_door),
        cmocka_unit_test(test_sockets_change_hands),
        cmocka_unit_test(test_watching_without_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
