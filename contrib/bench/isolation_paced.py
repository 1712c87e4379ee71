"""The part of `isolation` about budgets: 100,000 messages wait for a paused provider, 20,000 for a slow one; what does
mail to others notice, and how soon does urgent mail go to the slow one?"""
import os
import shutil
import statistics
import tempfile
import time

import campaign_world
import relays
from campaign_world import knot
from steady_mail import SteadyMail, percentile

PAUSED, SLOW = 100_000, 20_000
MESSAGES, RATE = 10_000, 200  # to others, and how many a second
OTHERS = 50                   # domains of theirs, each a site of its own
SLOW_PER_S = 5
URGENT_EVERY_S = 2
SLOTS = 2                     # within which urgent mail goes to the slow provider
HOSTS = {"mx.slow": "127.63.1.1", "mx.paused": "127.63.2.1"}
PROFILE = f"""
[provider.slow]
mx = ["mx.slow.test"]
rate = "{SLOW_PER_S}/s"
connections = 5
connections_provider = 5
messages_per_connection = 1000
connection_rate = "10/s"

[provider.paused]
mx = ["mx.paused.test"]
rate = "1000/s"
"""


class Sinks:
    """The slow and the paused provider, and when what arrived at the slow one."""

    def __init__(self, program, folder, port):
        sections = "".join(f'[provider.{name[3:]}]\nlisten = ["{address}:{port}"]\n' for name, address in HOSTS.items())
        self._sinks = campaign_world.Sinks(program, folder, sections, len(HOSTS))
        before = time.monotonic()
        if not relays.greets(port, host=HOSTS["mx.paused"]):
            raise RuntimeError("the sinks do not greet: " + self._sinks.said())
        self._began = (before + time.monotonic()) / 2  # the first connection starts their clock

    def stop(self):
        self._sinks.stop()

    def arrivals(self):
        """{provider: [(time.monotonic() then, recipient)]}, once."""
        found = {name[3:]: [] for name in HOSTS}
        for when, provider, verdict, _, recipient in self._sinks.new_answers():
            if verdict == "accepted":
                found[provider].append((self._began + when, recipient))
        return found


def zone():
    lines = []
    for name, address in HOSTS.items():
        lines += [f"{name[3:]} MX 10 {name}", f"{name} A {address}"]
    for number in range(OTHERS):
        lines += [f"other{number} MX 10 mx.other{number}", f"mx.other{number} A 127.0.0.1"]
    return {"test": lines}


def urgent_mail(port, seconds):
    """Every few seconds a message to the slow provider in the transactional lane; [(recipient, when it got its 250)]."""
    client, handed, began = campaign_world.Client("127.0.0.1", port, b"One line.\r\n"), [], time.monotonic()
    while time.monotonic() < began + seconds:
        recipient = f"urgent{len(handed)}@slow.test"
        client.hand_in([recipient], header=b"X-Rockdove-Priority: urgent\r\n")
        handed.append((recipient, time.monotonic()))
        time.sleep(max(0.0, began + URGENT_EVERY_S * len(handed) - time.monotonic()))
    client.close()
    return handed


def slots(handed, arrived):
    """Of each urgent message: which of the messages that the slow provider got since its 250 it was, from 1."""
    when = {recipient: at for at, recipient in arrived}
    missing = [recipient for recipient, _ in handed if recipient not in when]
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(handed)} urgent messages did not go: {missing[:3]}")
    return [sum(1 for at, _ in arrived if since < at < when[recipient]) + 1 for recipient, since in handed]


def one_round(bench, scale, together):
    folder = tempfile.mkdtemp(prefix="paced.", dir=bench.folder)
    os.chmod(folder, 0o755)
    steady = SteadyMail(RATE, recipients=[f"b@other{number}.test" for number in range(OTHERS)])
    sinks = Sinks(bench.program, folder, steady.port)
    try:
        with knot.Knot(zone()) as names, open(os.path.join(folder, "own.toml"), "w", encoding="utf-8") as own:
            own.write(PROFILE)
            own.close()
            relay = bench.relay(0, routes=f'[[route]]\nto = "mx:{steady.port}"\n',
                                extra=f'[dns]\nservers = ["{names.address}"]\n'
                                      f'[traffic]\nprofiles = ["{os.path.realpath(campaign_world.PROFILES)}", "{own.name}"]\n')
            try:
                return load(relay, steady, sinks, scale, together)
            finally:
                relay.kill()
    finally:
        steady.stop()
        sinks.stop()
        shutil.rmtree(folder, ignore_errors=True)


def load(relay, steady, sinks, scale, together):
    if together:
        relay.run("pause", "--destination", "paused.*", "--because", "to see what others notice")
        campaign_world.hand_in_all("127.0.0.1", relay.port, [f"p{number}@paused.test" for number in range(round(PAUSED * scale))], 1024)
        campaign_world.hand_in_all("127.0.0.1", relay.port, [f"s{number}@slow.test" for number in range(round(SLOW * scale))], 1024)
    seconds = MESSAGES * scale / RATE
    steady.begin(relay.port)
    handed = urgent_mail(relay.port, seconds) if together else time.sleep(seconds)
    found = steady.end()
    missing = [number for number in found["accepted"] if number not in found["arrived"]]
    if found["problems"] or missing:
        raise RuntimeError(f"{len(missing)} messages to others did not arrive; {found['problems'][:1]}")
    delays = [found["arrived"][number] - found["due"][number] for number in found["accepted"]]
    result = {"median": statistics.median(delays), "p99": percentile(delays, 0.99), "count": len(delays)}
    if together:
        time.sleep(3 + 2 * SLOTS / SLOW_PER_S)  # the last urgent one, and the sinks' log
        arrived = sinks.arrivals()
        if arrived["paused"]:
            raise RuntimeError("mail went to the paused provider")
        result["slots"] = slots(handed, arrived["slow"])
    print(f"  {'together' if together else 'alone'}: {result['count']} messages, delay median {result['median'] * 1000:.1f} ms, "
          f"p99 {result['p99'] * 1000:.1f} ms" + (f", slots {result['slots']}" if together else ""), flush=True)
    return result


def run(bench, rounds, scale):
    """Rounds alone and together in turn, and the bars of issue 6."""
    alone, together = [], []
    for _ in range(rounds):
        alone.append(one_round(bench, scale, together=False))
        together.append(one_round(bench, scale, together=True))
    for what, times in (("median", 1.2), ("p99", 2.0)):
        without, beside = (statistics.median(result[what] for result in results) for results in (alone, together))
        bench.at_most(f"{what} delay beside paced mail, ms", beside * 1000, max(times * without, without + 0.02) * 1000)
    bench.at_most("slots until urgent mail went to the slow provider, worst",
                  max(slot for result in together for slot in result["slots"]), SLOTS)
