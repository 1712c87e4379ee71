#include "policy/body_digest.h"

#include <algorithm>

namespace rockdove::policy {

BodyDigests::Form& BodyDigests::form_of(mail::Canonicalization how) {
  return how == mail::Canonicalization::Simple ? simple_ : relaxed_;
}

bool BodyDigests::want(const BodyScope& scope) {
  if (find(scope) != nullptr) return true;
  if (simple_.jobs.size() + relaxed_.jobs.size() == kBodyDigestsMax) return false;
  form_of(scope.how).jobs.push_back({scope, {}, {}});
  return true;
}

void BodyDigests::Form::take(std::string_view piece) {
  for (Job& job : jobs) {
    if (!job.scope.octets_max) {
      job.hash.add(piece);
    } else if (octets < *job.scope.octets_max) {
      job.hash.add(piece.substr(0, *job.scope.octets_max - octets));
    }
  }
  octets += piece.size();
}

void BodyDigests::take(std::string_view octets) {
  for (Form* form : {&simple_, &relaxed_}) {
    if (!form->jobs.empty()) form->canonicalizer.write(octets, *form);
  }
}

void BodyDigests::finish() {
  for (Form* form : {&simple_, &relaxed_}) {
    if (form->jobs.empty()) continue;
    form->canonicalizer.finish(*form);
    for (Job& job : form->jobs) job.result = {job.hash.finish(), form->octets};
  }
}

const BodyDigests::Result* BodyDigests::find(const BodyScope& scope) const {
  const Form& form = scope.how == mail::Canonicalization::Simple ? simple_ : relaxed_;
  const auto found = std::find_if(form.jobs.begin(), form.jobs.end(),
                                  [&scope](const Job& job) { return job.scope == scope; });
  return found == form.jobs.end() ? nullptr : &found->result;
}

}  // namespace rockdove::policy
