"""That the figures of contrib/bench/campaign can be trusted: its arithmetic, on answers made by hand."""
import math
import os
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "contrib", "bench"))
import campaign_draw  # noqa: E402
import campaign_judge  # noqa: E402
import campaign_world  # noqa: E402


def provider(limits, ceiling=100.0, recipients=0):
    made = campaign_draw.Provider("p", [], {}, ceiling=ceiling, limits=limits, window_ms=1000)
    made.recipients = [f"u{number}@x.example" for number in range(recipients)]
    return made


def sends(begin, end, per_second, verdict="accepted"):
    return [(begin + number / per_second, verdict) for number in range(round((end - begin) * per_second))]


class Arithmetic(unittest.TestCase):
    def test_the_optimum_is_the_integral_of_limit_and_ceiling(self):
        self.assertEqual(provider([(0, 50)], recipients=100).optimum(), 2)
        self.assertEqual(provider([(0, 400)], recipients=100).optimum(), 1)
        self.assertEqual(provider([(0, 10), (4, 200), (5, 20)], recipients=200).optimum(), 8)
        self.assertEqual(campaign_draw.Provider("g", [], {}, greylist=5.0).optimum(), 5)

    def test_limits_stay_near_the_profiles_rate_and_move_twice(self):
        profiles = campaign_world.read_profiles()
        for seed in range(1, 21):
            providers, everybody = campaign_draw.draw(seed, 2000, profiles, 60)
            self.assertEqual(sorted(everybody), sorted(address for one in providers for address in one.recipients))
            for one in providers[:5]:
                self.assertEqual(len(one.limits), 3)
                for _, rate in one.steps():
                    self.assertTrue(one.ceiling / 8.5 < rate < one.ceiling * 4.1, (seed, one.name, rate, one.ceiling))
        self.assertEqual(campaign_draw.draw(7, 500, profiles, 60), campaign_draw.draw(7, 500, profiles, 60))

    def test_profiles_are_scaled_with_the_clock(self):
        text = 'rate = ["50/min burst 5", "5/s"]\nbackoff_floor = "5/min"\npause = "2h"\nafter = "3 in 10m"\nreply = "^421 5/s 2h"\n'
        self.assertEqual(campaign_world.scaled(text, 60),
                         'rate = ["3000/min burst 5", "300/s"]\nbackoff_floor = "300/min"\npause = "120000ms"\n'
                         'after = "3 in 10000ms"\nreply = "^421 5/s 2h"\n')


class Judging(unittest.TestCase):
    def test_losses_duplicates_and_deferrals_are_noticed(self):
        one = provider([(0, 50)], recipients=3)
        judge = campaign_judge.Judge([one], one.recipients)
        judge.add([(1.0, "p", "accepted", "dot", "u0@x.example"), (2.0, "p", "accepted", "dot", "u0@x.example"),
                   (3.0, "p", "deferred", "mail", ""), (4.0, "p", "accepted", "dot", "u1@x.example"),
                   (5.0, "p", "rejected", "mail", "")])
        self.assertEqual((judge.missing(), judge.duplicates, dict(judge.rejections)), (1, 1, {("p", "mail"): 1}))
        outcome, = judge.outcomes()
        self.assertEqual((outcome.attempts, outcome.deferred_share, outcome.end), (5, 0.2, 4.0))

    def test_a_fall_that_is_followed_at_once(self):
        fall = campaign_judge.follow(sends(0, 10, 100) + sends(10, 40, 19), 10, 20, math.inf, 100)
        self.assertEqual((fall.deferrals, fall.seconds), (0, 0))

    def test_a_fall_that_takes_deferrals(self):
        answers = sends(0, 10, 100) + sends(10, 10.5, 100, "deferred") + sends(10.5, 40, 19)
        fall = campaign_judge.follow(answers, 10, 20, math.inf, 100)
        self.assertTrue(15 < fall.deferrals <= 50 and 0 < fall.seconds <= 0.5, fall)

    def test_one_who_goes_on_is_late(self):
        fall = campaign_judge.follow(sends(0, 10, 100) + sends(10, 40, 100, "deferred"), 10, 20, math.inf, 100)
        self.assertGreater(fall.deferrals, 2900)
        self.assertGreater(fall.seconds, 29)

    def test_a_fall_lasts_until_the_limit_moves_on(self):
        answers = sends(0, 10, 100) + sends(10, 12, 100, "deferred") + sends(12, 40, 90)
        fall = campaign_judge.follow(answers, 10, 20, 12, 100)
        self.assertTrue(195 < fall.deferrals <= 200 and fall.seconds == 2, fall)
        self.assertIsNone(campaign_judge.follow(answers, 10, 20, 11.4, 100))  # 30 take 1.5 s

    def test_what_need_not_be_followed(self):
        self.assertIsNone(campaign_judge.follow(sends(0, 40, 19), 10, 20, math.inf, 100))       # slower anyway
        self.assertIsNone(campaign_judge.follow(sends(0, 40, 100), 10, 150, math.inf, 100))     # above the ceiling
        self.assertIsNone(campaign_judge.follow(sends(0, 10.1, 100), 10, 20, math.inf, 100))    # through before


if __name__ == "__main__":
    unittest.main()
