#!/usr/bin/perl
# Judges messages by Mail::DKIM: mail_dkim.pl KEYS < LIST, where KEYS is a JSON object {name: TXT record} and a line of
# LIST the path of a message. Prints a JSON object a line: {selector: result}.
use strict;
use warnings;
use JSON::PP;
use Mail::DKIM::Verifier;
use Net::DNS;

sub slurp { open(my $file, '<:raw', $_[0]) or die "$_[0]: $!"; local $/; return <$file>; }

my $keys = decode_json(slurp($ARGV[0]));
{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        my ($name, $type) = @_;
        my $record = $keys->{lc $name};
        return unless defined $record && $type eq 'TXT';
        return Net::DNS::RR->new(owner => $name, type => 'TXT', txtdata => [$record =~ /(.{1,255})/gs]);
    };
}
$| = 1;
while (my $path = <STDIN>) {
    chomp $path;
    my $verifier = Mail::DKIM::Verifier->new();
    my $text = slurp($path);
    $verifier->PRINT(substr($text, 0, 65536, '')) while length $text;
    $verifier->CLOSE();
    my %results = map { ($_->selector => $_->result) } $verifier->signatures;
    print encode_json(\%results), "\n";
}
