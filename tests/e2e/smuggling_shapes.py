"""smuggling_shapes.py - request and response shapes that two HTTP/1 readers may take differently.

Collected from what has been published since 2005: request smuggling (Linhart et al.; CL.TE, TE.CL and
TE.TE by Kettle), chunk extension and chunk terminator tricks (TERM.EXT, EXT.TERM), Host confusion
(Chen et al.), the HTTP garden's differences, response queue poisoning. {P} is the row's own path,
{X } a number in the path of the request
it tries to hide.

A request row is (name, bytes, what must happen):
  HEAD  refused, and not a byte goes on
  BODY  refused in the body: the head may be on its way, the message is never completed
  n     served: n requests (the row's last request, which closes, not counted)"""
HEAD, BODY = "head", "body"
H = b"Host: server\r\n"
HIDDEN = b"GET /smuggled{X } HTTP/1.1\r\nHost: server\r\n\r\n"


def get(fields=b"", line=b"GET {P} HTTP/1.1", host=H):
    return line + b"\r\n" + host + fields + b"\r\n"


def post(fields, body=b"", version=b"1.1"):
    return b"POST {P} HTTP/" + version + b"\r\n" + H + fields + b"\r\n" + body


def chunked(body, version=b"1.1"):
    return post(b"Transfer-Encoding: chunked\r\n", body, version)


def heads():
    """Whatever follows, the head alone is reason enough."""
    last = b"0\r\n\r\n"
    te, cl = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 4\r\n"
    both = {"CL.TE": cl + te, "TE.CL": te + cl, "CL, TE identity": cl + b"Transfer-Encoding: identity\r\n",
            "CL 0 and TE": b"Content-Length: 0\r\n" + te, "CL, TE, CL": cl + te + cl}
    for name, fields in both.items():
        yield "both: " + name, post(fields, last + HIDDEN)
    for value in (b"+4", b"-4", b"0x4", b"4,4", b"4, 5", b"4 4", b"", b"4;", b"04 ", b"4.0", b"1e1", b"\x0b4",
                  b"\x0c4", b"4\x0b", b"4\x00", b"4_0", b"'4'", b"\"4\"", b"four", b"99999999999999999999",
                  b"18446744073709551620", b"\xd9\xa4", b"-0", b"4\r", b"\xa04"):
        if value != b"04 ":  # leading zeros are digits, trailing blanks no part of a value
            yield f"length {value!r}", post(b"Content-Length: " + value + b"\r\n", b"abcd" + HIDDEN)
    for a, b in ((b"4", b"4"), (b"4", b"0"), (b"0", b"4"), (b"4", b"")):
        yield f"lengths {a!r} and {b!r}", post(b"Content-Length: " + a + b"\r\ncontent-length: " + b + b"\r\n",
                                               b"abcd" + HIDDEN)
    for value in (b"xchunked", b"chunkedx", b"identity", b"chunked, identity", b"identity, chunked", b"gzip, chunked",
                  b"chunked, chunked", b"chunked,", b",chunked", b"chunked;q=1", b"\"chunked\"", b"'chunked'", b"",
                  b"chunk", b"\x0bchunked", b"\x0cchunked", b"chunked\x0b", b"chunked\x00", b"\x00chunked",
                  b"x chunked", b"chunked x", b"chunked\r", b"\xa0chunked", b"ch\xfcnked", b"chun ked", b"nothing",
                  b"chunked\x7f", b"CHUN\xe2\x84\xaaED", b"gzip"):
        yield f"coding {value!r}", post(b"Transfer-Encoding: " + value + b"\r\n", last + HIDDEN)
    for name in (b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding", b"\tTransfer-Encoding",
                 b"Transfer-Encoding\x0b", b"Transfer-Encoding\x00", b"Transfer\x00-Encoding", b"\x00Transfer-Encoding",
                 b"Transfer-Encod\xc4\xb1ng", b"Transfer Encoding", b"\xffTransfer-Encoding", b"\x7fTransfer-Encoding",
                 b"Foo: bar\nTransfer-Encoding", b"Foo: bar\rTransfer-Encoding", b"Foo: bar\r\n\tTransfer-Encoding",
                 b"Foo: bar\r\n Transfer-Encoding", b"\"Transfer-Encoding\"", b"Transfer-Encoding\r\n", b"",
                 b"Foo: bar\r\r\nTransfer-Encoding", b"Foo: bar\n\rTransfer-Encoding", b"Foo:\rTransfer-Encoding",
                 b"(a)Transfer-Encoding", b"Transfer-Encoding:\n", b"Foo\r\nTransfer-Encoding", b"Foo: \n\n"):
        yield f"name {name!r}", post(cl + name + b": chunked\r\n", last + HIDDEN)
        yield f"length's name {name!r}", post(name.replace(b"Transfer-Encoding", b"Content-Length") + b": 40\r\n",
                                              HIDDEN)
    for fold in (b"\r\n chunked", b"\r\n\tchunked", b" \r\n chunked", b"\n chunked", b"\r chunked", b" chunked\r\n ",
                 b" \rchunked", b" chunked\r\n ,identity", b"\n\tchunked", b" chunked\n"):
        yield f"folded coding {fold!r}", post(b"Transfer-Encoding:" + fold + b"\r\n", last + HIDDEN)
    yield "two codings", post(te + te, last + HIDDEN)
    yield "two codings, one strange", post(te + b"Transfer-Encoding: cow\r\n", last + HIDDEN)
    yield "coding in 1.0", chunked(last + HIDDEN, b"1.0")
    yield "coding in 1.0, kept alive", post(te + b"Connection: keep-alive\r\n", last + HIDDEN, b"1.0")
    for end in (b"\n", b"\r", b"\n\r", b"\r\r\n", b"\x0b\r\n", b"\x0c"):
        yield f"lines end in {end!r}", b"GET {P} HTTP/1.1" + end + b"Host: server" + end + end + HIDDEN
        yield f"one line ends in {end!r}", get(b"A: b" + end + b"C: d\r\n") + HIDDEN
        yield f"the head ends in {end!r}", b"GET {P} HTTP/1.1\r\nHost: server\r\n" + end + HIDDEN
        yield f"the request line ends in {end!r}", b"GET {P} HTTP/1.1" + end + H + b"\r\n" + HIDDEN
    for c in b"\x00\x01\x08\x0b\x0c\x1b\x7f":
        byte = bytes([c])
        yield f"{byte!r} in a value", get(b"A: b" + byte + b"c\r\n") + HIDDEN
        yield f"{byte!r} ends a value", get(b"A: b" + byte + b"\r\n") + HIDDEN
        yield f"{byte!r} in a name", get(b"A" + byte + b"b: c\r\n") + HIDDEN
        yield f"{byte!r} in the target", get(line=b"GET {P}" + byte + b" HTTP/1.1") + HIDDEN
        yield f"{byte!r} in the method", get(line=b"G" + byte + b"ET {P} HTTP/1.1") + HIDDEN
        yield f"{byte!r} in Host", get(host=b"Host: ser" + byte + b"ver\r\n") + HIDDEN
    for host in (b"", H + H, H + b"host: other\r\n", b"Host: server,other\r\n\x01", b"Host: a b\r\n", b"Host: a/b\r\n",
                 b"Host: u@server\r\n", b"Host: server:x\r\n", b"Host: server:99999\r\n", b"Host: server#a\r\n",
                 b"Host: server?a\r\n", b"Host: server\\a\r\n", b"Host :server\r\n", b" Host: server\r\n",
                 b"Host: [::1\r\n", b"Host: server\r\n other\r\n", b"Host\r\n", b"Host: http://server\r\n",
                 b"Host: \r\n", b"Host: server:80:80\r\n", b"Host: <server>\r\n", b"Host: ser\xc3\xbcver\r\n"):
        yield f"Host: {host!r}", get(host=host) + HIDDEN
    for line in (b"GET  {P} HTTP/1.1", b"GET {P}  HTTP/1.1", b"GET\t{P} HTTP/1.1", b"GET {P}\tHTTP/1.1",
                 b" GET {P} HTTP/1.1", b"GET {P} HTTP/1.1 ", b"GET {P} HTTP/1.1\t", b"GET {P} x HTTP/1.1",
                 b"GET {P}\x0bHTTP/1.1", b"GET {P}", b"GET {P} ", b"GET HTTP/1.1", b"GET  HTTP/1.1", b"GET", b"{P}",
                 b"GET {P} HTTP/1", b"GET {P} HTTP/1.", b"GET {P} HTTP/.1", b"GET {P} HTTP/11", b"GET {P} HTTP/1.10",
                 b"GET {P} HTTP/01.1", b"GET {P} HTTP/1.01", b"GET {P} HTTP/2.0", b"GET {P} HTTP/0.9",
                 b"GET {P} HTTP/9.9", b"GET {P} HTTP/1.2", b"GET {P} http/1.1", b"GET {P} HTTP /1.1", b"GET {P} HTTP/1,1",
                 b"GET {P} HTTPS/1.1", b"GET {P} ICE/1.0", b"GET {P} RTSP/1.0", b"SOURCE {P} ICE/1.0", b"get {P} HTTP/1.1",
                 b"G(T {P} HTTP/1.1", b"GET: {P} HTTP/1.1", b"\"GET\" {P} HTTP/1.1", b"GE\xc3\x84T {P} HTTP/1.1",
                 b"GET {P}#frag HTTP/1.1", b"GET {P}#/../admin HTTP/1.1", b"GET server{P} HTTP/1.1",
                 b"GET *{P} HTTP/1.1", b"GET * HTTP/1.1", b"GET http://{P} HTTP/1.1",
                 b"GET http://u:p@server{P} HTTP/1.1", b"GET http://server:x{P} HTTP/1.1",
                 b"GET http://server\\other{P} HTTP/1.1", b"GET file://server{P} HTTP/1.1", b"GET ://server{P} HTTP/1.1",
                 b"GET http://server?x HTTP/1.1", b"CONNECT server:80 HTTP/1.1", b"CONNECT {P} HTTP/1.1",
                 b"PRI * HTTP/2.0", b"GET {P}\xffa HTTP/1.1", b"GET {P}\xe2\x80\xa8 HTTP/1.1", b"GET {P}\" HTTP/1.1 x",
                 b"GET ?{P} HTTP/1.1", b"GET \\{P} HTTP/1.1"):
        yield f"line {line!r}", get(line=line) + HIDDEN
    for fields in (b"Foo\r\n", b": bar\r\n", b":\r\n", b"Foo bar\r\n", b"A: b\r\n\tc\r\n", b"Foo (x): bar\r\n", b"F@o: b\r\n",
                   b"[a]: b\r\n", b"A{: b\r\n", b" \r\n", b"\t\r\n", b"A;: b\r\n", b"A,: b\r\n", b"A=: b\r\n", b"A/: b\r\n"):
        yield f"field {fields!r}", get(fields) + HIDDEN
        yield f"field {fields!r} hides a length", post(fields[:-2] + b"\r\nContent-Length: 4\r\n", b"abcd" + HIDDEN)
    yield "http/0.9", b"GET {P}\r\n" + HIDDEN
    yield "a large head", get(b"A: " + b"x" * 70000 + b"\r\n") + HIDDEN
    yield "a long target", get(line=b"GET {P}" + b"x" * 70000 + b" HTTP/1.1") + HIDDEN
    yield "a thousand fields", get(b"A: b\r\n" * 1000) + HIDDEN
    yield "blanks before the line", b"\r\n \r\n" + get() + HIDDEN
    yield "a CR before the line", b"\r" + get() + HIDDEN
    yield "an LF before the line", b"\n" + get() + HIDDEN
    yield "LF, CR LF before the line", b"\n\r\n" + get() + HIDDEN
    yield "no CR LF in the head's end", b"GET {P} HTTP/1.1\r\nHost: server\r\n\r" + HIDDEN
    for value in (b"101-continue", b"100-continue, x", b"x=100-continue", b"100-continued", b"y 100-continue", b"1"):
        yield f"Expect: {value!r}", post(b"Content-Length: 4\r\nExpect: " + value + b"\r\n", b"abcd" + HIDDEN)
    yield "two Expect", post(b"Content-Length: 4\r\nExpect: 100-continue\r\nExpect: x\r\n", b"abcd" + HIDDEN)


def bodies():
    """The head is fine, the chunks are not."""
    end = b"0\r\n\r\n"
    for size in (b"0x4", b"+4", b"-4", b" 4", b"4 ", b"4\t", b"\t4", b"4 \t ", b"g", b"", b"4\x0b", b"4\x00", b"\x004", b"4_",
                 b"4,4", b"4.", b"10000000000000004", b"fffffffffffffffff", b"100000000000000000000004",
                 b"4h", b"4\r", b"4\r\r", b"4\n", b"-0", b"0x0", b"4;a\nb", b"4;a\rb", b"4;\x00", b"4;a=\"\n\"",
                 b"4;a=\"\r\n", b"4\n;a", b"4 ;a", b"4;a\x7f", b"4;\x0b", b"4;a=\"b\nc\""):
        yield f"chunk size {size!r}", chunked(size + b"\r\nabcd\r\n" + end + HIDDEN)
    for sep in (b"\n", b"\r", b"", b"xx", b"\n\r", b"\r\r\n", b" \r\n", b"\n\n", b"\rx", b"x\n", b"\0\0"):
        yield f"chunk data ends in {sep!r}", chunked(b"4\r\nabcd" + sep + end + HIDDEN)
        if sep not in (b"", b" \r\n"):
            yield f"chunk size line ends in {sep!r}", chunked(b"4" + sep + b"abcd\r\n" + end + HIDDEN)
        yield f"last chunk ends in {sep!r}", chunked(b"0" + sep + b"\r\n" + HIDDEN)
        if sep not in (b"", b" \r\n"):
            yield f"message ends in {sep!r}", chunked(b"0\r\n" + sep + HIDDEN)
    yield "chunk shorter than said", chunked(b"5\r\nabcd\r\n" + end + HIDDEN)
    yield "chunk longer than said", chunked(b"3\r\nabcd\r\n" + end + HIDDEN)
    yield "much extension", chunked(b"4;" + b"a" * 40000 + b"\r\nabcd\r\n" + end + HIDDEN)
    for field in (b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: other\r\n", b"A : b\r\n", b"A: b\n",
                  b"A: b\r\n c\r\n", b" A: b\r\n", b"A\r\n", b"A: \x00\r\n", b"A: b\rc\r\n", b": b\r\n", b"A\x0b: b\r\n",
                  b"A: b\x01\r\n", b"\tA: b\r\n", b"A: b\n\r\n", b"Connection: close\r\n", b"Authorization: x\r\n",
                  b"Content-Type: x\r\n", b"TE: trailers\r\n", b"Trailer: a\r\n", b"X-Forwarded-For: 1.2.3.4\r\n",
                  b"content-LENGTH: 0\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n",
                  b"X-Forwarded-Client-Cert: By=me\r\n", b"Content-Encoding: x\r\n", b"Cookie: a\r\n",
                  b"A: " + b"x" * 20000 + b"\r\n", b"A: b\r\n" * 200):
        yield f"trailer {field[:30]!r}", chunked(b"4\r\nabcd\r\n0\r\n" + field + b"\r\n" + HIDDEN)


def served():
    """One reading only: the proxy takes these, and writes them canonically."""
    end = b"0\r\n\r\n"
    yield "plain", get(), 1
    yield "pipelined", get() + get(b"A: b\r\n"), 2
    yield "body by length", post(b"Content-Length: 4\r\n", b"abcd"), 1
    yield "a request in a body", post(b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN), 1
    yield "a request in a chunk", chunked(b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n" + end), 1
    yield "GET with a body", b"GET {P} HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, 1
    yield "length 0 and the next", post(b"Content-Length: 0\r\n") + get(), 2
    yield "leading zeros", post(b"Content-Length: 0004\r\n", b"abcd"), 1
    yield "blanks before a length", post(b"Content-Length:   4\r\n", b"abcd"), 1
    yield "coding in capitals", post(b"tRANSFER-eNCODING: CHUNKED\r\n", b"4\r\nabcd\r\n" + end), 1
    yield "zeros in a chunk size", chunked(b"0004\r\nabcd\r\n000\r\n\r\n"), 1
    yield "chunk extension", chunked(b"4;a=b\r\nabcd\r\n0;d\r\n\r\n"), 1
    yield "trailer", chunked(b"4\r\nabcd\r\n0\r\nX-Sum: 1\r\n\r\n"), 1
    yield "blank lines first", b"\r\n\r\n" + get(), 1
    yield "absolute form", get(line=b"GET http://server{P} HTTP/1.1"), 1
    yield "absolute form, other Host", get(line=b"GET http://server{P} HTTP/1.1", host=b"Host: other\r\n"), 1
    for names in (b"Content-Length", b"Transfer-Encoding", b"Host, Content-Length", b"close, host", b"Expect",
                  b"x-forwarded-for, x-request-id", b"keep-alive, content-length"):
        count = 1 if b"close" not in names else 0  # then the last request is not read
        yield f"Connection: {names!r}", post(b"Connection: " + names + b"\r\nContent-Length: %d\r\n" % len(HIDDEN),
                                             HIDDEN), count
    yield "Connection names the coding", post(b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
                                              b"4\r\nabcd\r\n" + end), 1
    yield "Expect", post(b"Expect: 100-continue\r\nContent-Length: 4\r\n", b"abcd"), 1
    yield "Expect without a body", get(b"Expect: 100-continue\r\n"), 1
    yield "upgrade to h2c", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"), 1
    yield "names that look like framing", post(b"Content_Length: 4\r\nContent-Length2: 9\r\nX-Transfer-Encoding: chunked\r\n"
                                               b"Content-Length: 4\r\n", b"abcd"), 1
    yield "lengths elsewhere", get(b"X-Content-Length: 99\r\nTrailer: Content-Length\r\n"), 1


# What an upstream says, and what the caller may get: "502", or "ok" (one answer), never two.
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVIL = b"HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil"


def answers():
    def head(fields, body=b"ok", status=b"200 OK"):
        return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n" + body
    te, cl = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 2\r\n"
    for name, fields in {
            "both": te + cl, "both, length first": cl + te, "two lengths": cl + cl, "length list": b"Content-Length: 2, 2\r\n",
            "lengths differ": cl + b"Content-Length: 9\r\n", "length +2": b"Content-Length: +2\r\n",
            "length -1": b"Content-Length: -1\r\n", "length 0x2": b"Content-Length: 0x2\r\n", "no length": b"Content-Length:\r\n",
            "coding xchunked": b"Transfer-Encoding: xchunked\r\n", "coding, identity": b"Transfer-Encoding: chunked, identity\r\n",
            "folded": cl + b"A: b\r\n c\r\n", "LF": cl + b"A: b\nC: d\r\n", "CR": cl + b"A: b\rC: d\r\n", "NUL": cl + b"A: \x00\r\n",
            "space before colon": b"Content-Length : 2\r\n", "no colon": cl + b"foo\r\n", "control": cl + b"A: \x01\r\n",
            "LF ends the head": cl[:-2] + b"\n"}.items():
        yield name, head(fields), "502"
    yield "version 2", OK.replace(b"1.1", b"2.0", 1), "502"
    yield "version 0.9", b"ok\r\n", "502"
    yield "status 99", OK.replace(b"200", b"99", 1), "502"
    yield "status 2000", OK.replace(b"200", b"2000", 1), "502"
    yield "control in the reason", OK.replace(b"OK", b"O\x01K", 1), "502"
    yield "CR in the reason", OK.replace(b"OK", b"O\rX-Evil: 1", 1), "502"
    yield "101 unasked", head(b"Connection: upgrade\r\nUpgrade: x\r\n", b"", b"101 Switching Protocols"), "502"
    yield "flood of 103", b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" * 2000 + OK, "flood"
    yield "chunk size with a space", head(te, b"2 \r\nok\r\n0\r\n\r\n"), "cut"
    yield "chunk ends in LF", head(te, b"2\r\nok\n0\r\n\r\n"), "cut"
    yield "length in a trailer", head(te, b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"), "cut"
    yield "more than one answer", OK + EVIL, "ok"
    yield "204 with a body", head(cl, b"ok" + EVIL, b"204 No Content"), "ok"
    yield "204 with chunks", head(te, b"2\r\nok\r\n0\r\n\r\n" + EVIL, b"204 No Content"), "ok"
    yield "304 with a body", head(cl, b"ok" + EVIL, b"304 Not Modified"), "ok"
    yield "100 with a length", b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n" + OK + EVIL, "ok"
    yield "early answer", OK, "ok"
