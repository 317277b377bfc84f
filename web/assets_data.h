/* assets_data.h - the array that embed writes; private to assets.c. */
#ifndef WEB_ASSETS_DATA_H
#define WEB_ASSETS_DATA_H

#include "web/assets.h"

extern const struct asset assets_all[]; /* sorted by path */
extern const size_t assets_len;

#endif
