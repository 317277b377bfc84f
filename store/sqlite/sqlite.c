#include "store/store_ops.h"
static struct store *none(const struct store_conf *conf, struct sv where, struct err *err)
{
    (void)conf;
    (void)where;
    err_set(err, ERR_UNSUPPORTED, "not built yet");
    return NULL;
}
const struct store_ops store_sqlite_ops = { .scheme = "sqlite", .open = none };
