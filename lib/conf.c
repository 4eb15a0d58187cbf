#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "conf.h"

enum { FILE_MAX_BYTES = 64 * 1024 };

// The value of NAME in the text of a settings file, or NULL. The caller frees it.
static char *
find_in_text(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = text; line && *line;) {
        const char *end = strchrnul(line, '\n');
        if (strncmp(line, name, size) == 0 && line[size] == '=')
            return strndup(line + size + 1, (size_t)(end - line) - size - 1);
        line = *end ? end + 1 : end;
    }
    return NULL;
}

// The whole of the settings file, or NULL with the reason in `why`.
static char *
read_file(const char *path, char *why, size_t why_size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(why, why_size, "OMNI_CONFIG: cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = calloc(1, FILE_MAX_BYTES + 1);
    size_t size = text ? fread(text, 1, FILE_MAX_BYTES, file) : 0;
    fclose(file);
    if (size == FILE_MAX_BYTES) {
        snprintf(why, why_size, "OMNI_CONFIG: %s is larger than %d bytes", path,
                 FILE_MAX_BYTES);
        free(text);
        return NULL;
    }
    return text;
}

static enum om_rc
set_member(const struct om_setting *row, const char *value, void *member, char *why,
           size_t why_size)
{
    if (row->type == CONF_STR) {
        const char *copy = strdup(value);
        memcpy(member, &copy, sizeof(copy));
        return copy ? OM_OK : OM_EINTERNAL;
    }
    if (row->type == CONF_BOOL) {
        bool yes = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
        if (!yes && strcmp(value, "0") != 0 && strcmp(value, "false") != 0) {
            snprintf(why, why_size, "%s is \"%s\": set it to true or false", row->name,
                     value);
            return OM_EINVAL;
        }
        memcpy(member, &yes, sizeof(yes));
        return OM_OK;
    }
    char *end;
    errno = 0;
    int64_t number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < row->min || number > row->max) {
        snprintf(why, why_size,
                 "%s is \"%s\": set it to a whole number from %lld to %lld", row->name,
                 value, (long long)row->min, (long long)row->max);
        return OM_EINVAL;
    }
    memcpy(member, &number, sizeof(number));
    return OM_OK;
}

enum om_rc
om_conf_load(const struct om_setting *settings, void *out, char *why, size_t why_size)
{
    const char *path = getenv("OMNI_CONFIG");
    char *text = NULL;
    if (path && *path && !(text = read_file(path, why, why_size)))
        return OM_EINVAL;

    enum om_rc rc = OM_OK;
    for (const struct om_setting *row = settings; row->name && rc == OM_OK; row++) {
        char *in_file = find_in_text(text, row->name);
        const char *value = getenv(row->name);
        value = value && *value ? value : in_file && *in_file ? in_file : row->fallback;
        rc = set_member(row, value, (char *)out + row->offset, why, why_size);
        free(in_file);
    }
    free(text);
    return rc;
}

void
om_conf_free(const struct om_setting *settings, void *out)
{
    for (const struct om_setting *row = settings; row->name; row++)
        if (row->type == CONF_STR) {
            char **member = (char **)((char *)out + row->offset);
            free(*member);
            *member = NULL;
        }
}

// --foo-bar VALUE becomes OMNI_FOO_BAR=VALUE. False on a flag that no setting has.
static bool
take_flag(const struct om_setting *settings, const char *flag, const char *value)
{
    char name[64] = "OMNI_";
    size_t size = strlen(name);
    if (strncmp(flag, "--", 2) != 0 || !value)
        return false;
    for (const char *at = flag + 2; *at && size < sizeof(name) - 1; at++)
        name[size++] = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    name[size] = '\0';
    for (; settings->name; settings++)
        if (strcmp(settings->name, name) == 0)
            return setenv(name, value, 1) == 0;
    return false;
}

static void
print_help(const char *program, const char *extra, const struct om_setting *settings)
{
    printf("%s %s\n\nUsage: %s [--help] [--version] [--check] [--SETTING VALUE]%s\n\n"
           "Settings, from the environment or the file OMNI_CONFIG names:\n",
           program, OMNI_VERSION, program, extra);
    for (; settings->name; settings++)
        printf("  %-24s %s (default: %s)\n", settings->name, settings->doc,
               *settings->fallback ? settings->fallback : "none");
}

int
om_conf_arguments(const char *program, const char *extra,
                  const struct om_setting *settings, int argc, char **argv, bool *check)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(program, extra, settings);
            return EX_OK;
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", program, OMNI_VERSION);
            return EX_OK;
        } else if (strcmp(argv[i], "--check") == 0) {
            *check = true;
        } else if (take_flag(settings, argv[i], argv[i + 1])) {
            i++;
        } else {
            fprintf(stderr,
                    "%s: %s: no such option, or its value is missing; see --help\n",
                    program, argv[i]);
            return EX_USAGE;
        }
    }
    return -1;
}
