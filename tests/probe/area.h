// The probe answers conformance cases that others wrote: JSON lines in, one JSON line a case out.
// An area is a kind of case (smtp-address, spf, …): one file that answers, and one line in
// areas.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace rockdove::probe {

struct Options {
  std::string root = ".";           // folder below which relative paths in cases are looked up
  std::optional<std::int64_t> now;  // seconds since 1970; `now` in a case wins
  std::string psl;                  // file of the public suffix list; empty: not named
};

// Returns the members of the result line but `id`. May throw what nlohmann::json throws for a
// member that is missing or of the wrong type: the driver makes an error line of it and goes on.
using AnswerFunction = nlohmann::json (*)(const nlohmann::json& test_case, const Options& options);

enum class CaseForm : std::uint8_t {
  Json,  // a line is a JSON value
  Text,  // a line is a text, handed on as a string; empty lines and those with // in front are none
};

struct Area {
  std::string_view name;
  AnswerFunction answer;
  CaseForm form = CaseForm::Json;
};

[[nodiscard]] std::span<const Area> areas();

nlohmann::json answer_arc_seal(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_arc_validate(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_dkim_canon(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_dkim_verify(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_dmarc(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_dmarc_record(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_proxy(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_psl(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_rfc2047(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_smtp_address(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_smtp_command(const nlohmann::json& test_case, const Options& options);
nlohmann::json answer_spf(const nlohmann::json& test_case, const Options& options);

}  // namespace rockdove::probe
