// The engine with a hostile resolver: the input says which message comes in which pieces, and in
// which order answers of the DNS come, work of the workers is done and time goes by. A judgement
// comes in the end, once; what it says can stand in a reply and in a header; a client waits no
// longer than it may; no more is asked than may be; and a message that is given up in the midst of
// it leaves nothing behind.
#include <algorithm>
#include <deque>
#include <memory>
#include <string>

#include "mta/inbound/inspection.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/hand_loop.h"
#include "tests/support/hand_workers.h"

namespace {

using namespace rockdove;
using namespace std::chrono_literals;

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

constexpr std::string_view kTexts[] = {
    "v=spf1 include:a.example -all",
    "v=spf1 redirect=b.example",
    "v=spf1 exists:%{l}.%{d} mx ptr -all",
    "v=DMARC1; p=reject; sp=none; np=quarantine",
    "v=DMARC1; p=quarantine; t=y",
    "v=DMARC1; psd=y; p=reject",
    "v=DKIM1; k=rsa; p=",
    "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};

constexpr std::string_view kFields[] = {
    "From: jane@a.example\r\n",
    "From: =?utf-8?Q?x?= <bob@b.example>, jane@c.example\r\n",
    "From: nobody:;\r\n",
    "DKIM-Signature: v=1; a=ed25519-sha256; d=a.example; s=s; h=from; "
    "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n",
    "DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=t; h=from:from; bh=YQ==; b=YQ==; l=2\r\n",
    "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=s; b=YQ==\r\n",
    "ARC-Message-Signature: i=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=YQ==; b=YQ==\r\n",
    "ARC-Authentication-Results: i=1; a.example; dmarc=pass header.from=a.example\r\n",
    "Authentication-Results: relay.example; dmarc=pass\r\n"};

std::string next_header(fuzz::Choices& choices) {
  std::string header;
  for (std::size_t left = choices.next(8); left > 0; --left) {
    const std::size_t which = choices.next(std::size(kFields) + 1);
    if (which < std::size(kFields)) {
      header += kFields[which];
    } else {
      header.append("X: ").append(choices.next_text(choices.next(40))).append("\r\n");
    }
  }
  return header;
}

// Keeps what is asked until the input says what is answered.
struct HostileResolver final : dns::Resolver {
  struct Question {
    std::string name;
    dns::RecordType type;
    Done done;
  };

  void query(std::string name, dns::RecordType type, Done done) override {
    ++asked;
    waiting.push_back({std::move(name), type, std::move(done)});
  }

  void answer(fuzz::Choices& choices) {
    if (waiting.empty()) return;
    const std::size_t which = choices.next(waiting.size());
    Question question = std::move(waiting[which]);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(which));
    auto answer = std::make_shared<dns::Answer>();
    answer->status = static_cast<dns::Status>(choices.next(10));
    if (answer->status > dns::Status::BadName) answer->status = dns::Status::Ok;
    if (answer->status == dns::Status::Ok) fill(*answer, question.type, choices);
    question.done(std::move(answer));
  }

  static void fill(dns::Answer& answer, dns::RecordType type, fuzz::Choices& choices) {
    for (std::size_t left = 1 + choices.next(3); left > 0; --left) {
      const std::size_t which = choices.next(std::size(kTexts) + 1);
      const std::string name = choices.next(2) == 0 ? "a.example" : "b.example";
      switch (type) {
        case dns::RecordType::A:
          answer.addresses.push_back(base::IpAddress::v4({192, 0, 2, 1}));
          break;
        case dns::RecordType::AAAA:
          answer.addresses.push_back(*base::parse_ip_address("2001:db8::1"));
          break;
        case dns::RecordType::MX:
          answer.exchanges.push_back({10, name});
          break;
        case dns::RecordType::TXT:
          answer.texts.emplace_back(which < std::size(kTexts) ? kTexts[which]
                                                              : choices.next_text(60));
          break;
        case dns::RecordType::PTR:
          answer.names.push_back(name);
          break;
      }
    }
  }

  std::deque<Question> waiting;
  std::size_t asked = 0;
};

policy::CheckMode next_mode(fuzz::Choices& choices) {
  return static_cast<policy::CheckMode>(choices.next(3));
}

inbound::InspectionRules next_rules(fuzz::Choices& choices) {
  inbound::InspectionRules rules;
  policy::JudgingSettings judging;
  judging.trusted_sealers = {"a.example"};
  rules.judging = std::make_shared<const policy::JudgingSettings>(std::move(judging));
  policy::ClientPolicy clients;
  clients.contact = "postmaster@relay.example";
  clients.own_names = {"relay.example"};
  policy::DnsList& list = clients.dns_lists.emplace_back();
  list.zone = "bl.example";
  list.weight = 5;
  rules.clients = std::make_shared<const policy::ClientPolicy>(std::move(clients));
  rules.checks.spf = next_mode(choices);
  rules.checks.dkim = next_mode(choices);
  rules.checks.arc = next_mode(choices);
  rules.checks.dmarc = next_mode(choices);
  rules.checks.client = {next_mode(choices), next_mode(choices), next_mode(choices)};
  return rules;
}

void check_refusal(const std::optional<policy::Refusal>& refusal) {
  if (!refusal) return;
  FUZZ_CHECK(is_printable(refusal->text) && refusal->text.size() <= policy::kRefusalOctetsMax);
}

void check_inspected(const inbound::Inspected& inspected) {
  const policy::Judgement& judgement = inspected.judgement;
  FUZZ_CHECK(is_printable(judgement.why));
  FUZZ_CHECK(judgement.enhanced_code.empty() ==
             (judgement.disposition == policy::Disposition::Accept ||
              judgement.disposition == policy::Disposition::Quarantine));
  const std::string field =
      policy::format_authentication_results("relay.example", inspected.results);
  const auto read =
      policy::parse_authentication_results(std::string_view(field).substr(field.find(':') + 1));
  FUZZ_CHECK(read && read->results.size() == inspected.results.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  tests::HandLoop loop;
  tests::HandWorkers workers;
  HostileResolver resolver;
  base::Random random(1);
  queue::MemoryBudget memory(64 * 1024 * 1024);
  if (choices.next(50) == 0) workers.room = choices.next(3);
  const std::string helo(choices.next(4) == 0 ? choices.next_text(20) : "client.a.example");
  const std::string sender(choices.next(4) == 0 ? choices.next_text(20) : "jane@a.example");
  auto inspection = std::make_unique<inbound::Inspection>(
      inbound::InspectionServices{loop, workers, resolver, random, memory}, next_rules(choices),
      inbound::InspectedEnvelope{base::IpAddress::v4({192, 0, 2, 1}), helo, sender, "", "in",
                                 "relay.example"},
      loop.now());
  const std::string header = next_header(choices);
  unsigned told_of_envelope = 0;
  unsigned judged = 0;
  bool is_judging = false;
  bool wants_envelope = false;
  const auto judge = [&] {
    is_judging = true;
    inspection->judge(header, std::make_shared<const std::string>(choices.next_text(30)),
                      [&](const inbound::Inspected& inspected) {
                        ++judged;
                        check_inspected(inspected);
                      });
  };
  while (!choices.is_empty() && judged == 0) {
    switch (choices.next(7)) {
      case 0:
      case 1:
        resolver.answer(choices);
        break;
      case 2:
        workers.run_one();
        break;
      case 3:
        loop.pass(std::chrono::milliseconds(choices.next(3000)));
        break;
      case 4:
        if (!is_judging && inspection->has_room()) {
          inspection->take_body(header, std::make_shared<const std::string>(choices.next_text(30)));
        }
        break;
      case 5:
        if (wants_envelope || is_judging) break;
        wants_envelope = true;
        inspection->when_envelope_is_judged([&](const std::optional<policy::Refusal>& refusal) {
          ++told_of_envelope;
          check_refusal(refusal);
        });
        break;
      default:
        if (!is_judging && told_of_envelope == (wants_envelope ? 1 : 0)) judge();
        if (choices.next(40) == 0) {
          inspection.reset();  // the client has gone
          loop.pass(1min);
          while (workers.run_one()) continue;
          while (!resolver.waiting.empty()) resolver.answer(choices);
          loop.run();
          FUZZ_CHECK(judged <= 1 && memory.used() == 0);
          return 0;
        }
    }
    loop.run();
  }
  // Nobody answers any more: it ends all the same, and in time.
  const auto run_out = [&](auto is_done) {
    for (unsigned second = 0; second <= 20 && !is_done(); ++second) {
      while (workers.run_one()) loop.run();
      loop.pass(1s);
      while (workers.run_one()) loop.run();
    }
    return is_done();
  };
  if (wants_envelope) FUZZ_CHECK(run_out([&] { return told_of_envelope == 1; }));
  if (!is_judging) judge();
  FUZZ_CHECK(run_out([&] { return judged == 1; }));
  FUZZ_CHECK(resolver.asked <= 2 * inbound::kLookupQuestionsMax);
  inspection.reset();
  FUZZ_CHECK(memory.used() == 0);
  return 0;
}
