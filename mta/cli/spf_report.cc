#include "mta/cli/spf_report.h"

#include <algorithm>

#include "mta/cli/safe_text.h"
#include "policy/txt_strings.h"

namespace rockdove::cli {
namespace {

using nlohmann::ordered_json;
using policy::SpfSurveyLine;

constexpr std::size_t kTermWidthMax = 40;

std::size_t width_of(const SpfSurveyLine& line) {
  return 2 + 2 * line.depth + line.term.size();
}

void append_lines(std::string& text, const std::vector<SpfSurveyLine>& lines) {
  std::size_t width = 0;
  for (const SpfSurveyLine& line : lines)
    width = std::max(width, std::min(width_of(line), kTermWidthMax));
  for (const SpfSurveyLine& line : lines) {
    text += std::string(2 + 2 * line.depth, ' ') + safe_text(line.term);
    text += std::string(width > width_of(line) ? width - width_of(line) : 0, ' ') + "  ";
    text += safe_text(line.meaning) + '\n';
  }
}

void append_list(std::string& text, const char* title, const std::vector<std::string>& items) {
  if (items.empty()) return;
  text += title;
  for (const std::string& item : items) text += "  " + safe_text(item) + '\n';
}

std::string sender_of(const policy::SpfRequest& request) {
  return request.sender.empty() ? "postmaster@" + request.helo : request.sender;
}

// What libspf2 says, next to what we do.
std::string second_line(const SpfFindings& findings) {
  const policy::SpfSecondOpinion& second = findings.second;
  std::string text = "libspf2, which Exim and others judge by: ";
  if (!second.result) {
    text += second.missing.empty()
                ? "no result"
                : "no result within " + std::to_string(policy::kSecondQuestionsMax) +
                      " questions; it counts them by the record";
  } else if (*second.result == findings.verdict.result) {
    return text + "the same\n";
  } else {
    text += std::string(name_of(*second.result));
  }
  if (!second.words.empty()) text += " (" + safe_text(second.words) + ")";
  return text + '\n';
}

}  // namespace

bool is_in_order(const SpfFindings& findings) {
  return findings.survey.wrong.empty() && !findings.survey.record.empty();
}

std::string format_findings(const SpfFindings& findings) {
  const policy::SpfSurvey& survey = findings.survey;
  std::string text;
  if (!survey.record.empty()) {
    text +=
        (findings.domain.empty() ? "" : findings.domain + ": ") + safe_text(survey.record) + '\n';
    append_lines(text, survey.lines);
    text += "Look-ups: " + std::to_string(survey.terms) + " of at most " +
            std::to_string(policy::kSpfTermsMax) + "; " + std::to_string(survey.void_terms) +
            " of at most " + std::to_string(policy::kSpfVoidTermsMax) + " lead to nothing\n";
  }
  append_list(text, "Wrong:\n", survey.wrong);
  append_list(text, "Better otherwise:\n", survey.advice);
  if (!survey.better.empty()) {
    text += "Publish:\n  " + (findings.domain.empty() ? "" : findings.domain + ". ") + "TXT " +
            policy::format_txt_strings(safe_text(survey.better)) + '\n';
  }
  if (!findings.request) return text;
  const policy::SpfOutcome& verdict = findings.verdict;
  text += base::format_ip_address(findings.request->client) + " for " +
          safe_text(sender_of(*findings.request)) + ": " + std::string(name_of(verdict.result)) +
          "\n  " + safe_text(verdict.reason) + '\n';
  if (verdict.explanation) text += "  the domain says: " + safe_text(*verdict.explanation) + '\n';
  return text + second_line(findings);
}

ordered_json findings_as_json(const SpfFindings& findings) {
  const policy::SpfSurvey& survey = findings.survey;
  ordered_json lines = ordered_json::array();
  for (const SpfSurveyLine& line : survey.lines)
    lines.push_back({{"depth", line.depth}, {"term", line.term}, {"meaning", line.meaning}});
  ordered_json json = {{"domain", findings.domain},       {"record", survey.record},
                       {"terms", std::move(lines)},       {"lookup_terms", survey.terms},
                       {"void_terms", survey.void_terms}, {"wrong", survey.wrong},
                       {"advice", survey.advice},         {"publish", survey.better}};
  if (!findings.request) return json;
  const policy::SpfOutcome& verdict = findings.verdict;
  json["verdict"] = {{"client", base::format_ip_address(findings.request->client)},
                     {"sender", sender_of(*findings.request)},
                     {"result", name_of(verdict.result)},
                     {"reason", verdict.reason},
                     {"explanation", nullptr},
                     {"lookup_terms", verdict.terms},
                     {"void_terms", verdict.void_terms}};
  if (verdict.explanation) json["verdict"]["explanation"] = *verdict.explanation;
  json["libspf2"] = {{"result", nullptr}, {"words", findings.second.words}};
  if (findings.second.result) json["libspf2"]["result"] = name_of(*findings.second.result);
  return json;
}

}  // namespace rockdove::cli
