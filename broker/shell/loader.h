// loader.h - has a store tell a core what is stored.
#pragma once
#include "store.h"

struct core;

// For store_load(), while the core lives and before core_serve().
struct store_loader core_loader(struct core *core);
