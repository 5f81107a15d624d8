#!/usr/bin/perl
# Nearest class mean on a table of wines: nearest_mean.pl TABLE JOB. Every third row is for testing.
use strict;
use warnings;

my ($table, $job) = @ARGV;
open(my $rows, '<', $table) or die "cannot read $table: $!\n";
<$rows>;
my (@train, @test);
while (my $line = <$rows>) {
    chomp $line;
    push @{ $. % 3 ? \@train : \@test }, [split /,/, $line];
}

# Columns to one scale: that of the whole training table, the same for every model.
for my $c (0 .. 12) {
    my ($sum, $squares) = (0, 0);
    for (@train) { $sum += $_->[$c]; $squares += $_->[$c]**2 }
    my $mean = $sum / @train;
    my $scale = sqrt($squares / @train - $mean**2);
    $_->[$c] = ($_->[$c] - $mean) / $scale for @train, @test;
}

# A .npy file: magic, version, length of the header, header, numbers.
open(my $in, '<:raw', "$job/indices.npy") or die "no indices: $!\n";
read $in, my $head, 10;
read $in, my $header, unpack 'x8 v', $head;
my @indices = unpack 'q<*', do { local $/; <$in> };

my (@mean, @count);
for my $row (@train[@indices]) {
    $count[$row->[13]]++;
    $mean[$row->[13]][$_] += $row->[$_] for 0 .. 12;
}
for my $class (0 .. 2) {
    die "no wine of class $class in this subset\n" unless $count[$class];
    $_ /= $count[$class] for @{ $mean[$class] };
}

# Margin: how much farther the nearest wrong mean is than the right one.
my @margins;
for my $row (@test) {
    my @distance = map { my $m = $_; my $d = 0; $d += ($row->[$_] - $m->[$_])**2 for 0 .. 12; sqrt $d } @mean;
    my ($right) = splice @distance, $row->[13], 1;
    push @margins, ($distance[0] < $distance[1] ? $distance[0] : $distance[1]) - $right;
}
$header = sprintf "%-117s\n", sprintf "{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }", scalar @margins;
open(my $out, '>:raw', "$job/test_margins.npy") or die "cannot write: $!\n";
print $out "\x93NUMPY\x01\x00", pack('v', length $header), $header, pack('f<*', @margins);
close $out or die "cannot write: $!\n";
