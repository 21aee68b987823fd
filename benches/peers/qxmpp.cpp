// The least that the library QXmpp makes a server of: C++, one thread, a DOM tree for each stanza. Streams, logins and
// routing are its own; beside them stand rosters that answer nothing, and everybody's password is "secret".
//
// g++ -O2 -fPIC -o /tmp/peers/qxmpp benches/peers/qxmpp.cpp $(pkg-config --cflags --libs qxmpp Qt5Core Qt5Network Qt5Xml)
#include <QCoreApplication>
#include <QDomElement>
#include <QHostAddress>

#include <QXmppIq.h>
#include <QXmppPasswordChecker.h>
#include <QXmppServer.h>
#include <QXmppServerExtension.h>

class Passwords : public QXmppPasswordChecker
{
    bool hasGetPassword() const override { return true; }

    QXmppPasswordReply::Error getPassword(const QXmppPasswordRequest &, QString &password) override
    {
        password = "secret";
        return QXmppPasswordReply::NoError;
    }
};

// Answers what is asked of the server with an empty result, and drops presence: nobody has contacts.
class Empty : public QXmppServerExtension
{
public:
    bool handleStanza(const QDomElement &stanza) override
    {
        const QString to = stanza.attribute("to");
        if (!to.isEmpty() && to != server()->domain())
            return false;
        if (stanza.tagName() == "iq") {
            QXmppIq result(QXmppIq::Result);
            result.setId(stanza.attribute("id"));
            result.setFrom(server()->domain());
            result.setTo(stanza.attribute("from"));
            server()->sendPacket(result);
        }
        return stanza.tagName() != "message";
    }
};

int main(int argc, char **argv)
{
    QCoreApplication app(argc, argv);
    Passwords passwords;
    QXmppServer server;
    server.setDomain("localhost");
    server.setPasswordChecker(&passwords);
    server.addExtension(new Empty);
    return server.listenForClients(QHostAddress::LocalHost, 5305) ? app.exec() : 1;
}
