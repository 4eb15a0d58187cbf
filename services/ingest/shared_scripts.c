// The scripts of shared.c: each is one operation, atomic as Redis runs it. Their effects,
// not their text, go to replicas, so that TIME may be asked before something is written.
#include "shared_scripts.h"

// clang-format off

// Helpers of all. A window is a hash: entries FIRST..NEWEST as "from:last:amount" in
// fields of those numbers; f, n, u (used) and l (last, the clock does not go back).
#define WINDOW_LUA                                                                       \
    "local t = redis.call('TIME')\n"                                                     \
    "local clock = t[1] * 1000 + math.floor(t[2] / 1000)\n"                              \
    "local WINDOW, ENTRIES = 60000, 64\n"                                                \
    "local function entry(key, i)\n"                                                     \
    "  local v = redis.call('HGET', key, i)\n"                                           \
    "  if not v then return clock, clock, 0 end\n"                                       \
    "  local from, last, amount = string.match(v, '(%d+):(%d+):(%d+)')\n"                \
    "  return tonumber(from), tonumber(last), tonumber(amount)\n"                        \
    "end\n"                                                                              \
    "local function put(key, i, from, last, amount)\n"                                   \
    "  local v = string.format('%.0f:%.0f:%.0f', from, last, amount)\n"                   \
    "  redis.call('HSET', key, i, v)\n"                                                  \
    "end\n"                                                                              \
    "local function open(key)\n"                                                         \
    "  local h = redis.call('HMGET', key, 'f', 'n', 'u', 'l')\n"                         \
    "  local w = { f = tonumber(h[1] or 1), n = tonumber(h[2] or 0),\n"                  \
    "              u = tonumber(h[3] or 0), now = clock }\n"                             \
    "  if tonumber(h[4] or 0) > clock then w.now = tonumber(h[4]) end\n"                 \
    "  while w.f <= w.n do\n"                                                            \
    "    local from, last, amount = entry(key, w.f)\n"                                   \
    "    if w.now - last < WINDOW then break end\n"                                      \
    "    redis.call('HDEL', key, w.f)\n"                                                 \
    "    w.f = w.f + 1\n"                                                                \
    "    w.u = w.u - amount\n"                                                           \
    "    w.moved = true\n"                                                               \
    "  end\n"                                                                            \
    "  return w\n"                                                                       \
    "end\n"                                                                              \
    "local function close(key, w)\n"                                                     \
    "  redis.call('HSET', key, 'f', w.f, 'n', w.n,\n"                                    \
    "             'u', string.format('%.0f', w.u), 'l', string.format('%.0f', w.now))\n" \
    "  redis.call('PEXPIRE', key, WINDOW + 1000)\n"                                      \
    "end\n"

// ARGV: id, lease_ms; of each key: kind, limit, amount.
// Returns taken, at, and of each key: remaining, wait_ms, reset_ms.
const char shared_take_lua[] =
    WINDOW_LUA
    "local fits, seen, out = 1, {}, { 1, clock }\n"
    "local function wait(key, w, limit, amount)\n"
    "  local over = w.u + amount - limit\n"
    "  if over <= 0 then return 0 end\n"
    "  for i = w.f, w.n do\n"
    "    local from, last, one = entry(key, i)\n"
    "    over = over - one\n"
    "    if over <= 0 then return WINDOW - (w.now - last) end\n"
    "  end\n"
    "  return WINDOW\n"
    "end\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local a = i * 3\n"
    "  local kind = ARGV[a]\n"
    "  local limit, amount = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])\n"
    "  local one = { limit = limit, amount = amount }\n"
    "  if kind == '2' then\n"
    "    redis.call('ZREMRANGEBYSCORE', key, '-inf', clock)\n"
    "    one.used = redis.call('ZCARD', key)\n"
    "    one.wait = one.used + amount > limit and 1000 or 0\n"
    "  else\n"
    "    one.w = open(key)\n"
    "    one.used = one.w.u\n"
    "    one.wait = wait(key, one.w, limit, amount)\n"
    "    if one.w.moved then close(key, one.w) end\n"
    "  end\n"
    "  if one.wait > 0 then fits = 0 end\n"
    "  seen[i] = one\n"
    "end\n"
    "out[1] = fits\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local one, w = seen[i], seen[i].w\n"
    "  if fits == 1 and one.amount > 0 then\n"
    "    one.used = one.used + one.amount\n"
    "    if not w then\n"
    "      redis.call('ZADD', key, clock + ARGV[2], ARGV[1])\n"
    "      redis.call('PEXPIRE', key, ARGV[2] + 1000)\n"
    "    else\n"
    "      local join = one.limit < ENTRIES and 1 or 953\n"
    "      local from, last, amount = entry(key, w.n)\n"
    "      if w.f > w.n or (w.now - from >= join and w.n - w.f + 1 < ENTRIES) then\n"
    "        w.n = w.n + 1\n"
    "        from, amount = w.now, 0\n"
    "      end\n"
    "      put(key, w.n, from, w.now, amount + one.amount)\n"
    "      w.u = w.u + one.amount\n"
    "      if w.now > out[2] then out[2] = w.now end\n"
    "      close(key, w)\n"
    "    end\n"
    "  end\n"
    "  local reset = 0\n"
    "  if w and w.f <= w.n then\n"
    "    local from, last = entry(key, w.f)\n"
    "    reset = WINDOW - (w.now - last)\n"
    "  end\n"
    "  table.insert(out, math.max(0, one.limit - one.used))\n"
    "  table.insert(out, one.wait)\n"
    "  table.insert(out, reset)\n"
    "end\n"
    "return out\n";

// ARGV: id, at_ms; of each key: kind, amount. What was taken at at_ms stands in the entry
// whose span holds it.
const char shared_give_lua[] =
    WINDOW_LUA
    "local at = tonumber(ARGV[2])\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local kind, amount = ARGV[1 + i * 2], tonumber(ARGV[2 + i * 2])\n"
    "  if kind == '2' then\n"
    "    redis.call('ZREM', key, ARGV[1])\n"
    "  elseif at > 0 and amount > 0 then\n"
    "    local w = open(key)\n"
    "    for n = w.n, w.f, -1 do\n"
    "      local from, last, used = entry(key, n)\n"
    "      if from <= at then\n"
    "        if at <= last then\n"
    "          local given = math.min(amount, used)\n"
    "          put(key, n, from, last, used - given)\n"
    "          w.u = w.u - given\n"
    "          close(key, w)\n"
    "        end\n"
    "        break\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return 1\n";

// ARGV: id, lease_ms. What was not renewed in time is taken again: it is in flight.
const char shared_renew_lua[] =
    "local t = redis.call('TIME')\n"
    "local clock = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "for i, key in ipairs(KEYS) do\n"
    "  redis.call('ZADD', key, clock + ARGV[2], ARGV[1])\n"
    "  redis.call('PEXPIRE', key, ARGV[2] + 1000)\n"
    "end\n"
    "return 1\n";
// clang-format on
