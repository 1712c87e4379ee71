// HTTP requests and answers as values (RFC 9110), the same for both sides of a conversation.
//
// Field names compare without regard to case and keep the order they came in. Bodies here are whole
// and small; long answers travel in parts through the conversations.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rockdove::http {

struct Field {
  std::string name;
  std::string value;
};

struct Request {
  std::string method;  // "GET", as it was sent
  std::string target;  // origin form, undecoded: "/queue?state=held"
  std::vector<Field> fields;
  std::string body;
};

struct Response {
  unsigned status = 200;  // 200 to 599, not 204 or 304: every answer has a body, even an empty one
  std::vector<Field> fields;  // without Content-Length, Transfer-Encoding, Connection and Date
  std::string body;
};

// What an answer starts with, as the client sees it.
struct ResponseHead {
  unsigned status = 0;
  std::vector<Field> fields;
};

// The value of the first field of that name; "" when there is none. Valid as long as `fields`.
[[nodiscard]] std::string_view field_value(const std::vector<Field>& fields, std::string_view name);

}  // namespace rockdove::http
