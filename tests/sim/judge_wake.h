// judge_wake.h - nothing in the broker waits for what will never come.
//
// Whatever waits does so for a reason, and what ends that reason wakes it: a timer, a
// read or a commit under way, a limit, credit. A wake-up that was lost shows at the step
// that lost it, not hours later as a job that never ended.
#pragma once
#include "sim.h"

// The broker has dealt with an input, and its actions were taken.
void judge_wakes(struct sim *sim);
