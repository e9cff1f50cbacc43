# Group, join, count: a tree taken apart and another one built.
group_by(.kind) | map({ kind: .[0].kind, n: length, sum: (map(.price) | add),
	tags: (map(.tags | join("-")) | unique | length) })
