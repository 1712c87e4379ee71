"""A smarthost takes so many recipients an hour and no more: the rest goes by the next upstream, or waits and
says so; over restarts and crashes, too."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from main import run_tests  # noqa: E402
from relay import Relay, until  # noqa: E402
from sinks import Sink  # noqa: E402


class Budgets(unittest.TestCase):
    def start(self, thing):
        self.addCleanup(thing.__exit__, None, None, None)
        return thing.__enter__()

    def upstream(self, name, sink, keys="", recipient="*"):
        return ('[[route]]\nname = "%s"\nrecipient = "%s"\nto = "%s"\n%s\n' % (name, recipient, sink.url, keys))

    def send(self, relay, count):
        return [relay.submit("ann@shop.example", ["bob%d@any.example" % number]) for number in range(count)]

    def recipients(self, sink):
        return sum(len(envelope["recipients"]) for envelope, _ in sink.messages())

    def test_the_next_upstream_takes_what_the_first_may_not(self):
        first, second = self.start(Sink()), self.start(Sink())
        # The conditions of the second are not asked.
        relay = self.start(Relay(sections=self.upstream("m365", first, 'recipient_rate = "5/h"\noverflow = "second"') +
                                 self.upstream("second", second, recipient="nobody@else.example")))
        self.send(relay, 12)
        second.wait(7)
        first.wait(5)
        until(lambda: not relay.queue("list"), "the end of the mail")
        self.assertEqual((self.recipients(first), self.recipients(second)), (5, 7))
        line = relay.wait_for("a budget is used up")[0]
        self.assertEqual((line["account"], line["budget"], line["mail"]),
                         ("route:m365", "5 recipients an hour", "goes by route:second"))
        relay.stop()
        relay.start()
        self.send(relay, 3)
        second.wait(10)
        relay.kill()
        relay.start()
        self.send(relay, 2)
        second.wait(12)
        until(lambda: not relay.queue("list"), "the end of the mail")
        # What the crash took the end of from our disk goes twice; the first is given nothing twice.
        each = {content for _, content in second.messages()}
        self.assertEqual((self.recipients(first), len(each)), (5, 12))
        route = relay.command("route", "bob@any.example").stdout
        self.assertIn("route second, while a budget is used up for over 5m", route)

    def test_a_message_has_as_many_recipients_as_fit(self):
        first, second = self.start(Sink()), self.start(Sink())
        relay = self.start(Relay(sections=self.upstream("m365", first, 'recipient_rate = "3/h"\noverflow = "second"') +
                                 self.upstream("second", second)))
        relay.submit("ann@shop.example", ["bob%d@any.example" % number for number in range(4)])
        until(lambda: not relay.queue("list"), "the end of the mail")
        self.assertEqual([len(envelope["recipients"]) for envelope, _ in first.messages()], [3])
        self.assertEqual([len(envelope["recipients"]) for envelope, _ in second.messages()], [1])

    def test_without_another_upstream_mail_waits_and_says_until_when(self):
        sink = self.start(Sink())
        relay = self.start(Relay(sections=self.upstream("m365", sink, 'recipient_rate = "3/h"')))
        ids = self.send(relay, 5)
        sink.wait(3)
        words = "The budget of route m365 (3 recipients an hour) is used up."

        def waits():
            return [id for id in ids if words in " ".join(relay.command("queue", "why", id, expect=None).stdout.split())]

        until(lambda: len(waits()) == 2, lambda: relay.command("queue", "why", ids[-1], expect=None).stdout)
        self.assertEqual(relay.wait_for("a budget is used up")[0]["mail"], "waits")
        relay.stop()
        relay.start()
        until(lambda: len(waits()) == 2, lambda: relay.command("queue", "why", ids[-1], expect=None).stdout)
        line = until(lambda: next((line for line in relay.queue("summary", "--by", "provider") if "used_up" in line), None),
                     "the account in the summary")
        self.assertEqual((line["provider"], line["used_up"]), ("route:m365", "3 recipients an hour"))
        route = " ".join(relay.command("route", "bob@any.example").stdout.split())
        self.assertIn("mail to it waits: its budget (3 recipients an hour) is used up until 20", route)
        self.assertIn("route:m365: its budget (3 recipients an hour) is used up until ",
                      relay.command("queue", "summary", "--by", "provider").stdout)
        self.assertEqual(self.recipients(sink), 3)

    def test_a_budget_counts_what_leaves_from_all_sources(self):
        sink = self.start(Sink())
        sources = "".join('[[source]]\nname = "%s"\naddress = "127.0.0.%d"\nehlo = "%s.example.org"\n' % (name, number, name)
                          for number, name in enumerate("ab", 2))
        relay = self.start(Relay(sections=self.upstream("m365", sink, 'recipient_rate = "3/day"') + sources))
        self.send(relay, 8)
        sink.wait(3)
        relay.wait_for("a budget is used up")
        until(lambda: len(relay.queue("list")) == 5, relay.said)
        self.assertEqual(self.recipients(sink), 3)

    def test_a_chain_of_upstreams_that_are_all_used_up_waits_for_the_first_that_has_room(self):
        sinks = [self.start(Sink()) for _ in range(3)]
        names = ["one", "two", "three"]
        relay = self.start(Relay(sections="".join(
            self.upstream(name, sink, 'rate = "%d/h"\n%s' % (
                number + 1, 'overflow = "%s"' % names[number + 1] if number < 2 else ""))
            for number, (name, sink) in enumerate(zip(names, sinks)))))
        self.send(relay, 8)
        for number, sink in enumerate(sinks):
            sink.wait(number + 1)
        until(lambda: len(relay.log("a budget is used up")) == 3, relay.said)
        self.assertEqual([self.recipients(sink) for sink in sinks], [1, 2, 3])
        until(lambda: len(relay.queue("list")) == 2, relay.said)


if __name__ == "__main__":
    run_tests()
