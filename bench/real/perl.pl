# Hashes of arrays, strings cut and joined, expressions matched, sorting.
use strict;
use warnings;

my $sum = 0;
for my $round (1 .. $ARGV[0]) {
	my %index;
	for my $i (1 .. 30000) {
		my $line = join ",", "key" . ($i * $round % 4001), $i, "v" x ($i % 60), $i * 3;
		my ($key, @rest) = split /,/, $line;
		push @{$index{$key}}, [@rest];
	}
	for my $key (sort keys %index) {
		my $text = join ";", map { join ":", @$_ } @{$index{$key}};
		(my $copy = $text) =~ s/v+/<$key>/g;
		$sum += length $copy;
	}
}
print "$sum\n";
