// shared_scripts.h - Lua that Redis runs for shared.c.
#pragma once

extern const char shared_take_lua[], shared_give_lua[], shared_renew_lua[];
