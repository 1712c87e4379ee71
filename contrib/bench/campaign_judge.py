"""What the sinks' log of a campaign says: who got what, how much was deferred, how soon falls of a limit were followed."""
import collections
import dataclasses

SAMPLE = 30  # attempts over which a rate is measured


@dataclasses.dataclass
class Fall:
    at: float
    limit: float
    deferrals: int
    seconds: float  # until the rate was below 1.1 times the new limit, or the limit changed again, or to the end


@dataclasses.dataclass
class Outcome:
    name: str
    recipients: int
    accepted: int = 0
    deferred: int = 0
    rejected: int = 0
    end: float = 0.0      # of the last acceptance, from the beginning
    optimum: float = 0.0
    falls: list = dataclasses.field(default_factory=list)

    @property
    def attempts(self):
        return self.accepted + self.deferred + self.rejected

    @property
    def deferred_share(self):
        return self.deferred / max(1, self.attempts)


class Judge:
    """Takes the answers as they come. `recipients` are all that the campaign is for."""

    def __init__(self, providers, recipients):
        self._providers = providers
        self._missing = set(recipients)
        self.answers = collections.defaultdict(list)  # by provider: [(time, verdict)]
        self.duplicates, self.unknown = 0, 0
        self.rejections = collections.Counter()

    def add(self, answers):
        for when, provider, verdict, stage, recipient in answers:
            self.answers[provider].append((when, verdict))
            if verdict == "rejected":
                self.rejections[provider, stage] += 1
            if verdict != "accepted":
                continue
            if recipient in self._missing:
                self._missing.remove(recipient)
            else:
                self.duplicates += 1

    def missing(self):
        return len(self._missing)

    def outcomes(self):
        return [self._outcome(provider) for provider in self._providers]

    def _outcome(self, provider):
        answers = self.answers[provider.name]
        outcome = Outcome(provider.name, len(provider.recipients), optimum=provider.optimum())
        for when, verdict in answers:
            setattr(outcome, verdict, getattr(outcome, verdict) + 1)
            if verdict == "accepted":
                outcome.end = when
        outcome.falls = [fall for at, limit, until in provider.falls()
                         if (fall := follow(answers, at, limit, until, provider.ceiling))]
        return outcome


def follow(answers, at, limit, until, ceiling):
    """The Fall to `limit` from `at` to `until`; None where there is nothing to follow: the mail was through before, or was
    not sent faster than the new limit anyway, or that changed again before a sample could be sent at it."""
    times = [when for when, _ in answers]
    span = SAMPLE / limit
    before = sum(1 for when in times if at - span <= when < at)
    after = [(when, verdict) for when, verdict in answers if when >= at]
    if limit >= ceiling or before < 1.1 * SAMPLE or len(after) < SAMPLE or until < at + span:
        return None
    deferrals = 0
    for number, (when, verdict) in enumerate(after):
        # The rate is below 1.1 times the limit from here on when the next 1.1 × SAMPLE attempts take longer than `span`.
        ahead = number + round(1.1 * SAMPLE)
        if when >= until:
            when = until
            break
        if ahead >= len(after) or after[ahead][0] - when > span:
            break
        deferrals += verdict == "deferred"
    return Fall(at, limit, deferrals, when - at)
