# xmpp4r (Ruby): one makes its account over the wire and logs in by the digest of jabber:iq:auth, two by SASL PLAIN.
#
# Run by `tests/clients/run`. xmpp4r speaks TLS only where the server offers it.
# apt: ruby-xmpp4r

require 'timeout'
require 'xmpp4r'
require 'xmpp4r/roster'

PORT, ONE, SECRET1, TWO, SECRET2 = ARGV
BODY = "你好，世界 😀 <&> ']]>"
EXTENSION = "<x xmlns='urn:example:note'><time zone='东八区'>2015-06-18 14:25:36</time><msg>内容</msg></x>"

def hold(fact, what)
  fact or raise "not so: #{what}"
end

# A client with a connection of its own; what comes for it piles up in queues.
class Someone
  attr_reader :client, :messages

  def initialize(address)
    @client = Jabber::Client.new(Jabber::JID.new(address))
    @messages, @presences = Queue.new, Queue.new
    @client.add_message_callback { |message| @messages << message }
    @client.add_presence_callback { |presence| @presences << presence }
    @client.connect('127.0.0.1', PORT.to_i)
  end

  def come
    roster = @client.send_with_id(Jabber::Iq.new_rosterget).query
    hold(roster.is_a?(Jabber::Roster::IqQueryRoster) && roster.to_a.empty?, roster)
    @client.send(Jabber::Presence.new(nil, '在线', 5))
    own = @presences.pop
    hold(own.from == @client.jid && own.status == '在线' && own.priority == 5, own)
  end

  # Sends a message and holds that it arrives as it was sent.
  def say(to, receiver)
    message = Jabber::Message.new(to, BODY)
    message.type = :chat
    message.add_element(REXML::Document.new(EXTENSION).root)
    @client.send(message)
    got = receiver.messages.pop
    hold(got.from == @client.jid && got.type == :chat && got.body == BODY, got)
    extension = got.first_element('x')
    hold(extension.to_s.tr('"', "'") == EXTENSION, got)
  end
end

Timeout.timeout(30) do
  one = Someone.new("#{ONE}新@localhost/手机")
  one.client.register(SECRET1)
  one.client.auth_nonsasl(SECRET1)
  two = Someone.new("#{TWO}@localhost/desk")
  two.client.auth_sasl(Jabber::SASL.new(two.client, 'PLAIN'), SECRET2)
  one.come
  two.come
  one.say(two.client.jid.bare, two)
  two.say(one.client.jid, one)
  one.client.close
  two.client.close
end
puts 'jabber:iq:auth by digest, PLAIN, and an account made over the wire'
