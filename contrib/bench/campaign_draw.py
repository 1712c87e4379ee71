"""What a campaign is made of, drawn from a seed: providers with the limits that only their sinks see, and the mix of
recipients. Times are in seconds and rates in messages a second of the run's own clock, which goes `factor` times as
fast as the world's: what takes a minute there takes 60 / factor s here.
"""
import dataclasses
import math
import random
import re

SITES = 5000  # domains that are at no provider
# name: share of the recipients, domains, MX hosts of all of them (None: each domain has one of its own, by a pattern)
PROVIDERS = {
    "google": (0.45, ["gmail.com"], ["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"]),
    "outlook": (0.14, ["outlook.com", "hotmail.com", "live.com", "msn.com"], "{label}-com.olc.protection.outlook.com"),
    "microsoft365": (0.06, [f"customer{number}.example" for number in range(383)], "{label}-example.mail.protection.outlook.com"),
    "yahoo": (0.12, ["yahoo.com", "ymail.com", "aol.com", "sky.com"],
              {"aol.com": "mx-aol.mail.gm0.yahoodns.net", "sky.com": "mx-eu.mail.am0.yahoodns.net"}),
    "apple": (0.05, ["icloud.com", "me.com", "mac.com"], ["mx01.mail.icloud.com", "mx02.mail.icloud.com"]),
}
YAHOO_MX = "mta5.am0.yahoodns.net"
# Replies above a limit, and where they come.
REPLIES = {
    "google": ("rcpt", ["421-4.7.28 Gmail has detected an unusual rate of unsolicited mail. To protect",
                        "421-4.7.28 our users from spam, mail has been temporarily rate limited. Please",
                        "421 4.7.28 review our Bulk Email Senders Guidelines. m17-2002si295017vso.199 - gsmtp"]),
    "outlook": ("mail", ["451 4.7.650 The mail server [{client}] has been temporarily rate limited due to IP reputation. For e-mail "
                         "delivery information, see https://aka.ms/postmaster (S775) [AMS0EPF0000019C.eurprd05.prod.outlook.com]"]),
    "microsoft365": ("mail", ["451 4.7.500 Server busy. Please try again later from [{client}]. (AS77712344) "
                              "[AM5EUR03FT012.eop-EUR03.prod.protection.outlook.com]"]),
    "yahoo": ("mail", ["421 4.7.0 [TSS04] Messages from {client} temporarily deferred due to unexpected volume or user complaints "
                       "- 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"]),
    "apple": ("rcpt", ["451 4.7.1 Service unavailable - try again later"]),
}
TOO_MANY_CONNECTIONS = "421 4.7.0 Too many connections from {client}, please try again later"
GREYLISTED = "451 4.7.1 Greylisting in action, please come back later"
GREYLIST_S, TARPIT_S = 300, 10   # of the world's clock
WINDOWS_S = (1, 10, 60)          # likewise


@dataclasses.dataclass
class Provider:
    name: str
    domains: list
    hosts: dict           # MX host of each domain, or a list of them
    recipients: list = dataclasses.field(default_factory=list)
    ceiling: float = 0.0  # what the profile allows; 0: nothing is limited
    limits: list = dataclasses.field(default_factory=list)  # (from, count a window)
    window_ms: int = 0
    kind: str = "sliding"
    connections: int = 0
    messages_per_connection: int = 0  # 0: any number
    greylist: float = 0.0
    tarpit: float = 0.0

    def steps(self):
        """[(from, messages a second)] of the hidden limit."""
        return [(at, count / self.window_ms * 1000) for at, count in self.limits]

    def limit_at(self, time):
        return [rate for at, rate in self.steps() if at <= time][-1]

    def optimum(self, messages=None):
        """Seconds that `messages` (default: all) take for one who knows the limits and stays below the ceiling; where
        nothing is limited, until the first message may be through."""
        left, steps = len(self.recipients) if messages is None else messages, self.steps()
        if not steps:
            return max(self.greylist, self.tarpit)
        for (at, limit), after in zip(steps, [at for at, _ in steps[1:]] + [float("inf")]):
            rate = min(limit, self.ceiling)
            if at + left / rate <= after:
                return at + left / rate
            left -= (after - at) * rate
        raise AssertionError("the last step has no end")

    def falls(self):
        """[(time, limit, until)] where the limit becomes smaller, and until when it is so."""
        steps = self.steps()
        ends = [at for at, _ in steps[2:]] + [math.inf]
        return [(at, limit, until) for (_, before), (at, limit), until in zip(steps, steps[1:], ends)
                if limit < before]


def window_s(rate):
    """The time of a rate of a profile, in seconds."""
    return {"s": 1, "min": 60, "h": 3600, "d": 86400}[re.match(r"\d+/(s|min|h|d)", rate)[1]]


def per_second(rate):
    return int(re.match(r"\d+", rate)[0]) / window_s(rate)


def burst(rate):
    """How many messages may go at once."""
    found = re.search(r"burst (\d+)", rate)
    return int(found[1]) if found else 1


def limit_of(provider, profile, factor, chance):
    """Draws the limits of a provider: begins between 1/8 and 4 times the profile's rate, and moves twice."""
    rates = profile["rate"] if isinstance(profile["rate"], list) else [profile["rate"]]
    provider.ceiling = min(per_second(rate) for rate in rates) * factor
    provider.kind = chance.choice(["sliding", "tokens"])
    window = chance.randrange(3)
    while window < 2 and provider.ceiling / factor / 8 * WINDOWS_S[window] < 8:
        window += 1
    provider.window_ms = max(1, round(1000 * WINDOWS_S[window] / factor))

    def count_of(rate):
        kept = min(max(rate, provider.ceiling / 8), provider.ceiling * 4)
        return max(1, round(kept * provider.window_ms / 1000))

    provider.limits = [(0.0, count_of(provider.ceiling * 2 ** chance.uniform(-3, 2)))]
    for share in sorted(chance.random() for _ in range(2)):
        at = provider.optimum(share * len(provider.recipients))
        provider.limits.append((at, count_of(provider.steps()[-1][1] * 4 ** chance.uniform(-1, 1))))
    cap = profile.get("connections_provider", profile.get("connections", 10))
    provider.connections = max(2, round(cap * 2 ** chance.uniform(-1, 1)))


def hosts_of(domains, pattern):
    if isinstance(pattern, list):
        return {domain: pattern for domain in domains}
    if isinstance(pattern, dict):
        return {domain: [pattern.get(domain, YAHOO_MX)] for domain in domains}
    return {domain: [pattern.format(label=domain.partition(".")[0])] for domain in domains}


def elsewhere(chance):
    """The domains that are at no provider: three fifths have an MX host of their own, the others share those of forty
    hosters; one of these greylists, one is a tarpit."""
    plain = Provider("elsewhere", [], {})
    grey = Provider("greylisting", [], {}, greylist=GREYLIST_S)
    tar = Provider("tarpit", [], {}, tarpit=TARPIT_S)
    for number in range(SITES):
        domain = f"site{number}.example"
        hoster = chance.randrange(100)
        place = grey if hoster == 0 else tar if hoster == 1 else plain
        place.domains.append(domain)
        place.hosts[domain] = [f"mx.{domain}"] if hoster >= 40 else [f"mx1.hoster{hoster}.example", f"mx2.hoster{hoster}.example"]
    return [plain, grey, tar]


def draw(seed, recipients, profiles, factor):
    """The providers of a campaign to so many recipients, and these in the order of the list."""
    chance = random.Random(seed)
    providers = [Provider(name, domains, hosts_of(domains, pattern)) for name, (_, domains, pattern) in PROVIDERS.items()]
    rest = elsewhere(chance)
    places = providers + [None]
    weights = [PROVIDERS[provider.name][0] for provider in providers]
    weights.append(1 - sum(weights))
    by_domain = {domain: provider for provider in rest for domain in provider.domains}
    elsewhere_domains = list(by_domain)
    everybody = []
    for number in range(recipients):
        place = chance.choices(places, weights)[0]
        domain = chance.choice(place.domains if place else elsewhere_domains)
        address = f"u{number}@{domain}"
        (place or by_domain[domain]).recipients.append(address)
        everybody.append(address)
    for provider in providers:
        limit_of(provider, {**profiles["default"], **profiles["provider"][provider.name]}, factor, chance)
    for provider in rest:
        provider.greylist /= factor
        provider.tarpit /= factor
    return providers + rest, everybody
