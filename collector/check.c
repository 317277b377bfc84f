/* check.c - is what the store holds readable and true? For people and for cron.
 *
 * The store does the work; this prints. A file so damaged that it cannot be opened is one more
 * finding. */
#include "check.h"
#include "store/store.h"

static int print_finding(void *to, struct sv where, struct sv what)
{
    fprintf(to, "%.*s: %.*s\n", SV_ARG(where), SV_ARG(what));
    return 0;
}

bool check_store(struct sv url, FILE *out)
{
    struct store_conf conf = { .url = url, .is_read_only = true };
    struct store_checked is = { 0 };
    struct err err = { 0 };
    struct store *s = store_open(&conf, &err);
    int rc = s ? store_check(s, print_finding, out, &is, &err) : -1;
    store_close(s);
    if (rc < 0) {
        fprintf(out, "%.*s could not be checked: %s\n", SV_ARG(url), err.why);
        return false;
    }
    fprintf(out,
            "%.*s: %llu finding%s in %llu segments, %llu journal rows, %llu spans, %llu access"
            " records, %llu edge buckets\n",
            SV_ARG(url), (unsigned long long)is.findings, is.findings == 1 ? "" : "s",
            (unsigned long long)is.segments, (unsigned long long)is.journal_rows,
            (unsigned long long)is.spans, (unsigned long long)is.calls,
            (unsigned long long)is.edge_buckets);
    return is.findings == 0;
}
