#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service.h"

// A page of a file that the broker's process maps too.
static void
share_count(struct bench_broker *self, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        bench_die("cannot make %s", path);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED)
        bench_die("cannot map %s", path);
    self->fsyncs = page;
}

void
broker_start(struct bench_broker *self, const struct bench_options *options)
{
    *self = (struct bench_broker){ 0 };
    if (options->broker) {
        snprintf(self->client, sizeof(self->client), "%s", options->broker);
        snprintf(self->work, sizeof(self->work), "%s", options->work);
        return;
    }
    char bin[512], program[600], count[300];
    char client[400], work[400], database[400], preload[600], counter[400];
    folder_make(options->folder, self->folder, sizeof(self->folder));
    program_folder(bin, sizeof(bin));
    snprintf(program, sizeof(program), "%s/omni-broker", bin);
    snprintf(count, sizeof(count), "%s/fsyncs", self->folder);
    snprintf(self->client, sizeof(self->client), "ipc://%s/broker", self->folder);
    snprintf(self->work, sizeof(self->work), "ipc://%s/work", self->folder);
    share_count(self, count);

    snprintf(client, sizeof(client), "OMNI_BROKER=%s", self->client);
    snprintf(work, sizeof(work), "OMNI_BROKER_WORK=%s", self->work);
    snprintf(database, sizeof(database), "OMNI_DATABASE=sqlite:%s", self->folder);
    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s/libomni-bench-fsync.so", bin);
    snprintf(counter, sizeof(counter), BENCH_FSYNC_VARIABLE "=%s", count);
    self->process = child_exec(
        (const char *const[]){ program, NULL },
        (const char *const[]){ client, work, database, preload, counter, NULL });
}

void
broker_stop(struct bench_broker *self)
{
    if (!self->process)
        return;
    child_stop(self->process);
    folder_remove(self->folder);
    munmap((void *)self->fsyncs, 4096);
}
