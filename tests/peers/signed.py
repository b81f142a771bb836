"""A pyrad request that is signed: pyrad's old version in Debian 12 does not know Message-Authenticator."""
import hashlib, hmac

from pyrad import packet


class Signed(packet.AuthPacket):
    """A request whose last attribute is a Message-Authenticator (RFC 3579 section 3.2)."""

    def RequestPacket(self):
        self[80] = [bytes(16)]
        unsigned = super().RequestPacket()
        where = unsigned.rindex(bytes([80, 18]) + bytes(16)) + 2
        signature = hmac.new(self.secret, unsigned, hashlib.md5).digest()
        return unsigned[:where] + signature + unsigned[where + 16:]

    def VerifyReply(self, reply, rawreply=None):
        self.raw = rawreply
        return super().VerifyReply(reply, rawreply)

    def is_reply_signed_first(self):
        """Whether the reply's first attribute is a Message-Authenticator that is right."""
        raw = self.raw
        blank = raw[:4] + self.authenticator + raw[20:22] + bytes(16) + raw[38:]
        return raw[20] == 80 and hmac.compare_digest(hmac.new(self.secret, blank, hashlib.md5).digest(), raw[22:38])
