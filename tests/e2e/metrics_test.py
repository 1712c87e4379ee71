"""/metrics and /healthz of a relay with traffic behind it, over the control socket and over TCP: the
counts are those of the traffic, `promtool check metrics` finds nothing to say, the dashboard shows nothing
that is not there, and clients that are slow or absurd are no trouble."""

import json
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from disks import mounted_for, tmpfs  # noqa: E402
from knot import free_port  # noqa: E402
from load import BODY  # noqa: E402
from main import run_tests  # noqa: E402
from relay import Relay, give_to_daemon, until  # noqa: E402
from reload_test import make_certificate, tls_section  # noqa: E402
from sinks import Sink  # noqa: E402

CONTRIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib")
HTTP_CONNECTIONS = 32  # admin::kHttpConnectionsMax


def curl(where, path, *options):
    """(status, text) by curl: over TCP to a port, or to a Unix socket."""
    target = ["http://127.0.0.1:%d%s" % (where, path)] if isinstance(where, int) else \
        ["--unix-socket", where, "http://rockdove" + path]
    done = subprocess.run(["curl", "-sS", "--max-time", "30", "-w", "\n%{http_code}", *options, *target],
                          capture_output=True, text=True, timeout=60)
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def raw(port, octets):
    """All that is answered to these octets, until the server closes."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def samples(text):
    """{'name{label="value"}': number}"""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


def admin(port):
    return '[admin]\nhttp = "127.0.0.1:%d"\n' % port


class Base(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def relay(self, to="discard:", sections="", **options):
        """With admin.http at self.http."""
        self.http = free_port()
        relay = self.start(Relay(to=to, sections=admin(self.http) + sections, **options))
        self.control = os.path.join(relay.runtime_dir, "control.sock")
        return relay

    def metrics(self, relay):
        status, text = curl(os.path.join(relay.runtime_dir, "control.sock"), "/metrics")
        self.assertEqual(status, 200)
        return samples(text)

    def moved(self, relay, before, expected):
        """Waits until exactly these counters have moved by exactly so much."""
        def look():
            now = self.metrics(relay)
            moved = {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name, 0)}
            counted.update({"moved": moved})
            return {name: moved.get(name, 0) for name in expected} == expected and moved
        counted = {}
        return until(look, lambda: "%s\nfound %s" % (expected, counted))


class Counts(Base):
    def test_counts_move_by_the_traffic(self):
        sink = self.start(Sink("rcpt:later@*=451 4.7.1 greylisted", "rcpt:never@*=550 5.1.1 no such user"))
        relay = self.relay(sink.url, listener={"relay_from": ["127.0.0.1"]})
        before = self.metrics(relay)
        self.assertEqual({name for name, value in before.items() if name.endswith("_total") and value != 0}, set())
        message = b"Subject: hello\r\n\r\nhello\r\n"
        relay.submit("a@example.org", ["good@example.net", "later@example.net", "never@example.net"], message)
        relay.submit("a@example.org", ["good@example.net"], message)
        with relay.conversation("127.0.0.2") as stranger:
            stranger.hello()
            stranger.ask("MAIL FROM:<a@example.org>")
            self.assertEqual(stranger.ask("RCPT TO:<b@example.net>")[0], 550)
            self.assertEqual(stranger.ask("QUIT")[0], 221)
        # The report about never@ goes to the sink, too.
        expected = {"rockdove_messages_accepted_total": 2, 'rockdove_deliveries_total{result="delivered"}': 3,
                    'rockdove_deliveries_total{result="deferred"}': 1, 'rockdove_deliveries_total{result="bounced"}': 1,
                    "rockdove_connections_in_total": 3, 'rockdove_refused_total{kind="permanent",subject="policy"}': 1}
        moved = self.moved(relay, before, expected)
        counters = {name: value for name, value in moved.items() if "_total" in name}
        connected = counters.pop('rockdove_connections_out_total{result="connected"}')
        self.assertGreaterEqual(connected, 1)
        by_loop = [name for name in counters if name.startswith("rockdove_loop_connections_out_total{")]
        self.assertEqual(sum(counters.pop(name) for name in by_loop), connected)
        self.assertGreater(counters.pop("rockdove_accepted_bytes_total"), 2 * len(message))
        self.assertEqual(counters, expected)  # and nothing else has
        now = self.metrics(relay)
        self.assertGreaterEqual(now["rockdove_commit_seconds_count"], 4)
        for name in ("rockdove_commit_seconds", "rockdove_store_write_seconds", "rockdove_store_group_changes",
                     "rockdove_loop_turn_seconds", "rockdove_loop_turn_processor_seconds"):
            self.assertGreater(now[name + "_sum"], 0, name)
            self.assertEqual(now[name + '_bucket{le="+Inf"}'], now[name + "_count"])
        longest = {name: value for name, value in now.items() if "_processor_longest_" in name}
        self.assertEqual(set(longest), {'rockdove_loop_turn_processor_longest_seconds{loop="%d"}' % loop
                                        for loop in range(os.cpu_count())})
        self.assertGreater(max(longest.values()), 0)
        self.assertLessEqual(max(longest.values()), now["rockdove_loop_turn_processor_seconds_sum"])
        self.assertEqual(now["rockdove_store_group_changes_sum"], now["rockdove_commit_seconds_count"])
        self.assertEqual((now["rockdove_healthy"], now["rockdove_connections_in"]), (1, 0))
        self.assertGreater(now["rockdove_disk_free_bytes"], 0)
        self.assertEqual(now["rockdove_memory_limit_bytes"], 256_000_000)

    def test_what_traffic_rules_do_and_budgets_that_are_used_up(self):
        profiles = tempfile.mkdtemp(prefix="rockdove-profiles-")
        self.addCleanup(shutil.rmtree, profiles)
        os.chmod(profiles, 0o755)
        with open(os.path.join(profiles, "own.toml"), "w") as file:
            for reply, actions in (("550 5.7.1 slow", 'backoff = "x0.5"\nretry_in = "1h"'), ("450 4.7.1 never", "bounce = true"),
                                   ("450 4.7.1 red", 'pause = "1h"\npause_of = "tenant"')):
                file.write("[[default.on]]\nreply = '^%s'\n%s\nsamples = [\"%s\"]\n" % (reply, actions, reply))
        sink = self.start(Sink("rcpt:slow@*=550 5.7.1 slow down", "rcpt:never@*=450 4.7.1 never again", "rcpt:red@*=450 4.7.1 red"))
        relay = self.relay(sink.url, sections='[traffic]\nprofiles = ["%s"]\n[[route]]\nname = "small"\nrecipient = "*@small.example"\n'
                           'to = "%s"\nrate = "2/h"\n' % (profiles, sink.url))
        before = self.metrics(relay)
        for recipient in ("slow@a.example", "never@a.example", "a@small.example", "b@small.example", "c@small.example", "red@b.example"):
            relay.submit("", [recipient])
        self.moved(relay, before, {'rockdove_traffic_rule_actions_total{action="%s"}' % action: 1
                                   for action in ("backoff", "defer", "bounce", "pause")} | {"rockdove_budgets_used_up_total": 1})

    def test_what_a_person_deletes_and_what_nobody_hears_of(self):
        sink = self.start(Sink("rcpt:later@*=451 4.7.1 greylisted", "rcpt:never@*=550 5.1.1 no such user"))
        relay = self.relay(sink.url, sections='[queue]\nmin_free_disk = "0"\nundo_time = "1s"\n')
        before = self.metrics(relay)
        ident = relay.submit("a@example.org", ["later@example.net"])
        with relay.client() as client:
            client.ehlo()
            client.mail("a@example.org")
            self.assertEqual(client.rcpt("never@example.net", ["NOTIFY=NEVER"])[0], 250)
            self.assertEqual(client.data(b"Subject: x\r\n\r\nx\r\n")[0], 250)
        relay.wait_for("deferred")
        relay.command("queue", "delete", ident, "--yes")
        self.moved(relay, before, {'rockdove_deliveries_total{result="deleted"}': 1,
                                   'rockdove_deliveries_total{result="unreported"}': 1,
                                   'rockdove_deliveries_total{result="deferred"}': 1,
                                   'rockdove_deliveries_total{result="bounced"}': 0})

    def test_the_queue_by_state(self):
        sink = self.start(Sink("rcpt:later@*=451 4.7.1 greylisted"))
        relay = self.relay(sink.url)
        relay.submit("a@example.org", ["later1@example.net", "later@example.net", "later@example.com"])
        relay.wait_for("deferred", 2)
        # The row of what was delivered goes a moment after its log line, and counts are kept for ten seconds.
        waiting = 'rockdove_queue_deliveries{state="waiting"}'
        until(lambda: self.metrics(relay)[waiting] == 2, lambda: "waiting: %s" % self.metrics(relay)[waiting])
        found = self.metrics(relay)
        self.assertEqual(found['rockdove_queue_deliveries{state="held"}'], 0)
        self.assertGreater(found["rockdove_queue_oldest_seconds"], 0)
        self.assertLess(found["rockdove_queue_oldest_seconds"], 600)

    def test_versions_of_tls_both_ways_and_failures(self):
        far = self.start(Relay(to="discard:"))
        relay = self.relay("smtp://127.0.0.1:%d" % far.port, listener={"tls_min": "1.0"})
        near, there = self.metrics(relay), self.metrics(far)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl._create_unverified_context()
            context.minimum_version = context.maximum_version = version
            with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
                client.starttls(context=context)
                client.sendmail("a@example.org", ["b@example.net"], b"Subject: x\r\n\r\nx\r\n")
        with relay.conversation() as broken:
            broken.hello()
            self.assertEqual(broken.ask("STARTTLS")[0], 220)
            broken.send(b"this is no TLS\r\n")
            broken.is_closed()
        moved = self.moved(relay, near, {'rockdove_tls_connections_total{direction="in",version="1.2"}': 1,
                                         'rockdove_tls_connections_total{direction="in",version="1.3"}': 1,
                                         'rockdove_tls_failures_total{direction="in"}': 1,
                                         'rockdove_deliveries_total{result="delivered"}': 2})
        self.assertNotIn('rockdove_tls_failures_total{direction="out"}', moved)
        out = moved['rockdove_tls_connections_total{direction="out",version="1.3"}']
        self.assertGreaterEqual(out, 1)
        self.moved(far, there, {'rockdove_tls_connections_total{direction="in",version="1.3"}': out})

    def test_proxies_without_a_header(self):
        relay = self.relay(listener={"proxy_from": ["127.0.0.9"]})
        before = self.metrics(relay)
        with relay.conversation("127.0.0.9") as bad:
            bad.send(b"EHLO client.example\r\n")
            self.assertTrue(bad.is_closed())
        with relay.conversation("127.0.0.9") as good:
            good.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n")
            good.hello()
        moved = self.moved(relay, before, {"rockdove_proxy_errors_total": 1, "rockdove_connections_in_total": 1})
        self.assertNotIn("rockdove_refused_total", "".join(moved))

    def test_certificates_and_their_ends(self):
        folder = self.start(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        pair = make_certificate(folder, "a", "mail.example", days=10)
        relay = self.relay()
        left = {name: value for name, value in self.metrics(relay).items() if "certificate" in name}
        self.assertEqual(len(left), 2, left)  # of our own, for a year
        for name, value in left.items():
            self.assertRegex(name, r'source="%s/tls/(p256|rsa)\.pem",name="relay\.example\.org"' % re.escape(relay.state_dir))
            self.assertAlmostEqual(value / 86400, 365, delta=0.1)
        relay._sections += tls_section(pair)
        relay.write_configuration()
        relay.process.send_signal(signal.SIGHUP)
        relay.wait_for("reloaded")
        (name, value), = ((n, v) for n, v in self.metrics(relay).items() if "certificate" in n)
        self.assertIn('name="mail.example",key="P-256"', name)
        self.assertIn(pair[0], name)
        self.assertAlmostEqual(value / 86400, 10, delta=0.1)

    def test_promtool_the_page_and_the_dashboard(self):
        relay = self.relay()
        relay.submit("a@example.org", ["b@example.net"])
        relay.wait_for("discarded")
        status, text = curl(self.http, "/metrics")
        self.assertEqual(status, 200)
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))
        families = set(re.findall(r"^# TYPE (\S+)", text, re.M))
        histograms = set(re.findall(r"^# TYPE (\S+) histogram", text, re.M))
        there = families | {name + end for name in histograms for end in ("_bucket", "_sum", "_count")}
        labels = {}
        for name, inside in re.findall(r"^(rockdove_\w+)\{(.*)\} ", text, re.M):
            labels.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
        with open(os.path.join(CONTRIB, "dashboards", "rockdove.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        self.assertGreater(len(expressions), 10)
        for expression in expressions:
            with self.subTest(expression):
                named = set(re.findall(r"rockdove_\w+", expression))
                self.assertTrue(named and named <= there, named - there)
                known = set().union(*(labels.get(name, set()) for name in named)) | {"instance", "job"}
                used = set(re.findall(r"[{,](\w+)=", expression))
                for group in re.findall(r"by \(([^)]*)\)", expression):
                    used |= {label.strip() for label in group.split(",")}
                self.assertLessEqual(used, known)
        rules = "groups: [{name: dashboard, rules: %s}]" % json.dumps(
            [{"record": "panel_%d" % number, "expr": expression.replace("$instance", ".*")}
             for number, expression in enumerate(expressions)])
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(rules)
            file.flush()
            checked = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        with open(os.path.join(CONTRIB, "doc", "monitoring.md"), encoding="utf-8") as file:
            documented = set(re.findall(r"rockdove_\w+", file.read()))
        self.assertEqual((documented - there, families - documented), (set(), set()))


class Health(Base):
    def test_over_tcp_there_is_nothing_else(self):
        self.relay()
        for where in (self.http, self.control):
            self.assertEqual(curl(where, "/healthz"), (200, "ok\n"))
            self.assertEqual(curl(where, "/healthz", "--head")[0], 200)
            self.assertEqual(curl(where, "/metrics", "--data", "x")[0], 413 if where == self.http else 405)
            self.assertEqual(curl(where, "/metrics", "-X", "DELETE")[0], 405)
            self.assertEqual(curl(where, "/")[0], 404)
        for path in ("/v1/queue", "/v1/queue/summary", "/v1/alive", "/v1/route?address=a@example.net"):
            self.assertEqual(curl(self.http, path)[0], 403, path)
            self.assertEqual(curl(self.control, path)[0], 200, path)
        for path in ("/v1/queue/delete", "/v1/queue/retry"):
            self.assertEqual(curl(self.http, path, "-X", "POST")[0], 403, path)

    def test_while_it_drains_it_says_so(self):
        relay = self.relay()
        with relay.conversation() as client:
            client.hello()
            for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"):
                self.assertLess(client.ask(line)[0], 400)
            relay.process.send_signal(signal.SIGTERM)
            for where in (self.http, self.control):
                until(lambda: curl(where, "/healthz") == (503, "the relay is stopping\n"), "503")
                self.assertEqual(samples(curl(where, "/metrics")[1])["rockdove_healthy"], 0)
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", relay.port))
            client.send(b"Subject: late\r\n\r\nx\r\n.\r\n")
            self.assertEqual(client.reply()[0], 250)
        self.assertEqual(relay.process.wait(40), 0)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.http))

    def test_it_may_stop_while_somebody_asks(self):
        relay = self.relay()
        with socket.create_connection(("127.0.0.1", self.http)) as half, socket.create_connection(
                ("127.0.0.1", self.http)) as flood:
            half.sendall(b"GET /metrics HTT")
            flood.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
            relay.stop()

    def test_without_room_on_the_disk_it_says_so(self):
        relay = self.relay(sections='[queue]\nmin_free_disk = "1000T"\n')
        status, text = curl(self.control, "/healthz")
        self.assertEqual(status, 503)
        self.assertIn("less than min_free_disk, 1000T; new mail is refused", text)
        self.assertEqual(self.metrics(relay)["rockdove_disk_free_minimum_bytes"], 1e15)

    def test_when_the_queue_cannot_be_written_it_says_so(self):
        disk = mounted_for(self, lambda: tmpfs(130_000_000))
        state = os.path.join(disk.path, "state")
        os.mkdir(state)
        give_to_daemon(state)
        relay = self.relay(self.start(Sink()).url, state_dir=state)
        self.assertEqual(curl(self.http, "/healthz")[0], 200)
        ballast = os.path.join(disk.path, "ballast")

        def fill():
            with open(ballast, "ab", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(65536))
                except OSError:
                    return

        def hand_in():
            fill()  # what the store gave back
            with relay.conversation() as client:
                client.hello()
                for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>"):
                    if client.ask(line)[0] != 250:
                        return
                if client.ask("DATA")[0] == 354:
                    client.send(BODY + b".\r\n")
                    client.reply()

        def look():
            hand_in()
            status, text = curl(self.http, "/healthz")
            return text if status == 503 else None

        text = until(look, "503", 60)
        self.assertEqual(text, "the queue in %s cannot be written; no mail is accepted or sent until it can\n" % state)
        os.unlink(ballast)
        until(lambda: curl(self.http, "/healthz") == (200, "ok\n"), "ok")


class Clients(Base):
    """Over TCP, where anybody may come."""

    def test_slow_ones_take_no_more_than_their_places(self):
        self.relay()
        slow = [socket.create_connection(("127.0.0.1", self.http), 30) for _ in range(HTTP_CONNECTIONS)]
        for connection in slow:
            self.addCleanup(connection.close)
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        until(lambda: self.is_turned_away(), "no place")
        self.assertEqual(curl(self.control, "/healthz"), (200, "ok\n"))
        # Each has 10 seconds, and learns why it is over.
        for connection in slow:
            answer = connection.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)
        until(lambda: curl(self.http, "/healthz") == (200, "ok\n"), "a place")

    def is_turned_away(self):
        with socket.create_connection(("127.0.0.1", self.http), 30) as connection:
            try:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return connection.recv(1) == b""
            except ConnectionError:
                return True

    def test_absurd_ones_are_refused_and_do_no_harm(self):
        relay = self.relay()
        for octets, status in ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n", b"400"),
                               (b"EHLO client.example\r\n\r\n", b"400"),
                               (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
                               (b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
                               (b"GET metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
                               (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
                               (b"GET /metrics HTTP/3.7\r\nHost: a\r\n\r\n", b"505"),
                               (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
                               (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"431"),
                               (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"431"),
                               (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
                               (b"GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411")):
            with self.subTest(octets[:60]):
                answer = raw(self.http, octets)
                self.assertEqual(answer.split(b" ")[1:2], [status], answer[:200])
        self.assertEqual(raw(self.http, b""), b"")
        self.assertEqual(curl(self.http, "/healthz"), (200, "ok\n"))
        relay.stop()

    def test_one_that_asks_much_and_reads_late_is_answered_piece_by_piece(self):
        self.relay()
        asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
        with socket.create_connection(("127.0.0.1", self.http), 30) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(1)
            with self.assertRaises(TimeoutError):  # it is held back, and what the kernel keeps is bounded
                for _ in range(3000):
                    connection.sendall(asked)
            self.assertEqual(curl(self.http, "/healthz"), (200, "ok\n"))
            connection.settimeout(30)
            found = connection.recv(65536)
            self.assertTrue(found.startswith(b"HTTP/1.1 200 OK"), found[:100])


class Reload(Base):
    def reload(self, relay, sections, expect="reloaded"):
        before = len(relay.log(expect))
        relay._sections = sections
        relay.write_configuration()
        relay.process.send_signal(signal.SIGHUP)
        return relay.wait_for(expect, before + 1)[-1]

    def test_the_listener_comes_moves_and_goes(self):
        relay = self.start(Relay(to="discard:", top={"threads": 2}))
        first, second = free_port(), free_port()
        for port in (first, second):
            self.reload(relay, admin(port))
            self.assertEqual(curl(port, "/healthz"), (200, "ok\n"))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", first))
        # A connection that stays is served on; the listener of the same address keeps its socket.
        with socket.create_connection(("127.0.0.1", second), 30) as kept:
            self.reload(relay, admin(second) + "[limits]\nconnections_in = 1234\n")
            kept.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            said = b"".join(iter(lambda: kept.recv(65536), b""))
            self.assertIn(b"\nrockdove_connections_in_limit 1234\n", said)
        self.reload(relay, "")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", second))
        self.assertEqual(relay.log("a changed key counts from the next start"), [])

    def test_a_port_that_is_taken_leaves_all_as_it_was(self):
        relay = self.relay()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            said = self.reload(relay, admin(port), "not reloaded: all stays as it was")
            self.assertIn("admin.http: listening on 127.0.0.1:%d: Address already in use" % port, said["error"])
            self.assertEqual(curl(self.http, "/healthz"), (200, "ok\n"))
            # At the start it is an error that says so.
            relay.stop()
            relay.launch()
            self.assertEqual(relay.process.wait(60), 1)
            self.assertIn("cannot start: admin.http: listening on 127.0.0.1:%d: Address already in use" % port, relay.stderr())

    def test_check_shows_it_and_finds_what_is_wrong(self):
        relay = self.relay()
        self.assertIn("admin.http         127.0.0.1:%d\n" % self.http, relay.command("check").stdout)
        for bad, words in (("localhost:80", '"localhost:80"'), ("127.0.0.1", '"127.0.0.1"'), ("127.0.0.1:99999", '"127.0.0.1:99999"'),
                           ("127.0.0.1:%d" % relay.port, "is taken already")):
            relay._sections = '[admin]\nhttp = "%s"\n' % bad
            relay.write_configuration()
            done = relay.command("check", expect=None)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stdout + done.stderr)


if __name__ == "__main__":
    run_tests()
