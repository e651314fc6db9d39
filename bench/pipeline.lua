-- Sends the same request N times at once; wrk counts each answer. usage: wrk -s pipeline.lua URL -- N
init = function(args)
	local depth = tonumber(args[1]) or 16
	local batch = {}
	for i = 1, depth do
		batch[i] = wrk.format()
	end
	pipelined = table.concat(batch)
end

request = function()
	return pipelined
end
