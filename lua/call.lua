-- A call: several limits at once, all or nothing. See engine/call.go, where the rules are explained.
--
-- Each part is asked by the step of its algorithm, which scripts.go makes a function of, and puts in
-- the table steps: for each letter the function, the number of its arguments, and how much of a key
-- it reads at once. First each part is asked what it would do, with nothing taken. Then all take.
--
-- A former is a limit that the part's has replaced. If its state is live, its units are moved here
-- before: taken by force, and the former's state is deleted.
--
-- KEYS     for each part its state, and behind it those of its formers
-- ARGV[1]  the operation: c (check), p (peek), r (refund) or f (force)
-- ARGV[2]  in tests only, the instant in microseconds; else empty
--          for each part: the letter of its algorithm, the number of its shadow or 0, how many formers it has,
--          the arguments of its step; and if it has formers, its price, and for each former the letter,
--          the arguments of a step that costs one unit, and its price
--
-- A shadow is parts that never deny the call, and take all or nothing among themselves. A price
-- is of a meter only: of one unit (microseconds, nanoseconds, rounded up), how many nanoseconds are
-- rounded up with each period's units, and how many units these are.
--
-- Replies for each part whether it has taken, and the reply of its step.
local op, at = ARGV[1], 3

-- The price of so many units of a meter: Limit.Price, at most FillMax.
local function price(units, meter)
  local us, ns, over, limit = meter[1] + 0, meter[2] + 0, meter[3] + 0, meter[4] + 0
  local most = 3155760000000000
  if units * us > most then
    return most, 0
  end
  -- floor(units * over / limit), in two halves, of which each is exact.
  local high = math.floor(units / 32768)
  local part = high * over
  local less = math.floor(part / limit)
  part = (part - less * limit) * 32768 + (units - high * 32768) * over
  ns = units * ns - less * 32768 - math.floor(part / limit)
  local carried = math.floor(ns / 1000)
  us, ns = units * us + carried, ns - carried * 1000
  if us >= most then
    return most, 0
  end
  return us, ns
end

-- The units that a meter's debt is worth, rounded up: the least whose price is as much.
local function worth(debt_us, debt_ns, meter)
  local low, high = 0, 1000000000
  while low < high do
    local middle = math.floor((low + high) / 2)
    local us, ns = price(middle, meter)
    if us < debt_us or us == debt_us and ns < debt_ns then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- Read a letter's arguments from ARGV; behind them the price, if it is wanted and there is one.
local function arguments(letter, with_price)
  local count = steps[letter][2]
  local a = {0, 0, unpack(ARGV, at, at + count - 1)}
  at = at + count
  if with_price and steps[letter].priced then
    a.price = {unpack(ARGV, at, at + 3)}
    at = at + 4
  end
  return a
end

local function read(key, letter)
  return redis.call('GETRANGE', key, 0, steps[letter][3] - 1)
end
local function ask(key, letter, how, a)
  return steps[letter][1](key, letter, how, a, read(key, letter))
end
local function failed(reply)
  return type(reply) == 'table' and reply.err
end

-- Move the units of a former's state to a part's. Returns an error, if there is one.
local function move(part, key, letter, a)
  local seen = ask(key, letter, 'p', a)
  if failed(seen) then -- it is not the former's
    return
  end
  local units
  if not steps[letter].priced then
    units = seen[2]
  elseif type(seen) == 'table' then
    units = worth(seen[1], seen[2], a.price)
  else
    units = worth(math.floor(seen / 1000), math.fmod(seen, 1000), a.price)
  end
  if units == 0 then
    return
  end
  if letter == part.letter and steps[letter].keeps then
    local own = ask(part.key, letter, 'p', part.a)
    if failed(own) then
      return own
    end
    if own[2] == 0 then
      part.a.to = part.key
      ask(key, letter, 'm', part.a)
      part.a.to = nil
      redis.call('DEL', key)
      return
    end
  end
  local taken = {unpack(part.a)}
  if part.a.price then
    taken[3], taken[4] = price(units, part.a.price)
  else
    taken[4] = units
  end
  local reply = ask(part.key, part.letter, 'f', taken)
  if failed(reply) then
    return reply
  end
  redis.call('DEL', key)
end

local parts, name = {}, 1
while at <= #ARGV do
  local letter, formers = ARGV[at], ARGV[at + 2] + 0
  local part = {key = KEYS[name], letter = letter, shadow = ARGV[at + 1]}
  at = at + 3
  part.a = arguments(letter, formers > 0)
  for former = 1, formers do
    local other = ARGV[at]
    at = at + 1
    local problem = move(part, KEYS[name + former], other, arguments(other, true))
    if problem then
      return problem
    end
  end
  name = name + 1 + formers
  part.head = read(part.key, letter)
  parts[#parts + 1] = part
end

local replies, refused = {}, {}
-- Ask the parts that are not refused. Returns an error, if there is one.
local function run(how)
  for i, part in ipairs(parts) do
    if not refused[part.shadow] then
      local reply, fits = steps[part.letter][1](part.key, part.letter, how, part.a, part.head)
      if failed(reply) then
        return redis.error_reply(string.format('WRONGTYPE %s %d', string.match(reply.err, 'WRONGTYPE (%S+)'), i))
      end
      replies[2 * i - 1], replies[2 * i], part.fits = how == 'c' and fits and 1 or 0, reply, fits
    end
  end
end

if op ~= 'p' and #parts > 1 then -- else one look is enough
  local problem = run('t')
  if problem then
    return problem
  end
  if op == 'c' then
    for _, part in ipairs(parts) do
      if not part.fits then
        refused[part.shadow] = true
      end
    end
    if refused['0'] then
      return replies
    end
  end
end
return run(op) or replies
