/* schema.c - the tables, as a list of migrations that only ever grows at its end.
 *
 * application_id says whose file this is, user_version how many migrations it has seen. A file of
 * another application, or one that a newer program has written, is refused untouched. */
#include "store/sqlite/schema.h"
#include <stdio.h>

enum { APPLICATION_ID = 0x54756c6c }; /* "Tull" */

/* Times are nanoseconds since the Unix epoch unless the name says seconds. */
static const char *const migrations[] = {
    /* 1: what was acknowledged, and what was folded from it */
    "CREATE TABLE journal("
    " seq INTEGER PRIMARY KEY, received_ns INTEGER NOT NULL,"
    " spans INTEGER NOT NULL, calls INTEGER NOT NULL,"
    " span_from_ns INTEGER NOT NULL, span_to_ns INTEGER NOT NULL,"
    " call_from_ns INTEGER NOT NULL, call_to_ns INTEGER NOT NULL,"
    " traces BLOB NOT NULL, data BLOB NOT NULL);"
    "CREATE TABLE idempotency_key(n INTEGER PRIMARY KEY, key BLOB NOT NULL);"
    "CREATE TABLE operation(service TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL,"
    " PRIMARY KEY(service, name, kind)) WITHOUT ROWID;"
    "CREATE TABLE progress(seq INTEGER NOT NULL, time_ns INTEGER NOT NULL);"
    "INSERT INTO progress VALUES(0, 0);"
    "CREATE TABLE edge("
    " id INTEGER PRIMARY KEY, protocol INTEGER NOT NULL,"
    " source_cluster TEXT NOT NULL, source_namespace TEXT NOT NULL,"
    " source_workload TEXT NOT NULL, source_service TEXT NOT NULL,"
    " source_version TEXT NOT NULL, source_principal TEXT NOT NULL,"
    " destination_cluster TEXT NOT NULL, destination_namespace TEXT NOT NULL,"
    " destination_workload TEXT NOT NULL, destination_service TEXT NOT NULL,"
    " destination_version TEXT NOT NULL, destination_principal TEXT NOT NULL,"
    " asked_for TEXT NOT NULL);"
    "CREATE TABLE edge_bucket("
    " width_s INTEGER NOT NULL, start_s INTEGER NOT NULL, edge INTEGER NOT NULL,"
    " cells BLOB NOT NULL, PRIMARY KEY(width_s, start_s, edge)) WITHOUT ROWID;",
    /* 2: what the journal is sealed into */
    "CREATE TABLE segment("
    " id INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,"
    " received_to_ns INTEGER NOT NULL, spans INTEGER NOT NULL, calls INTEGER NOT NULL,"
    " span_from_ns INTEGER NOT NULL, span_to_ns INTEGER NOT NULL,"
    " call_from_ns INTEGER NOT NULL, call_to_ns INTEGER NOT NULL,"
    " traces BLOB NOT NULL, data BLOB NOT NULL);",
    /* 3: which segments hold failed spans, and what was dropped */
    "CREATE TABLE segment_error(id INTEGER PRIMARY KEY, spans INTEGER NOT NULL);"
    "CREATE TABLE dropped("
    " chunks INTEGER NOT NULL, batches INTEGER NOT NULL, spans INTEGER NOT NULL,"
    " calls INTEGER NOT NULL, edge_buckets INTEGER NOT NULL);"
    "INSERT INTO dropped VALUES(0, 0, 0, 0, 0);",
    /* 4: cells may be of version 2, which older programs cannot read */
    "SELECT 4;",
    /* 5: what segments hold in short; their heads together, so that a start need not visit each */
    "CREATE TABLE segment_digest(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE INDEX segment_head ON segment(first_seq, last_seq, received_to_ns, spans, calls,"
    " span_from_ns, span_to_ns, call_from_ns, call_to_ns);",
    /* 6: digests and segments may be of version 2, which older programs take for damaged; calls may say
     * how their TLS state is known, which older programs cannot read */
    "SELECT 6;",
};

int schema_check(struct db *db, bool *ret_is_fresh, struct err *err)
{
    int64_t application = 0, version = 0, tables = 0;
    int rc = db_integer(db, "PRAGMA application_id", &application, err);
    if (rc == 0)
        rc = db_integer(db, "PRAGMA user_version", &version, err);
    if (rc == 0)
        rc = db_integer(db, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (rc < 0)
        return rc;
    bool is_fresh = application == 0 && version == 0 && tables == 0;
    if (!is_fresh && application != APPLICATION_ID)
        return err_set(err, ERR_UNSUPPORTED, "a SQLite file, but not a Tulle store");
    if (version > (int64_t)NELEMS(migrations))
        return err_set(err, ERR_UNSUPPORTED, "written by a newer version (schema %lld, known %zu)",
                       (long long)version, NELEMS(migrations));
    *ret_is_fresh = is_fresh;
    return 0;
}

static int migrate_one(struct db *db, size_t i, struct err *err)
{
    char mark[96];
    snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %zu",
             APPLICATION_ID, i + 1);
    int rc = db_begin(db, err);
    if (rc == 0)
        rc = db_exec(db, migrations[i], err);
    if (rc == 0)
        rc = db_exec(db, mark, err);
    if (rc == 0)
        rc = db_commit(db, err);
    if (rc < 0)
        db_rollback(db);
    return rc;
}

int schema_migrate(struct db *db, struct err *err)
{
    int64_t version = 0;
    int rc = db_integer(db, "PRAGMA user_version", &version, err);
    for (size_t i = (size_t)version; rc == 0 && i < NELEMS(migrations); i++)
        rc = migrate_one(db, i, err);
    return rc;
}

int schema_is_current(struct db *db, bool *ret_is, struct err *err)
{
    int64_t version = 0;
    int rc = db_integer(db, "PRAGMA user_version", &version, err);
    if (rc == 0)
        *ret_is = version == (int64_t)NELEMS(migrations);
    return rc;
}
