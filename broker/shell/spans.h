// spans.h - what the core tells of jobs and calls, as spans of their traces.
#pragma once
#include "core.h"

// Have the core tell it, if anybody wants spans. To be called once tracing has started.
void spans_configure(struct core_conf *conf);
