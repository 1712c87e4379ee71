// Headers of strangers, in OpenDKIM's hands: whatever they are, each DKIM-Signature field on top
// has its result, the same for any way that the body is cut, with a reason that a person can read.
#include <memory>
#include <string>

#include "mta/base/base64.h"
#include "mta/base/utf8.h"
#include "mta/mail/headers.h"
#include "policy/dkim_verifier.h"
#include "tests/fuzz/body_parts.h"

namespace {

using namespace rockdove;
using policy::DkimResult;
using policy::DkimSignature;

constexpr base::WallTime kNow = base::from_unix_milliseconds(1'795'000'000'000);

// The key of RFC 8032 §7.1, test 1; names that begin with "x" have the input for a record, those
// with "y" none, those with "z" none yet.
dns::AnswerPointer answer(const policy::Question& question, std::string_view record) {
  dns::Answer answer;
  answer.status = dns::Status::Ok;
  if (question.name.starts_with("x")) {
    answer.texts.emplace_back(record);
  } else if (question.name.starts_with("y")) {
    answer.status = dns::Status::NxDomain;
  } else if (question.name.starts_with("z")) {
    answer.status = dns::Status::TimedOut;
  } else {
    answer.texts.emplace_back("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  }
  return std::make_shared<const dns::Answer>(std::move(answer));
}

std::vector<DkimSignature> judge(std::string_view header, std::string_view body,
                                 std::string_view record, fuzz::Choices parts) {
  policy::DkimVerifier verifier(header, kNow);
  return fuzz::judge_in_parts(verifier, body, parts, [record](const policy::Question& question) {
    return answer(question, record);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(fuzz::as_text(data, size));
  const std::size_t record_octets = choices.next(300);
  const fuzz::Choices parts(choices.next_text(16));
  const std::string_view record = choices.next_text(record_octets);
  const std::string_view message = choices.rest();
  mail::HeaderSplitter splitter;
  const std::size_t taken = splitter.receive(message);
  splitter.finish();
  const std::string body = std::string(splitter.body_start()) + std::string(message.substr(taken));
  const std::string_view header = splitter.header();

  const auto at_once = judge(header, body, record, fuzz::Choices({}));
  const auto in_parts = judge(header, body, record, parts);
  const std::size_t fields = mail::count_fields(header, "DKIM-Signature");
  FUZZ_CHECK(at_once.size() == std::min(fields, policy::kDkimSignaturesMax));
  FUZZ_CHECK(at_once.size() == in_parts.size());
  for (std::size_t i = 0; i < at_once.size(); ++i) {
    const DkimSignature& signature = at_once[i];
    FUZZ_CHECK(signature.result != DkimResult::None && !signature.reason.empty());
    FUZZ_CHECK(base::is_ascii(signature.reason));
    FUZZ_CHECK(signature.result == in_parts[i].result && signature.reason == in_parts[i].reason);
    FUZZ_CHECK(!signature.covers_body || signature.result == DkimResult::Pass);
  }
  return 0;
}
