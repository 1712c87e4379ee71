"""The relay as its operator meets it: queue commands with the daemon running and stopped, signals,
crashes, a second daemon, what stops a start, and the log."""

import json
import os
import pwd
import re
import signal
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from knot import free_port  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, daemon_user, run, until  # noqa: E402
from sinks import Sink  # noqa: E402


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()


def ids(relay, *arguments):
    return sorted(entry["queue_id"] for entry in relay.queue("list", *arguments))


class Queue(Base):
    def setUp(self):
        self.sink = self.start(Sink("rcpt:later*@*=451 4.7.1 greylisted, come back", "rcpt:full*@*=452 4.2.2 mailbox full"))
        self.relay = self.start(Relay(to=self.sink.url, retry=["1h"]))
        self.one = self.relay.submit("a@one.example", ["later1@x.example"])
        self.two = self.relay.submit("b@two.example", ["later2@y.example", "full@y.example"])
        self.relay.wait_for("deferred", 3)
        until(lambda: [r["attempts"] for e in self.relay.queue("list") for r in e["recipients"]] == [1, 1, 1], "three attempts")

    def look(self):
        """The same with the daemon and without it."""
        relay = self.relay
        self.assertEqual(ids(relay), sorted([self.one, self.two]))
        for filters, found in ((["--sender", "a@one.example"], [self.one]), (["--sender", "*@two.example"], [self.two]),
                               (["--recipient", "full@y.example"], [self.two]), (["--recipient", "*@x.example"], [self.one]),
                               (["--reason", "mailbox full"], [self.two]), (["--older-than", "1h"], []), (["--state", "held"], []),
                               (["--state", "waiting"], sorted([self.one, self.two])), (["--destination", "nowhere.example"], []),
                               (["--sender", "nobody@x"], [])):
            with self.subTest(filters):
                self.assertEqual(ids(relay, *filters), found)
        entry, = relay.queue("list", "--recipient", "full@y.example")
        full = [r for r in entry["recipients"] if r["address"] == "full@y.example"][0]
        self.assertEqual((entry["queue_name"], entry["sender"]), ("deferred", "b@two.example"))
        self.assertIn("mailbox full", full["delay_reason"])
        text = relay.command("queue", "list").stdout
        for words in (self.one, "later2@y.example", "greylisted", "waits until", "2 messages"):
            self.assertIn(words, re.sub(r"\s+", " ", text))
        shown, = relay.queue("show", self.two)
        self.assertEqual(shown["message"]["queue_id"], self.two)
        self.assertEqual({step["what"] for step in shown["history"]}, {"deferred"})
        page = relay.command("queue", "show", self.two + "-1").stdout
        for words in ("Message", self.two, "b@two.example", "History", "client.example"):
            self.assertIn(words, page)
        line, = relay.queue("summary")
        self.assertEqual((line["state"], line["deliveries"]), ("waiting", 3))
        self.assertIn("3 deliveries", relay.command("queue", "summary").stdout)
        done = relay.command("queue", "show", "0F19ZD8LGWh0", expect=1)
        self.assertIn("0F19ZD8LGWh0", done.stderr)
        relay.command("queue", "show", "nonsense", expect=1)
        relay.command("queue", "list", "--state", "sleeping", expect=1)

    def test_looking_at_the_running_and_at_the_stopped_daemon(self):
        self.look()
        self.relay.stop()
        self.look()
        for command in (["retry", self.one], ["delete", self.one], ["delete", "--sender", "*", "--yes"]):
            done = self.relay.command("queue", *command, expect=1)
            self.assertIn("not running", done.stderr)

    def test_filters_need_yes_and_can_be_tried_first(self):
        relay = self.relay
        done = relay.command("queue", "delete", "--sender", "*@two.example", expect=2)
        self.assertIn("2 deliveries match", done.stdout)
        self.assertIn("--yes", done.stderr)
        relay.command("queue", "delete", "--sender", "*@two.example", "--dry-run")
        relay.command("queue", "delete", "--dry-run", "--yes", "--sender", "x@y", expect=2)
        relay.command("queue", "delete", expect=2)
        relay.command("queue", "retry", self.one, "--sender", "x@y", expect=2)
        self.assertEqual(len(ids(relay)), 2)
        relay.command("queue", "delete", "--sender", "*@two.example", "--yes")
        until(lambda: ids(relay) == [self.one], "one message")
        done = relay.command("queue", "delete", self.one, "0F19ZD8LGWh0", expect=1)
        self.assertIn("1 not in the queue", done.stdout)
        until(lambda: ids(relay) == [], "an empty queue")
        self.assertIn("empty", relay.command("queue", "list").stdout)
        self.assertEqual({entry["state"] for entry in relay.queue("summary")}, {"deleted"})
        self.assertEqual(len(ids(relay, "--state", "deleted")), 2)
        until(lambda: relay.log("act"), "the act in the log")
        if os.getuid() == 0:
            self.assertEqual({line["uid"] for line in relay.log("act")}, {0})
        self.assertEqual(self.sink.messages(), [])

    def test_retry_sends_at_once(self):
        self.relay.command("queue", "retry", "--reason", "greylisted", "--yes")
        self.relay.wait_for("deferred", 5)
        counts = {r["address"]: r["attempts"] for e in self.relay.queue("list") for r in e["recipients"]}
        self.assertEqual(counts, {"later1@x.example": 2, "later2@y.example": 2, "full@y.example": 1})


class Steering(Base):
    """Each act on a real relay; all of it survives a restart."""

    def setUp(self):
        self.sink = self.start(Sink("rcpt:later*@*=451 4.7.1 greylisted, come back"))
        self.relay = self.start(Relay(to=self.sink.url, retry=["1h"]))

    def submit(self, *recipients, sender="a@one.example"):
        return self.relay.submit(sender, list(recipients))

    def recipient(self, ident, state):
        entry, = [e for e in self.relay.queue("list", "--state", state) if e["queue_id"] == ident]
        return entry["recipients"][0]

    def restart(self):
        self.relay.stop()
        self.relay.start()

    def test_hold_release_delete_and_undelete_across_a_restart(self):
        held, gone = self.submit("later1@x.example"), self.submit("later2@x.example")
        self.relay.wait_for("deferred", 2)
        self.relay.command("queue", "hold", held, "--because", "ask Alice first")
        before = self.recipient(gone, "waiting")
        self.relay.command("queue", "delete", gone)
        self.restart()
        self.assertEqual(self.recipient(held, "held")["hold_reason"], "ask Alice first")
        self.assertEqual(ids(self.relay), [held])
        self.assertEqual(ids(self.relay, "--state", "deleted"), [gone])
        self.assertIn("0 deliveries", self.relay.command("queue", "delete", gone).stdout)
        self.assertIn("0F19ZD8LGWh0 is not in the queue", self.relay.command("queue", "delete", "0F19ZD8LGWh0", expect=1).stdout)
        self.relay.command("queue", "undelete", "--sender", "a@one.example", "--yes")
        after = self.recipient(gone, "waiting")
        self.assertEqual((after["due"], after["attempts"]), (before["due"], before["attempts"]))
        self.relay.command("queue", "release", "--state", "held", "--yes")
        until(lambda: self.recipient(held, "waiting")["attempts"] == 2, "an attempt after the release")
        page = self.relay.queue("show", gone)[0]
        steps = [step["what"] for step in page["history"]]
        self.assertEqual(steps, ["deferred", "deleted", "undeleted"])
        if os.getuid() == 0:
            self.assertIn("uid 0 (root)", page["history"][1]["reply"])

    def test_bounce_expire_and_reroute(self):
        other = self.start(Sink())
        back, old, round_about = (self.submit("later%d@x.example" % n) for n in range(3))
        self.relay.wait_for("deferred", 3)
        self.relay.command("queue", "bounce", back, "--text", "the mailing was stopped")
        until(lambda: any(b"the mailing was stopped" in octets for _, octets in self.sink.messages()), "the report")
        self.relay.command("queue", "expire", old)
        until(lambda: len(self.sink.messages()) == 2, "the report of the expiry")
        done = self.relay.command("queue", "reroute", round_about, "--to", "nowhere", expect=1)
        self.assertIn("is no target", done.stderr)
        self.relay.command("queue", "reroute", round_about, "--to", other.url)
        until(other.messages, "the message at the other host")
        until(lambda: ids(self.relay) == [], "an empty queue")

    def test_pauses_survive_a_restart_and_end_in_time(self):
        relay = self.relay
        self.assertIn("Nothing", relay.command("pause").stdout)
        relay.command("pause", "--all", "--because", "the link is down")
        first = self.submit("b@x.example")
        self.restart()
        entry = json.loads(relay.command("pause", "--json").stdout)
        self.assertEqual((entry["kind"], entry["reason"]), ("everything", "the link is down"))
        self.assertEqual(ids(relay), [first])
        relay.command("resume", "--all")
        until(lambda: ids(relay) == [], "the mail after the pause")
        refused = relay.command("resume", "--all", expect=1)
        self.assertIn("there is no pause of everything; nothing is paused", refused.stderr)
        relay.command("pause", "--for", "1h", expect=2)
        relay.command("pause", "--destination", "route:*", "--for", "2s")
        self.submit("c@x.example")
        until(lambda: len(self.sink.messages()) == 2, "the mail after two seconds")
        until(lambda: "Nothing" in relay.command("pause").stdout, "the end of the pause")
        until(lambda: relay.log("pause"), "the pause in the log")

    def test_what_is_deleted_goes_for_good_when_its_time_is_over(self):
        relay = self.start(Relay(to=self.sink.url, sections='[queue]\nmin_free_disk = "0"\nundo_time = "1s"\n'))
        ident = relay.submit("a@one.example", ["later1@x.example"])
        relay.wait_for("deferred")
        relay.command("queue", "delete", ident)
        until(lambda: ids(relay, "--state", "deleted") == [], "the end of the undo time")
        self.assertEqual(relay.queue("show", ident)[0]["history"][-1]["what"], "deleted")
        relay.command("queue", "undelete", ident, expect=1)


class Signals(Base):
    def test_sigterm_drains_what_is_under_way(self):
        sink = self.start(Sink("dot=delay 700ms"))
        relay = self.start(Relay(to=sink.url))
        relay.submit("a@example.org", ["b@example.net"])
        with relay.conversation() as client:
            client.hello()
            for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<c@example.net>", "DATA"):
                self.assertLess(client.ask(line)[0], 400)
            idle = relay.conversation()
            idle.hello()
            relay.process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.reply()[0], 421)
            idle.__exit__()
            client.send(b"Subject: late\r\n\r\nx\r\n.\r\n")
            self.assertEqual(client.reply()[0], 250)
        self.assertEqual(relay.process.wait(40), 0)
        self.assertEqual(len(relay.log("stopped")), 1)
        relay.start()
        self.assertEqual(sorted(e["recipients"] for e, _ in sink.wait(2)), [["b@example.net"], ["c@example.net"]])
        until(lambda: not relay.queue("list"), "the end of the mail")
        self.assertEqual(len(relay.log("delivered")), 2)
        self.assertEqual(len(sink.messages()), 2)

    def test_kill_and_start_again_delivers_what_waited(self):
        sink = self.start(Sink("rcpt:*=451 4.7.1 later, first 30"))
        relay = self.start(Relay(to=sink.url, retry=["1s"]))
        large = b"Subject: large\r\n\r\n" + b"x" * 76 + (b"\r\n" + b"y" * 76) * 20000 + b"\r\n"
        for i in range(10):
            relay.submit("a@example.org", ["b%d@example.net" % i], large if i == 5 else b"Subject: small\r\n\r\nsmall\r\n")
        for _ in range(3):
            relay.kill()
            relay.start()
        found = sink.wait(10)
        self.assertEqual(sorted(r for e, _ in found for r in e["recipients"]), ["b%d@example.net" % i for i in range(10)])
        self.assertTrue(any(raw.endswith(large[18:]) for _, raw in found))

    def test_faults_sent_from_outside_do_not_put_mail_on_hold(self):
        sink = self.start(Sink("dot=stall"))
        relay = self.start(Relay(to=sink.url, retry=["1s"]))
        ident = relay.submit("a@example.org", ["b@example.net"])
        for _ in range(4):
            until(lambda: relay.queue("summary"), "the queue")
            relay.kill(signal.SIGSEGV)
            relay.start()
        self.assertEqual([r["state"] for e in relay.queue("list") for r in e["recipients"]], ["waiting"])
        self.assertEqual(ids(relay), [ident])
        relay.kill()

    def test_sighup_opens_the_log_again(self):
        relay = self.start(Relay(to="discard:"))
        relay.submit("a@example.org", ["b1@example.net"])
        relay.wait_for("accepted")
        os.rename(relay.log_path, relay.log_path + ".1")
        relay.process.send_signal(signal.SIGHUP)
        until(lambda: os.path.exists(relay.log_path), "a new log")
        relay.submit("a@example.org", ["b2@example.net"])
        self.assertEqual(relay.wait_for("accepted")[0]["to"], "b2@example.net")
        with open(relay.log_path + ".1") as file:
            self.assertNotIn("b2@example.net", file.read())


class Starting(Base):
    def refused(self, relay):
        """What a start that must fail says."""
        relay.port = relay.port or free_port()
        relay.write_configuration()
        relay.launch()
        self.assertEqual(relay.process.wait(60), 1)
        return relay.stderr()

    def other(self, **options):
        relay = Relay(to="discard:", **options)
        self.addCleanup(relay.__exit__)
        return relay

    def test_a_second_daemon_on_the_same_state_is_told_of_the_first(self):
        first = self.start(Relay(to="discard:"))
        said = self.refused(self.other(state_dir=first.state_dir))
        self.assertIn("process %d" % first.process.pid, said)
        self.assertIn(first.state_dir, said)
        first.submit("a@example.org", ["b@example.net"])

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            second = self.other()
            second.port = taken.getsockname()[1]
            said = self.refused(second)
        self.assertIn("127.0.0.1:%d" % second.port, said)
        self.assertIn("in use", said)
        first = self.start(Relay(to="discard:"))
        second = self.other()
        second.port = first.port
        self.assertIn("in use", self.refused(second))

    def test_a_second_daemon_does_not_take_the_control_socket(self):
        first = self.start(Relay(to="discard:"))
        second = self.other(top={"runtime_dir": first.runtime_dir})
        self.assertIn("control.sock", self.refused(second))
        self.assertEqual(first.queue("summary"), [])

    def test_a_state_dir_that_cannot_be_written_is_named(self):
        with tempfile.NamedTemporaryFile() as file:
            said = self.refused(self.other(top={"state_dir": file.name + "/below/a/file"}))
        self.assertIn("/below/a/file", said)
        self.assertIn("cannot start", said)

    def test_a_socket_path_too_long_is_a_mistake_in_the_configuration(self):
        long_path = "/tmp/" + "x" * 100
        said = self.refused(self.other(top={"runtime_dir": long_path}))
        self.assertRegex(said, r"rockdove\.toml:\d+:\d+: error: `runtime_dir` is longer than 94")
        self.assertFalse(os.path.exists(long_path))

    def test_unknown_keys_are_named_with_a_suggestion(self):
        relay = self.other(top={"postmastr": "x@y.example"})
        said = self.refused(relay)
        self.assertRegex(said, r"rockdove\.toml:\d+:1: error: unknown key `postmastr`.*did you mean `postmaster`\?")
        self.assertEqual(said.replace("\n", "").strip(), run("check", "--config", relay.configuration, expect=1)
                         .stderr.replace("\n", "").strip())

    def test_a_missing_configuration_and_an_unknown_user_are_named(self):
        done = run("serve", "--config", "/nowhere/rockdove.toml", expect=1)
        self.assertIn("/nowhere/rockdove.toml", done.stderr)
        if os.getuid() == 0:
            self.assertIn("no-such-user", self.refused(self.other(top={"user": "no-such-user"})))

    def test_a_command_that_does_not_exist_is_named_with_those_that_do(self):
        for arguments, words in (([], "rockdove: say what to do: one of serve, "), (["queu"], "no command `queu` here: one of serve, "),
                                 (["queue", "lst"], "rockdove queue: there is no command `lst` here: one of list, "),
                                 (["queue", "list", "--jsno"], "rockdove queue list: "),
                                 (["pause", "--al"], "rockdove pause: The following argument was not expected: --al")):
            done = run(*arguments, expect=2)
            self.assertIn(words, done.stderr)
            self.assertIn("--help` says more", done.stderr)

    def test_commands_without_a_daemon_and_without_a_queue_say_so(self):
        relay = self.other()
        relay.port = free_port()
        relay.write_configuration()
        done = relay.command("queue", "list", expect=1)
        self.assertIn("no queue", done.stderr)

    def test_a_daemon_that_does_not_answer_is_named_with_its_process(self):
        relay = self.start(Relay(to="discard:"))
        relay.process.send_signal(signal.SIGSTOP)
        try:
            done = relay.command("queue", "summary", expect=1)
        finally:
            relay.process.send_signal(signal.SIGCONT)
        self.assertIn("process %d" % relay.process.pid, done.stderr)

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_started_as_root_it_becomes_its_user(self):
        relay = self.start(Relay(to="discard:"))
        with open("/proc/%d/status" % relay.process.pid) as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        uid = str(pwd.getpwnam(daemon_user()).pw_uid)
        self.assertEqual(set(status["Uid"].split()), {uid})
        self.assertNotIn("0", status["Gid"].split() + status["Groups"].split())
        # CAP_NET_BIND_SERVICE (bit 10) at most.
        self.assertEqual(int(status["CapEff"], 16) & ~(1 << 10), 0)
        mode = os.stat(os.path.join(relay.runtime_dir, "control.sock"))
        self.assertEqual(mode.st_mode & 0o777, 0o660)


class Log(Base):
    def walk(self, relay):
        relay.submit("a@example.org", ["good@example.net"])
        relay.submit("a@example.org", ["bad@example.net"])
        relay.submit("a@example.org", ["later@example.net"])
        with relay.conversation() as client:
            client.hello()
            client.ask("MAIL FROM:<>")
            client.ask("RCPT TO:<nobody@relay.example.org>")

    EVENTS = {"accepted": 3, "delivered": 2, "bounced": 1, "deferred": 1, "rejected": 1}
    RULES = ("rcpt:bad@*=550 5.1.1 no such user", "rcpt:later@*=451 4.7.1 \"later\", please")

    def test_json_has_an_object_a_line_and_one_line_for_each_event(self):
        sink = self.start(Sink(*self.RULES))
        relay = self.start(Relay(to=sink.url))
        self.walk(relay)
        for event, count in self.EVENTS.items():
            relay.wait_for(event, count)
        relay.stop()
        with open(relay.log_path) as file:
            entries = [json.loads(line) for line in file]
        for event, count in self.EVENTS.items():
            found = [entry for entry in entries if entry["message"] == event]
            self.assertEqual(len(found), count, event)
            for entry in found:
                self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertEqual(entry["level"], "info")
        deferred, = [entry for entry in entries if entry["message"] == "deferred"]
        self.assertEqual((deferred["stage"], deferred["reply"]), ("RCPT", '451 4.7.1 "later", please'))

    def test_text_is_one_line_for_each_event_that_splits_into_fields(self):
        sink = self.start(Sink(*self.RULES))
        relay = self.start(Relay(to=sink.url, log_format="text"))

        def lines(event):
            with open(relay.log_path) as file:
                return [line for line in file if re.match(r"\S+ info %s " % event, line)]
        self.walk(relay)
        for event, count in self.EVENTS.items():
            until(lambda: len(lines(event)) >= count, event)
        relay.stop()
        field = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^" ]*)')
        for event, count in self.EVENTS.items():
            found = lines(event)
            self.assertEqual(len(found), count, event)
            for line in found:
                rest = re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info %s" % event, "", line.rstrip("\n"))
                self.assertEqual(field.sub("", rest), "", line)
        fields = dict(field.findall(lines("accepted")[0]))
        self.assertEqual((fields["from"], fields["to"]), ("<a@example.org>", "<good@example.net>"))


if __name__ == "__main__":
    run_tests()
