#include "mta/http/message.h"

#include "mta/base/text.h"

namespace rockdove::http {

std::string_view field_value(const std::vector<Field>& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (base::equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

}  // namespace rockdove::http
