// power.h - a disk that loses power: what was written and not synced is dropped, kept or
// torn, sector by sector, by a seed.
//
// It stands under the journal (its function table) and under SQLite (a VFS). The files
// are real, in a folder of their own; beside them the disk keeps what is durable of each.
#pragma once
#include "journal_io.h"

#define POWER_VFS "power"

extern const struct journal_io power_io;

// What is done to the disk.
enum power_fault {
    POWER_NONE,
    POWER_CUT,       // at that operation: from then on everything fails
    POWER_FULL,      // from that operation on, writes fail, until power_heal()
    POWER_SYNC_FAILS // that operation, if it is a sync, or the next sync
};

// Begin with no files.
void power_init(uint64_t seed);
void power_finish(void);

// Do it at the `operation`th write, sync or change of a name from now.
void power_plan(enum power_fault fault, uint64_t operation);
void power_heal(void);

// Did the fault happen?
bool power_failed(void);

// The machine starts again after a cut: the files are what the disk kept. All of them are
// closed.
void power_on(void);

// The process had died, the machine had not: files are as they were written.
void power_kept(void);

// Have syncs of files whose name contains `part` do nothing, to see a test fail. NULL:
// none.
void power_lie(const char *part);

// A number below `below`, from the seed.
uint64_t power_draw(uint64_t below);
