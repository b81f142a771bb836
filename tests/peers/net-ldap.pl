#!/usr/bin/env perl
# The conversation of ldap-clients.py with Net::LDAP, Perl's LDAP library: its own BER, and TLS by IO::Socket::SSL.
#
#   net-ldap.pl URL CA SERVICE SERVICE-PASSWORD BASE FILTER PASSWORD
#
# ldap:// means StartTLS. Prints one JSON object; what cannot be done at all ends with an error.
use strict;
use warnings;
use JSON::PP;
use Net::LDAP;
use Net::LDAP::Constant qw(LDAP_CONTROL_PAGED);
use Net::LDAP::Control::Paged;

my ($url, $ca, $service, $service_password, $base, $filter, $password) = @ARGV;
my $connection;

sub must {
    my ($what, $message) = @_;
    die "$what: " . $message->code . ' ' . $message->error if $message->code;
    return $message;
}

sub open_connection {
    my %tls = (verify => 'require', cafile => $ca);
    $connection = Net::LDAP->new($url, timeout => 30, %tls) or die "cannot connect: $@";
    must('StartTLS', $connection->start_tls(%tls)) if $url =~ m{^ldap://};
}

sub bind_as {
    my ($name, $with) = @_;
    return 0 + $connection->bind($name, password => $with)->code;
}

sub found {
    my ($where, $scope, $text) = @_;
    my $message = must('search', $connection->search(base => $where, scope => $scope, filter => $text, attrs => ['cn']));
    return [map { $_->dn } $message->entries];
}

sub in_pages {
    my ($page, $count) = (Net::LDAP::Control::Paged->new(size => 2), 0);
    while (1) {
        my %asked = (base => $base, filter => '(objectClass=person)', attrs => ['cn'], control => [$page]);
        my $message = must('pages', $connection->search(%asked));
        $count += $message->count;
        my ($answer) = $message->control(LDAP_CONTROL_PAGED) or die 'no control came back';
        my $cookie = $answer->cookie;
        return $count unless defined $cookie && length $cookie;
        $page->cookie($cookie);
    }
}

my %said;
open_connection();
$said{service} = bind_as($service, $service_password);
$said{found} = found($base, 'sub', $filter);
$said{paged} = in_pages();
my $person = $said{found}[0];
$said{person} = bind_as($person, $password);
$said{own_entry} = found($person, 'base', '(objectClass=*)');
$said{service_again} = bind_as($service, $service_password);
$said{found_again} = found($base, 'sub', $filter);
$said{wrong_password} = bind_as($person, 'not the password');
$connection->unbind;
open_connection();
$said{person_first} = bind_as($person, $password);
$connection->unbind;
print encode_json(\%said);
