// api_version.h - the versions of the HTTP interface, once, for identity, which keeps
// what version a key was made for, and the edge, which speaks them.
//
// A version is a day. What is added, and old clients can ignore, is in every version;
// what would break them makes a new one, and the edge goes on speaking those that are
// listed.
#pragma once
#include "base.h"

//  the day, oldest first
#define API_VERSION_LIST(X) X("2026-11-01")

enum { API_VERSION_SIZE = 10 };

// The version of that day; NULL: there is none.
const char *api_version_find(struct om_str day);

// What a request is of that names none, and whose key was made for none.
const char *api_version_newest(void);

// All of them, with commas.
const char *api_version_names(void);
