# Words, pairs of words and their lengths, counted in associative arrays.
{
	for (i = 1; i <= NF; i++) {
		count[$i]++
		if (i > 1)
			pair[$(i - 1) " " substr($i, 1, 3)]++
		lines[length($i)] = lines[length($i)] % 1000 + NR
	}
	joined[NR % 5000] = $1 "-" toupper($2) "-" $NF
}
END {
	for (w in count)
		sum += count[w] * length(w)
	for (p in pair)
		many += pair[p] > 10
	print sum, many, length(joined)
}
