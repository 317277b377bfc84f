/* envoy_lines.c - POST /v1/envoy-logs: access-log lines as they stand in a file, one a line, text or
 * JSON.
 *
 * For whoever has the files and no exporter: a log shipper, curl. Such lines do not say which proxy
 * wrote them, so the nodes are the services that the lines name. A line that is none of Istio's is
 * refused with its place, the others are kept. */
#include "ingest/decode.h"
#include "ingest/envoy_access.h"

static int read_line(struct gather *g, struct sv body, struct sv line)
{
    struct log_record rec = { .at = (size_t)(line.p - body.p),
                              .body = { .type = VALUE_STR, .str = line } };
    bool is_line;
    int rc = envoy_record(g, &rec, NULL, 0, &is_line);
    if (rc == 0 && !is_line) {
        gather_bad(g, ERR_MALFORMED, rec.at,
                   "no access-log line in Istio's text format, of its JSON keys, or of ztunnel's");
        (void)gather_record_ends(g);
    }
    return rc;
}

int envoy_lines_decode(struct sv body, struct batch *b, const struct limits *lim, struct err *err)
{
    AUTO_DONE(gather) g;
    struct sv rest = body, line;
    gather_init(&g, b, lim);
    while (sv_cut(&rest, '\n', &line)) {
        line = sv_trim(line);
        int rc = 0;
        if (line.len && !sv_is_utf8(line)) {
            gather_bad(&g, ERR_MALFORMED, (size_t)(line.p - body.p), "a line that is no UTF-8");
            (void)gather_record_ends(&g);
        } else if (line.len) {
            rc = read_line(&g, body, line);
        }
        if (rc < 0)
            return err_at(err, (enum err_code)rc, (size_t)(line.p - body.p), "%s", gather_why(rc));
    }
    return 0;
}
