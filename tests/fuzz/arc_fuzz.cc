// Headers of strangers with anything in their fields of ARC, tag lists and key records: whatever
// they are, there is a verdict, the same for any way that the body is cut, and with reasons that a
// person can read. What a chain of ours looks like to us does not change by being sealed again.
#include <memory>
#include <string>

#include "mta/base/base64.h"
#include "mta/base/utf8.h"
#include "mta/mail/headers.h"
#include "policy/arc_sealer.h"
#include "policy/arc_validator.h"
#include "policy/tag_list.h"
#include "tests/fuzz/body_parts.h"

namespace {

using namespace rockdove;
using policy::ArcStatus;
using policy::ArcVerdict;

constexpr base::WallTime kNow = base::from_unix_milliseconds(1'795'000'000'000);

// The key of RFC 8032 §7.1, test 1, so that the chains of the corpus are good ones.
const std::shared_ptr<const policy::SigningKey>& key() {
  static const std::shared_ptr<const policy::SigningKey> kKey =
      policy::SigningKey::from_pem(
          "-----BEGIN PRIVATE KEY-----\n"
          "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
          "-----END PRIVATE KEY-----\n")
          .value();
  return kKey;
}

// Every name has our key, but for those that begin with "x", which have the input.
dns::AnswerPointer answer(const policy::Question& question, std::string_view record) {
  dns::Answer answer;
  answer.status = dns::Status::Ok;
  answer.texts.push_back(question.name.starts_with("x")
                             ? std::string(record)
                             : "k=ed25519; p=" + base::encode_base64(key()->public_octets()));
  return std::make_shared<const dns::Answer>(std::move(answer));
}

ArcVerdict judge(std::string_view header, std::string_view body, std::string_view record,
                 fuzz::Choices parts) {
  policy::ArcValidator validator(header, kNow);
  return fuzz::judge_in_parts(validator, body, parts, [record](const policy::Question& question) {
    return answer(question, record);
  });
}

void check_tag_list(std::string_view text) {
  const auto list = policy::TagList::parse(text);
  if (!list) {
    FUZZ_CHECK(!list.error().text().empty() && base::is_ascii(list.error().text()));
    return;
  }
  FUZZ_CHECK(!list->tags().empty() && list->tags().size() <= policy::kTagsMax);
  for (const policy::Tag& tag : list->tags()) {
    FUZZ_CHECK(list->find(tag.name) == &tag);
    FUZZ_CHECK(tag.region.find(tag.value) != std::string_view::npos);
    const std::string removed = policy::unsigned_field(text, tag.region);
    FUZZ_CHECK(removed.size() <= text.size() - tag.region.size());
  }
}

void check_verdict(const ArcVerdict& verdict) {
  FUZZ_CHECK(!verdict.reason.empty() && base::is_ascii(verdict.reason));
  FUZZ_CHECK(verdict.highest <= policy::kArcSetsMax && verdict.oldest_pass <= verdict.highest);
  FUZZ_CHECK((verdict.status == ArcStatus::Pass) == !verdict.handlers.empty());
  FUZZ_CHECK(!verdict.is_ended || verdict.status == ArcStatus::Fail);
}

void check_sealing(std::string_view header, std::string_view body, const ArcVerdict& before) {
  policy::ArcSealer sealer({"seal.example", "s", key()});
  sealer.take_body(body);
  sealer.body_ended();
  const auto fields = sealer.seal(header, before, "seal.example; none", kNow);
  if (!fields || fields->empty()) {
    FUZZ_CHECK(before.is_ended || before.highest == policy::kArcSetsMax);
    return;
  }
  const std::string sealed = *fields + std::string(header);
  const ArcVerdict after = judge(sealed, body, "", fuzz::Choices({}));
  FUZZ_CHECK(after.highest == before.highest + 1);
  if (before.status == ArcStatus::Fail) FUZZ_CHECK(after.is_ended);
  if (before.status != ArcStatus::Fail) FUZZ_CHECK(after.status == ArcStatus::Pass);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  const std::size_t record_octets = choices.next(200);
  const fuzz::Choices parts(choices.next_text(16));
  const std::string_view record = choices.next_text(record_octets);
  const std::string_view message = choices.rest();
  mail::HeaderSplitter splitter;
  const std::size_t taken = splitter.receive(message);
  splitter.finish();
  const std::string body = std::string(splitter.body_start()) + std::string(message.substr(taken));
  const std::string_view header = splitter.header();

  check_tag_list(message);
  check_tag_list(record);
  if (const auto parsed = policy::parse_dkim_key(record); !parsed) {
    FUZZ_CHECK(!parsed.error().text().empty());
  }
  for (const mail::HeaderField& field : mail::HeaderFields(header)) check_tag_list(field.value);
  const ArcVerdict at_once = judge(header, body, record, fuzz::Choices({}));
  const ArcVerdict in_parts = judge(header, body, record, parts);
  check_verdict(at_once);
  FUZZ_CHECK(at_once.status == in_parts.status && at_once.reason == in_parts.reason);
  check_sealing(header, body, at_once);
  return 0;
}
