-- Binary trees, records in tables, strings built piece by piece.
local rounds = tonumber(arg[1])

local function tree(depth)
	if depth == 0 then return {} end
	return { tree(depth - 1), tree(depth - 1) }
end

local function count(t)
	return t[1] and 1 + count(t[1]) + count(t[2]) or 1
end

local sum = 0
for round = 1, rounds do
	sum = sum + count(tree(15))
	local people = {}
	for i = 1, 30000 do
		people[i] = { name = "person " .. i * round % 7001, age = i % 90, tags = { i, i + 1 } }
	end
	table.sort(people, function(a, b)
		if a.name ~= b.name then return a.name < b.name end
		return a.tags[1] < b.tags[1]
	end)
	local parts = {}
	for i, p in ipairs(people) do
		parts[#parts + 1] = p.name:upper():sub(1, 9) .. p.age
	end
	local text = table.concat(parts, ",")
	for word in text:gmatch("%u+ %d+") do sum = sum + #word end
end
print(sum)
