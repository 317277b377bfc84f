/* tls_said.c - versions, ciphers and principals by content.
 *
 * Spans of a mesh repeat the same few: a pair of principals for each edge. So a waiting half holds a
 * pointer instead of four texts. Past the limit new ones are not kept, and only the names are
 * missing from the edge. */
#include "pair/tls_said.h"

enum { SAID_MAX = 4096 }; /* about 1 MB when full */

void tls_saids_done(struct tls_saids *s)
{
    map_done(&s->by_text);
    buf_done(&s->key);
    arena_done(&s->mem);
}

static bool copy_text(struct arena *mem, struct sv from, struct sv *ret_to)
{
    *ret_to = from.len ? arena_copy(mem, from) : SV_NONE;
    return ret_to->p || !from.len;
}

static struct tls_said *said_copy(struct arena *mem, const struct tls_evidence *e)
{
    struct tls_said *said = arena_zalloc(mem, sizeof(*said));
    bool is_copied = said && copy_text(mem, e->version, &said->version) &&
                     copy_text(mem, e->cipher, &said->cipher) &&
                     copy_text(mem, e->source_principal, &said->source_principal) &&
                     copy_text(mem, e->destination_principal, &said->destination_principal);
    return is_copied ? said : NULL;
}

const struct tls_said *tls_said_get(struct tls_saids *s, const struct tls_evidence *e)
{
    const struct sv texts[] = { e->version, e->cipher, e->source_principal,
                                e->destination_principal };
    size_t bytes = 0;
    for (size_t i = 0; i < NELEMS(texts); i++)
        bytes += texts[i].len;
    if (bytes == 0)
        return NULL;
    buf_clear(&s->key);
    for (size_t i = 0; i < NELEMS(texts); i++) {
        uint32_t len = (uint32_t)texts[i].len;
        buf_append(&s->key, &len, sizeof(len));
        buf_put(&s->key, texts[i]);
    }
    if (s->key.failed)
        return NULL;
    struct tls_said *said = map_get(&s->by_text, buf_sv(&s->key));
    if (said || s->by_text.len >= SAID_MAX)
        return said;
    said = said_copy(&s->mem, e);
    return said && map_put(&s->by_text, buf_sv(&s->key), said, NULL) == 0 ? said : NULL;
}
