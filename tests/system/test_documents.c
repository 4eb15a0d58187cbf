// What the documents promise to be complete about is complete.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "rc.h"

static char *
read_all(FILE *file)
{
    enum { TEXT_MAX = 256 * 1024 };
    char *text = calloc(1, TEXT_MAX);
    cr_assert(file && text);
    cr_assert_lt(fread(text, 1, TEXT_MAX - 1, file), TEXT_MAX - 1);
    return text;
}

static char *
read_document(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), OMNI_SOURCE_DIR "/%s", name);
    FILE *file = fopen(path, "r");
    char *text = read_all(file);
    fclose(file);
    return text;
}

Test(documents, every_setting_of_every_program_is_described)
{
    static const char *const programs[] = { "broker",    "ingest",   "identity",
                                            "registry",  "billing",  "compliance",
                                            "scheduler", "inference" };
    char *document = read_document("docs/operating.md");
    for (size_t i = 0; i < OM_COUNT(programs); i++) {
        char command[256], name[64];
        int settings = 0;
        snprintf(command, sizeof(command), OMNI_BIN_DIR "/omni-%s --help", programs[i]);
        FILE *help = popen(command, "r");
        char *text = read_all(help);
        cr_expect_eq(pclose(help), 0, "%s", command);
        for (char *at = text; (at = strstr(at, "\n  OMNI_")); settings++) {
            at += 3;
            size_t size = strcspn(at, " ");
            snprintf(name, sizeof(name), "| `%.*s` |", (int)size, at);
            cr_expect(strstr(document, name), "omni-%s: %s is not described", programs[i],
                      name);
        }
        cr_expect_gt(settings, 0, "omni-%s lists no settings", programs[i]);
        free(text);
    }
    free(document);
}

Test(documents, every_error_code_is_described)
{
    char *document = read_document("docs/operating.md"), row[64];
    for (int rc = 0; rc < OM_RC_COUNT; rc++) {
        const struct om_rc_info *info = om_rc_info((enum om_rc)rc);
        snprintf(row, sizeof(row), "| %d | `%s` |", info->http_status, info->code);
        if (info->http_status >= 400)
            cr_expect(strstr(document, row), "%s is not described", row);
    }
    free(document);
}
