#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "record.h"

enum { LINE_MAX_BYTES = 2048 };

void
record_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void
record_open(struct record *self, const char *path)
{
    self->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (self->fd < 0)
        record_die("cannot open %s: %s", path, strerror(errno));
    char last = '\n';
    off_t size = lseek(self->fd, 0, SEEK_END);
    if (size > 0 && pread(self->fd, &last, 1, size - 1) == 1 && last != '\n')
        record_put(self, "\n", 1); // the process before was killed within a line
}

void
record_put(struct record *self, const char *text, size_t size)
{
    if (write(self->fd, text, size) != (ssize_t)size)
        record_die("cannot write a log: %s", strerror(errno));
}

void
record_line(struct record *self, char kind, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    int size =
        snprintf(line, sizeof(line), "%c %lld ", kind, (long long)om_clock_mono_ms());
    va_list args;
    va_start(args, format);
    size += vsnprintf(line + size, sizeof(line) - (size_t)size, format, args);
    va_end(args);
    if (size >= LINE_MAX_BYTES - 1)
        record_die("a line is too long: %.80s", line);
    line[size] = '\n';
    record_put(self, line, (size_t)size + 1);
}

void
record_sync(struct record *self)
{
    if (fdatasync(self->fd) != 0)
        record_die("cannot sync a log: %s", strerror(errno));
}

void
record_ref(struct om_str payload, char out[RECORD_REF_MAX])
{
    static const char key[] = "\"ref\"";
    snprintf(out, RECORD_REF_MAX, "-");
    const char *at = memmem(payload.data, payload.size, key, sizeof(key) - 1);
    if (!at)
        return;
    at += sizeof(key) - 1;
    const char *end = payload.data + payload.size;
    while (at < end && (*at == ' ' || *at == ':'))
        at++;
    if (at == end || *at++ != '"')
        return;
    const char *quote = memchr(at, '"', (size_t)(end - at));
    if (quote && quote - at < RECORD_REF_MAX)
        snprintf(out, RECORD_REF_MAX, "%.*s", (int)(quote - at), at);
}
