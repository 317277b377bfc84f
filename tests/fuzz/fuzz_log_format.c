/* A format that is taken makes one line without control characters, twice the same; one that is not is
 * refused with a place inside it. */
#include "../unit/proxy/exchange_fixture.h"
#include "proxy/telemetry/log_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) one = { 0 };
    AUTO_DONE(buf) two = { 0 };
    struct log_format f;
    struct err err = { 0 };
    struct exchange x = exchange_fixture();
    struct sv text = sv_of(p, MIN(n, (size_t)4096));
    if (log_format_compile(text, &mem, &f, &err) < 0) {
        INVARIANT(err.code == ERR_USAGE && err.at <= text.len && err.why[0]);
        return 0;
    }
    x.call.path = SV("/a\nb\x7f");
    log_format_put(&f, &x, &one);
    log_format_put(&f, &x, &two);
    INVARIANT(sv_eq(buf_sv(&one), buf_sv(&two)));
    for (size_t i = 0; i < one.len; i++) {
        bool is_ours = text.len && memchr(text.p, buf_sv(&one).p[i], text.len);
        INVARIANT((unsigned char)buf_sv(&one).p[i] >= 0x20 || is_ours);
    }
    return 0;
}
