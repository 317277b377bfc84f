/* SPDX-License-Identifier: Apache-2.0
 * detect.c - tells TLS, HTTP/1 and HTTP/2 from everything else by the first bytes.
 *
 * Each of the three is looked for with the strictness that keeps others out: a TLS record must hold a
 * ClientHello, HTTP/2 must send its whole preface, and a request line must end in HTTP/1.x, because
 * "GET key" is also a command of Redis, and "OPTIONS sip:..." one of SIP. So a decision may need the
 * whole line; a line longer than DETECT_MAX that looked right that far is one. */
#include "proxy/detect.h"

#define PREFACE    SV("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
#define METHOD_MAX 32 /* the longest registered one, UPDATEREDIRECTREF, has 17 */

static const struct named {
    const char *name;
    enum port_protocol protocol;
} names[] = {
    { "http", PORT_HTTP },
    { "http2", PORT_HTTP2 },
    { "grpc", PORT_GRPC },
    { "grpc-web", PORT_HTTP },
    { "tls", PORT_TLS },
    { "https", PORT_TLS },
    { "tcp", PORT_TCP },
    { "mongo", PORT_TCP },
    { "mysql", PORT_TCP },
    { "redis", PORT_TCP },
    { "postgres", PORT_TCP },
    { "postgresql", PORT_TCP },
    { "amqp", PORT_TCP },
    { "kafka", PORT_TCP },
    { "smtp", PORT_TCP },
    { "imap", PORT_TCP },
    { "pop3", PORT_TCP },
    { "ftp", PORT_TCP },
    { "ssh", PORT_TCP },
    { "ldap", PORT_TCP },
    { "kubernetes.io/h2c", PORT_HTTP2 },
    { "kubernetes.io/ws", PORT_HTTP },
    { "kubernetes.io/wss", PORT_TLS },
    { "hbone", PORT_TLS },
};

static enum port_protocol find(struct sv name)
{
    for (size_t i = 0; i < NELEMS(names); i++)
        if (sv_eq_nocase(name, sv_z(names[i].name)))
            return names[i].protocol;
    return PORT_UNNAMED;
}

enum port_protocol port_protocol_named(struct sv protocol)
{
    return find(protocol);
}

enum port_protocol port_protocol_of(struct sv app_protocol, struct sv name)
{
    struct sv web = SV("grpc-web");
    if (app_protocol.len)
        return find(app_protocol);
    if (sv_eq_nocase(sv_sub(name, 0, web.len), web) &&
        (name.len == web.len || name.p[web.len] == '-'))
        return PORT_HTTP;
    return find(sv_sub(name, 0, sv_index(name, '-')));
}

const char *port_protocol_text(enum port_protocol p)
{
    static const char *const texts[PORT_PROTOCOLS_LEN] = {
        [PORT_UNNAMED] = "unnamed", [PORT_HTTP] = "http", [PORT_HTTP2] = "http2",
        [PORT_GRPC] = "grpc",       [PORT_TLS] = "tls",   [PORT_TCP] = "tcp",
    };
    return p < PORT_PROTOCOLS_LEN ? texts[p] : "unnamed";
}

/* Handshake record, version 3.x whatever x is, some length, and in it a ClientHello. */
static enum speech look_for_tls(struct sv in)
{
    const uint8_t *b = (const uint8_t *)in.p;
    if (in.len > 1 && b[1] != 3)
        return SPEECH_OTHER;
    if (in.len > 5)
        return b[5] == 1 ? SPEECH_TLS : SPEECH_OTHER;
    return SPEECH_UNDECIDED;
}

/* RFC 9110 5.6.2 */
static bool is_tchar(char c)
{
    bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return is_alnum || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* in begins at the version's place. */
static enum speech look_for_version(struct sv in)
{
    struct sv want = SV("HTTP/1.");
    size_t n = MIN(in.len, want.len);
    if (n && memcmp(in.p, want.p, n) != 0)
        return SPEECH_OTHER;
    if (in.len <= want.len)
        return SPEECH_UNDECIDED;
    return in.p[want.len] >= '0' && in.p[want.len] <= '9' ? SPEECH_HTTP1 : SPEECH_OTHER;
}

static enum speech look_for_request(struct sv in, bool is_all)
{
    size_t at = 0;
    while (at < in.len && at < METHOD_MAX && is_tchar(in.p[at]))
        at++;
    if (at == in.len)
        return SPEECH_UNDECIDED;
    if (at == 0 || in.p[at] != ' ')
        return SPEECH_OTHER;
    size_t target = ++at;
    while (at < in.len && (unsigned char)in.p[at] > ' ' && in.p[at] != 0x7f)
        at++;
    if (at == in.len)
        return is_all ? SPEECH_HTTP1 : SPEECH_UNDECIDED;
    if (at == target || in.p[at] != ' ')
        return SPEECH_OTHER;
    return look_for_version(sv_from(in, at + 1));
}

enum speech detect_speech(struct sv first)
{
    struct sv in = sv_sub(first, 0, DETECT_MAX), preface = PREFACE;
    bool is_all = first.len >= DETECT_MAX;
    if (in.len && (uint8_t)in.p[0] == 0x16)
        return look_for_tls(in);
    size_t n = MIN(in.len, preface.len);
    if (n && memcmp(in.p, preface.p, n) == 0)
        return n == preface.len ? SPEECH_HTTP2 : SPEECH_UNDECIDED;
    /* Servers should ignore an empty line before a request (RFC 9112 2.2); we do one. */
    if (in.len && in.p[0] == '\r' && (in.len == 1 || in.p[1] == '\n'))
        in = sv_from(in, 2);
    enum speech s = look_for_request(in, is_all);
    return s == SPEECH_UNDECIDED && is_all ? SPEECH_OTHER : s;
}
