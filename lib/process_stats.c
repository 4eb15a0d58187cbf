#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "process_stats.h"

static bool
read_text(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
    return *out != '\0';
}

// Field `number` (from 1) of /proc/self/stat; those before the third have spaces.
static double
stat_field(const char *text, int number)
{
    const char *at = strrchr(text, ')');
    for (int i = 2; at && i < number; i++)
        at = strchr(at + 1, ' ');
    return at ? strtod(at, NULL) : 0;
}

static double
boot_time(void)
{
    struct timespec wall, boot;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)(wall.tv_sec - boot.tv_sec) +
           (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
}

static int
count_descriptors(void)
{
    int count = -3; // ".", ".." and the folder's own
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count > 0 ? count : 0;
}

void
process_stats(struct om_scrape *scrape)
{
    char text[1024];
    double ticks = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE);
    struct rlimit files = { 0 };
    struct rusage usage = { 0 };
    getrusage(RUSAGE_SELF, &usage);
    om_scrape_put(scrape, M_process_cpu_seconds_total,
                  (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    if (read_text("/proc/self/stat", text, sizeof(text))) {
        om_scrape_put(scrape, M_process_virtual_memory_bytes, stat_field(text, 23));
        om_scrape_put(scrape, M_process_resident_memory_bytes,
                      stat_field(text, 24) * page);
        static double booted; // the wall clock may jump; the start is told once
        if (booted == 0)
            booted = boot_time();
        om_scrape_put(scrape, M_process_start_time_seconds,
                      booted + stat_field(text, 22) / ticks);
    }
    om_scrape_put(scrape, M_process_open_fds, count_descriptors());
    getrlimit(RLIMIT_NOFILE, &files);
    om_scrape_put(scrape, M_process_max_fds, (double)files.rlim_cur);
}
