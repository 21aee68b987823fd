# Net::XMPP (Perl): one logs in by the digest of jabber:iq:auth and two by SASL PLAIN, each with roster and presence.
#
# Run by `tests/clients/run`. Net::XMPP speaks TLS only where it is told to.
# apt: libnet-xmpp-perl libauthen-sasl-perl

use strict;
use warnings;
use utf8;
use Encode qw(decode_utf8 encode_utf8);
use Net::XMPP;

my ($port, $one_name, $secret1, $two_name, $secret2) = @ARGV;
my $body = "你好，世界 😀 <&> ']]>";
my $extension = "<x xmlns='urn:example:note'><time zone='东八区'>2015-06-18 14:25:36</time><msg>内容</msg></x>";

alarm 30;

sub hold {
    my ($fact, $what) = @_;
    $fact or die encode_utf8("not so: $what\n");
}

# A client with a connection of its own; what comes for it piles up.
sub someone {
    my ($name, $secret, $resource, $log_in) = @_;
    my $address = decode_utf8($name) . "\@localhost/$resource";
    my %self = (client => Net::XMPP::Client->new(), address => $address, messages => []);
    $self{client}->SetCallBacks(
        message  => sub { push @{ $self{messages} }, $_[1] },
        presence => sub { $self{presence} = $_[1] },
    );
    $self{client}->Connect(hostname => 'localhost', port => $port) or die "no connection\n";
    # What is hashed or coded must be bytes, what is written into XML must be characters.
    $name = decode_utf8($name) if $log_in eq 'AuthIQAuth';
    my @result = $self{client}->$log_in(username => $name, password => $secret, resource => $resource);
    hold($result[0] eq 'ok', "@result");
    my %roster = $self{client}->RosterGet();
    hold(!%roster, join ' ', keys %roster);
    $self{client}->PresenceSend(show => 'dnd', priority => 5);
    process(\%self) until $self{presence};
    hold($self{presence}->GetFrom() eq $self{address}, $self{presence}->GetXML());
    return \%self;
}

sub process {
    my ($self) = @_;
    defined $self->{client}->Process(1) or die "the connection is lost\n";
}

# Sends a message and holds that it arrives as it was sent.
sub say_to {
    my ($from, $address, $to) = @_;
    my $message = Net::XMPP::Message->new();
    $message->SetMessage(to => $address, type => 'chat', body => $body);
    $message->InsertRawXML($extension);
    $from->{client}->Send($message);
    process($to) until @{ $to->{messages} };
    my $got = shift @{ $to->{messages} };
    my $xml = $got->GetXML();
    hold($got->GetFrom() eq $from->{address} && $got->GetType() eq 'chat' && $got->GetBody() eq $body, $xml);
    hold(index($xml, $extension) > 0, $xml);
}

my $one = someone($one_name, $secret1, '手机', 'AuthIQAuth');
my $two = someone($two_name, $secret2, 'desk', 'AuthSASL');
say_to($one, decode_utf8("$two_name\@localhost"), $two);
say_to($two, $one->{address}, $one);
$_->{client}->Disconnect() for $one, $two;
print "jabber:iq:auth by digest, and PLAIN\n";
