-- A call: several limits at once, all or nothing. See engine/call.go, where the rules are explained.
--
-- Each part is asked by the step of its algorithm. scripts.go makes a function of each step, which
-- looks, and returns another function that acts, by an operation, and whether what is asked fits. It
-- puts them in the table steps, by letter.
--
-- A former is a limit that the part's has replaced. If its state is live, its units are moved to the
-- part's before: taken by force, and the former's state is deleted.
--
-- KEYS     for each part its state, and behind it those of its formers
-- ARGV[1]  the operation: c (check), p (peek), r (refund) or f (force)
-- ARGV[2]  in tests only, the instant in microseconds; else empty
-- ARGV[3]  not 0 if there are formers
--
-- For each part: the five arguments of its step, its letter, the number of its shadow or 0, and
-- how many formers it has. If it has formers, its price; and for each former the five arguments of
-- a step that costs one unit, its letter, and its price.
--
-- A shadow is parts that never deny the call, and take all or nothing among themselves. A price
-- is four numbers, which are a meter's: what a unit costs (microseconds, nanoseconds, rounded up), how
-- much less a period's units cost together (nanoseconds), and how many units these are.
--
-- Replies for each part whether a check has taken, and the reply of its step.
local op, at, name = ARGV[1], 4, 1

local function look(key, letter, how, a)
  local head = redis.call('GETRANGE', key, 0, 2047)
  return steps[letter](key, letter, how, a, head)
end

local move -- the units of a former to a part
if ARGV[3] ~= '0' then
  -- What so many units of a meter cost: Limit.Price, at most FillMax.
  local function price(units, of)
    local us, ns, over, limit = of[1] + 0, of[2] + 0, of[3] + 0, of[4] + 0
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

  -- The units that a debt is worth, rounded up: the least that cost as much.
  local function worth(debt_us, debt_ns, of)
    local low, high = 0, 1000000000
    while low < high do
      local middle = math.floor((low + high) / 2)
      local us, ns = price(middle, of)
      if us < debt_us or us == debt_us and ns < debt_ns then
        low = middle + 1
      else
        high = middle
      end
    end
    return low
  end

  -- Returns an error, if there is one.
  move = function(part, own_price, key, former, former_price)
    local letter, own = former[8], part[8]
    local act = look(key, letter, 'p', former)
    if type(act) == 'table' then -- it is not the former's
      return
    end
    local seen, units = act('p')
    if not string.find(letter, '[meters]') then
      units = seen[2]
    elseif type(seen) == 'table' then
      units = worth(seen[1], seen[2], former_price)
    else
      units = worth(math.floor(seen / 1000), math.fmod(seen, 1000), former_price)
    end
    if units == 0 then
      return
    end
    act = look(part[1], own, 'f', part)
    if type(act) == 'table' then
      return act
    end
    if letter == own and string.find(letter, '[entries]') and act('p')[2] == 0 then
      part.to = part[1]
      look(key, letter, 'p', part)('m')
      part.to = nil
    else
      local taken = {unpack(part)}
      if string.find(own, '[meters]') then
        taken[3], taken[4] = price(units, own_price)
      else
        taken[4] = units
      end
      look(part[1], own, 'f', taken)('f')
    end
    redis.call('DEL', key)
  end
end

-- Look at each part, with nothing taken.
local parts, replies, refused = {}, {}, {}
while at <= #ARGV do
  local i, key = #parts + 1, KEYS[name]
  local part = {key, 0, unpack(ARGV, at, at + 7)}
  local letter, formers = part[8], part[10] + 0
  at, name = at + 8, name + 1
  if formers > 0 then
    local own_price = {unpack(ARGV, at, at + 3)}
    at = at + 4
    for _ = 1, formers do
      local former = {0, 0, unpack(ARGV, at, at + 5)}
      local problem = move(part, own_price, KEYS[name], former, {unpack(ARGV, at + 6, at + 9)})
      if problem then
        return redis.error_reply(string.format('WRONGTYPE %s %d', string.match(problem.err, 'WRONGTYPE (%S+)'), i))
      end
      at, name = at + 10, name + 1
    end
  end
  local act, fits = look(key, letter, op, part)
  if type(act) == 'table' then
    return redis.error_reply(string.format('WRONGTYPE %s %d', string.match(act.err, 'WRONGTYPE (%S+)'), i))
  end
  if not fits then
    refused[part[9]] = true
  end
  part[2], parts[i] = act, part
end

for i, part in ipairs(parts) do
  local takes = 1
  if op == 'c' and (refused['0'] or refused[part[9]]) then
    takes = 0
  end
  replies[2 * i - 1], replies[2 * i] = takes, part[2](takes == 1 and op or 'p')
end
return replies
