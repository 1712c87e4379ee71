// Answers of the DNS for checks that never wait: what is known already, and a note of what is
// missing.
//
// A check is written as if every answer were there. Where one is not, it notes the question, gives
// up, and is run again from the start once the answers have come; the same answers give the same
// verdict. Whoever runs it bounds rounds, questions and time; see RFC 7208 §4.6.4 for why they must
// be bounded.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dns/answers.h"

namespace rockdove::policy {

struct Question {
  std::string name;  // lower-cased, without a final dot (dns::question_name); or what is no name
  dns::RecordType type = dns::RecordType::TXT;

  auto operator<=>(const Question&) const = default;
};

// What has been asked for one message so far. Names that are no names are answered at once, with
// dns::Status::BadName.
class RecordedDns {
 public:
  // Null: not known yet; it is noted as missing. Valid as long as this object.
  [[nodiscard]] const dns::Answer* find(std::string_view name, dns::RecordType type);

  // Of the questions noted since the last call, each once.
  [[nodiscard]] std::vector<Question> take_missing();

  // The first answer to a question counts.
  void add(Question question, dns::AnswerPointer answer);

  // Questions that have an answer.
  [[nodiscard]] std::size_t size() const { return answers_.size(); }

 private:
  std::map<Question, dns::AnswerPointer> answers_;
  std::vector<Question> missing_;
};

}  // namespace rockdove::policy
