"""Strangers at a real relay, with a real DNS server: lists of the configuration and of files that change under it, DNS
lists with weights, reverse DNS and HELO. Clients have any address, because a PROXY header says so."""

import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Conversation, give_to_daemon  # noqa: E402
from with_dns import WithDns  # noqa: E402

CONTACT = "; to ask about it: postmaster@example.org or +49 30 1234"
ZONES = {
    "example": [
        "mx.good A 192.0.2.1", "mx.good AAAA 2001:db8::567:89ab", "wrong.good A 192.0.2.77", "listed.good A 192.0.2.10",
        "10.2.0.192.bl A 127.0.0.2", '10.2.0.192.bl TXT "an open proxy, see https://bl.example/"',
        "11.2.0.192.bl A 127.0.0.2", "11.2.0.192.white A 127.0.9.1",
        "12.2.0.192.bl A 127.255.255.254",
        "13.2.0.192.bl A 127.0.0.99",
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl A 127.0.0.4",
        "spam.good.example.dbl A 127.0.1.2", "*.elsewhere A 192.0.2.200",
    ],
    "2.0.192.in-addr.arpa": ["1 PTR mx.good.example.", "2 PTR wrong.good.example."],
    "slow.test": None,  # its answer is a failure of the server
}
OFF = '[policy]\nspf = "off"\ndkim = "off"\narc = "off"\ndmarc = "off"\ncontact = "postmaster@example.org or +49 30 1234"\n'


class ClientPolicy(WithDns):
    zones = ZONES

    def relay(self, policy, tables="", **options):
        return self.relay_with(OFF + policy + tables, listener={"proxy_from": ["127.0.0.1"], "relay_from": ["10.0.0.0/8"]}, **options)

    def connect(self, relay, client, helo="mx.good.example"):
        """A conversation of this client, past EHLO."""
        conversation = Conversation((relay.address, relay.port))
        self.addCleanup(conversation.__exit__)
        six = ":" in client
        conversation.send("PROXY %s %s %s 4711 25\r\n" % ("TCP6" if six else "TCP4", client, "2001:db8::25" if six else "192.0.2.25"))
        self.assertEqual(conversation.reply()[0], 220)
        self.assertEqual(conversation.ask("EHLO " + helo)[0], 250)
        return conversation

    def offer(self, conversation, sender="jane@good.example"):
        """The answer to RCPT, and the transaction is forgotten."""
        self.assertEqual(conversation.ask("MAIL FROM:<%s>" % sender)[0], 250)
        answer = conversation.ask("RCPT TO:<bob@inside.example>")
        conversation.ask("RSET")
        return "%d %s" % answer

    def told(self, relay, client, helo="mx.good.example", sender="jane@good.example"):
        return self.offer(self.connect(relay, client, helo), sender)

    def assert_taken(self, answer):
        self.assertTrue(answer.startswith("250 "), answer)

    def test_reverse_dns(self):
        relay = self.relay('helo = "off"\niprev = "enforce"\n')
        self.assertEqual(self.told(relay, "192.0.2.2"),
                         "550 5.7.25 192.0.2.2 has the name wrong.good.example in the DNS, which does not lead back to it: "
                         "the A or the PTR record is wrong" + CONTACT)
        self.assertEqual(self.told(relay, "192.0.2.3"),
                         "550 5.7.25 192.0.2.3 has no name in the DNS (PTR record); whoever gave you the address can set one, "
                         "and that name must lead back to it" + CONTACT)
        self.assertEqual(relay.wait_for("rejected", 2)[0]["client"], "192.0.2.2")
        conversation = self.connect(relay, "192.0.2.1")
        for line in ("MAIL FROM:<jane@good.example>", "RCPT TO:<bob@inside.example>"):
            self.assertEqual(conversation.ask(line)[0], 250)
        self.assertEqual(conversation.ask("DATA")[0], 354)
        self.assertEqual(conversation.ask("Subject: iprev\r\n\r\nx\r\n.")[0], 250)
        judged = relay.wait_for("judged")[0]
        self.assertEqual(judged["iprev"], "pass: 192.0.2.1 is mx.good.example")
        relay.wait_for("delivered")
        got = [octets for _, octets in self.sink.messages() if b"Subject: iprev" in octets]
        self.assertIn(b"iprev=pass (mx.good.example) policy.iprev=192.0.2.1", got[0].replace(b"\r\n\t", b" "))

    def test_no_answer_refuses_nobody(self):
        relay = self.relay('helo = "enforce"\niprev = "enforce"\n', '[[policy.dnsbl]]\nzone = "slow.test"\n')
        self.assert_taken(self.told(relay, "192.0.2.1"))
        self.assertTrue(self.told(relay, "192.0.2.1", helo="a.slow.test").startswith("250 "))

    def test_helo(self):
        relay = self.relay('helo = "enforce"\niprev = "off"\n')
        says = '550 5.7.1 your server calls itself "%s"%s' + CONTACT
        for helo, why in (("pc7", ", which is no full host name; let it say its domain, too, as mail.example.net"),
                          ("192.0.2.1", ": an address stands in brackets, as [192.0.2.1] or [IPv6:2001:db8::1]"),
                          ("[192.0.2.9]", ", but its address is 192.0.2.1"),
                          ("relay.example.org", ", which is our name"),
                          ("ghost.good.example",
                           ", and there is no such name in the DNS; let it say a name that has an A or AAAA record")):
            self.assertEqual(self.told(relay, "192.0.2.1", helo=helo), says % (helo, why))
        for helo in ("mx.good.example", "[192.0.2.1]", "MX.GOOD.EXAMPLE"):
            self.assert_taken(self.told(relay, "192.0.2.1", helo=helo))
        # Whoever may relay is not asked.
        conversation = self.connect(relay, "10.1.2.3", helo="pc7")
        self.assert_taken(self.offer(conversation))

    def test_dns_lists(self):
        relay = self.relay('helo = "off"\niprev = "off"\nrefuse_at = 5\n',
                           '[[policy.dnsbl]]\nzone = "bl.example"\nweight = 5\nanswers = ["127.0.0.2", "127.0.0.4/30"]\n'
                           '[[policy.dnsbl]]\nzone = "dbl.example"\nof = "sender"\ntext = "see https://dbl.example/?%d from %a"\n'
                           '[[policy.dnswl]]\nzone = "white.example"\nweight = 2\n'
                           '[[policy.for]]\nclient = ["192.0.2.10"]\nlistener = "main"\nspf = "off"\n'
                           '[[policy.for]]\nclient = ["192.0.2.14"]\ndnsbl = "off"\n')
        self.assertEqual(self.told(relay, "192.0.2.10"),
                         "554 5.7.1 192.0.2.10 is listed by bl.example: an open proxy, see https://bl.example/" + CONTACT)
        self.assertEqual(self.told(relay, "2001:db8::567:89ab"),
                         "554 5.7.1 2001:db8::567:89ab is listed by bl.example" + CONTACT)
        self.assertEqual(self.told(relay, "192.0.2.1", sender="x@spam.good.example"),
                         "554 5.7.1 spam.good.example, the domain of the sender, is listed by dbl.example: "
                         "see https://dbl.example/?spam.good.example from 192.0.2.1" + CONTACT)
        for client in ("192.0.2.1",    # in none
                       "192.0.2.11",   # and vouched for
                       "192.0.2.12",   # the list refuses to answer us
                       "192.0.2.13"):  # an answer that does not count
            self.assert_taken(self.told(relay, client))
        self.assert_taken(self.told(relay, "192.0.2.14", sender="x@spam.good.example"))
        conversation = self.connect(relay, "192.0.2.12")
        for line in ("MAIL FROM:<jane@good.example>", "RCPT TO:<bob@inside.example>"):
            self.assertEqual(conversation.ask(line)[0], 250)
        self.assertEqual(conversation.ask("DATA")[0], 354)
        self.assertEqual(conversation.ask("Subject: x\r\n\r\nx\r\n.")[0], 250)
        self.assertEqual(relay.wait_for("judged")[0]["dnsbl"], "bl.example refuses to answer us")
        self.assertIn("bl.example refuses to answer us (127.255.255.254)", relay.wait_for("a DNS list cannot be used")[0]["error"])

    def list_file(self, text):
        folder = tempfile.TemporaryDirectory(prefix="rockdove-lists-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        path = os.path.join(folder.name, "list")
        self.write(path, text)
        return path

    def write(self, path, text, mode="w"):
        with open(path, mode) as file:
            file.write(text)
        give_to_daemon(path)

    def test_lists(self):
        path = self.list_file("# ours\n192.0.2.4\n.bad.example\n")
        relay = self.relay('helo = "enforce"\niprev = "enforce"\nallow = ["192.0.2.2", "file:%s"]\n'
                           'block = ["192.0.2.0/28", "jane@blocked.example", "helo:mx.bot.example"]\n' % path)
        self.assertEqual(self.told(relay, "192.0.2.1"),
                         "550 5.7.1 your server's address 192.0.2.1 is blocked here (192.0.2.0/28)" + CONTACT)
        self.assert_taken(self.told(relay, "192.0.2.2", helo="nonsense"))
        self.assert_taken(self.told(relay, "192.0.2.4"))
        self.assert_taken(self.told(relay, "192.0.2.1", sender="x@a.bad.example"))
        self.assertEqual(self.told(relay, "2001:db8::1", sender="Jane@blocked.example"),
                         "550 5.7.1 the sender Jane@blocked.example is blocked here (jane@blocked.example)" + CONTACT)
        self.assertEqual(self.told(relay, "2001:db8::1", helo="mx.BOT.example"),
                         "550 5.7.1 your server's name mx.BOT.example is blocked here (helo:mx.bot.example)" + CONTACT)
        shown = relay.command("check").stdout
        self.assertIn("1 here, 2 in " + path, shown)
        self.write(path, "192.0.2.4\n192.0.2.5/8\n")
        self.assertIn(path + ":2:1: error: \"192.0.2.5/8\" has bits behind its prefix; the network is 192.0.0.0/8",
                      relay.command("check", expect=1).stderr)

    def test_a_file_that_changes_is_read_again(self):
        path = self.list_file("203.0.113.1\n")
        relay = self.relay('helo = "off"\niprev = "off"\nblock = ["file:%s"]\n' % path, top={"threads": 2})
        stays = [self.connect(relay, "192.0.2.1") for _ in range(4)]  # on both loops, most likely
        self.assert_taken(self.offer(stays[0]))
        again = len(relay.log("a list was read again"))

        def wait(entries, count):
            self.assertEqual(relay.wait_for("a list was read again", count)[-1]["entries"], entries)
        if again == 0:  # it was just made, so it is read once more to be sure
            wait(1, 1)
            again = 1
        # In place, and by and by.
        self.write(path, "203.0.113.1\n192.0.2.1\n")
        wait(2, again + 1)
        blocked = "550 5.7.1 your server's address 192.0.2.1 is blocked here (192.0.2.1)" + CONTACT
        for conversation in stays:
            self.assertEqual(self.offer(conversation), blocked)
        # As editors do: another file, and a rename.
        self.write(path + ".new", "203.0.113.1\n203.0.113.2\n203.0.113.3\n")
        os.rename(path + ".new", path)
        wait(3, again + 2)
        for conversation in stays:
            self.assert_taken(self.offer(conversation))
        # A bad line changes nothing, and is told.
        self.write(path, "192.0.2.1\nno entry\n")
        told = relay.wait_for("a list was not read again")[0]
        self.assertEqual((told["level"], told["file"]), ("error", path))
        self.assertEqual(told["error"], 'line 2: "no entry": there is one entry to a line, without blanks in it')
        self.assert_taken(self.offer(stays[0]))
        # Gone: likewise.
        os.unlink(path)
        told = relay.wait_for("a list was not read again", 2)[-1]
        self.assertEqual(told["error"], "the list stays as it was read last: No such file or directory")
        self.assert_taken(self.offer(stays[0]))
        self.write(path, "192.0.2.0/24\n")
        wait(1, again + 3)
        self.assertEqual(self.offer(stays[0]), blocked.replace("(192.0.2.1)", "(192.0.2.0/24)"))


if __name__ == "__main__":
    run_tests()
