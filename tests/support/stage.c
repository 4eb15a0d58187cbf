#include <criterion/criterion.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base.h"
#include "stage.h"

void
stage_open(struct stage *self)
{
    *self = (struct stage){ .folder = "/tmp/omni-test-XXXXXX" };
    cr_assert(mkdtemp(self->folder));
}

static int
remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

void
stage_close(struct stage *self)
{
    nftw(self->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
stage_set(struct stage *self, const char *name, const char *format, ...)
{
    cr_assert_lt(self->count, STAGE_SETTINGS);
    char *text = self->settings[self->count];
    size_t room = sizeof(self->settings[0]);
    int size = snprintf(text, room, "%s=", name);
    va_list list;
    va_start(list, format);
    size += vsnprintf(text + size, room - (size_t)size, format, list);
    va_end(list);
    cr_assert_lt((size_t)size, room);
    self->list[self->count++] = text;
    self->list[self->count] = NULL;
}

void
stage_settle(struct stage *self)
{
    static const struct {
        const char *name, *before, *after;
    } places[] = {
        { "OMNI_BROKER", "ipc://", "/client" },
        { "OMNI_BROKER_WORK", "ipc://", "/work" },
        { "OMNI_DATABASE", "sqlite:", "/data" },
        { "OMNI_BLOBS", "dir:", "/blobs" },
        { "OMNI_ADMIN_KEY_FILE", "", "/admin.key" },
        { "OMNI_SECRET_FILE", "", "/secret" },
    };
    for (size_t i = 0; i < OM_COUNT(places); i++)
        stage_set(self, places[i].name, "%s%s%s", places[i].before, self->folder,
                  places[i].after);
    stage_set(self, "OMNI_KEYS", "%s", "");
    stage_set(self, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(self, "OMNI_LOG_FORMAT", "json");
}

void
stage_read(const struct stage *self, const char *name, char *out, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", self->folder, name);
    FILE *file = fopen(path, "r");
    cr_assert(file && fgets(out, (int)size, file), "%s", path);
    fclose(file);
    out[strcspn(out, "\n")] = '\0';
}
