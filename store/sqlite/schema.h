/* schema.h - whose file it is, and bringing it to the present version. Private to store/sqlite/. */
#ifndef SQLITE_SCHEMA_H
#define SQLITE_SCHEMA_H

#include "store/sqlite/db.h"

/* Only looks: 0 with *ret_is_fresh when the file is new and empty. ERR_UNSUPPORTED: somebody
 * else's file, or one of a newer version. */
int schema_check(struct db *db, bool *ret_is_fresh, struct err *err) MUST_USE;
/* Runs the migrations that are missing, each in a transaction of its own. */
int schema_migrate(struct db *db, struct err *err) MUST_USE;
/* Has it seen every migration? A reader cannot read older files, and must not change them. */
int schema_is_current(struct db *db, bool *ret_is, struct err *err) MUST_USE;

#endif
