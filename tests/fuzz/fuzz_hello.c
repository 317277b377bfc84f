/* fuzz_hello.c - any first bytes: what is decided stays decided when more come, and a ClientHello reads
 * the same however it is spread over records. */
#include "proxy/detect.h"
#include "proxy/hello.h"
#include <stdlib.h>

static enum hello_state read_copy(const uint8_t *p, size_t n, struct hello *ret, char *room)
{
    if (n)
        memcpy(room, p, n);
    return hello_read(room, n, ret);
}

static void check_text(const struct hello *h)
{
    size_t len = strlen(h->sni);
    INVARIANT(len <= SNI_MAX);
    for (size_t i = 0; i < len; i++)
        INVARIANT(h->sni[i] > ' ' && h->sni[i] < 0x7f && !(h->sni[i] >= 'A' && h->sni[i] <= 'Z'));
}

/* The message of a record, again in records of `each` bytes. */
static size_t spread(const uint8_t *message, size_t n, size_t each, uint8_t *to)
{
    size_t len = 0;
    for (size_t at = 0; at < n; at += each) {
        size_t part = MIN(each, n - at);
        const uint8_t header[] = { 22, 3, 1, (uint8_t)(part >> 8), (uint8_t)part };
        memcpy(to + len, header, sizeof(header));
        memcpy(to + len + sizeof(header), message + at, part);
        len += sizeof(header) + part;
    }
    return len;
}

static void check_spread(const uint8_t *p, size_t n, const struct hello *whole, char *room)
{
    size_t body = (size_t)p[3] << 8 | p[4], want = 4 + ((size_t)p[6] << 16 | p[7] << 8 | p[8]);
    if (n < 9 || want > body || want * 6 > HELLO_MAX)
        return; /* it came in several records, or would not fit as such */
    uint8_t *again = malloc(want * 6);
    struct hello h;
    INVARIANT(again != NULL);
    for (size_t each = 1; each <= want; each = each * 2 + 1) {
        size_t len = spread(p + 5, want, each, again);
        INVARIANT(read_copy(again, len, &h, room) == HELLO_DONE);
        INVARIANT(strcmp(h.sni, whole->sni) == 0 && h.is_mesh == whole->is_mesh);
        INVARIANT(h.is_http == whole->is_http);
        INVARIANT(read_copy(again, len - 1, &h, room) == HELLO_MORE);
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct hello h, less;
    char *room = malloc(n + 1), *other = malloc(HELLO_MAX);
    INVARIANT(room && other);
    enum hello_state s = read_copy(p, n, &h, room);
    enum speech speech = detect_speech(sv_of(p, n));
    check_text(&h);
    INVARIANT(n < HELLO_MAX || s != HELLO_MORE);
    INVARIANT(n < DETECT_MAX || speech != SPEECH_UNDECIDED);
    for (size_t cut = n / 2; cut; cut /= 2) {
        enum speech before = detect_speech(sv_of(p, cut));
        INVARIANT(before == SPEECH_UNDECIDED || before == speech);
        char *part = malloc(cut);
        INVARIANT(part != NULL);
        enum hello_state was = read_copy(p, cut, &less, part);
        INVARIANT(was == HELLO_MORE || was == s);
        free(part);
    }
    if (s == HELLO_DONE) {
        INVARIANT(speech == SPEECH_TLS);
        check_spread(p, n, &h, other);
    }
    free(room);
    free(other);
    return 0;
}
