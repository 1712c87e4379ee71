#include "queue/account_name.h"

namespace rockdove::queue {
namespace {

constexpr std::string_view kProvider = "provider:";
constexpr std::string_view kFrom = " from ";

}  // namespace

std::string_view without_source(std::string_view account) {
  return account.substr(0, account.rfind(kFrom));
}

std::string_view provider_of_account(std::string_view account) {
  if (!account.starts_with(kProvider)) return {};
  return without_source(account).substr(kProvider.size());
}

std::string_view source_of_account(std::string_view account) {
  const std::size_t from = account.rfind(kFrom);
  return from == std::string_view::npos ? std::string_view{} : account.substr(from + kFrom.size());
}

std::string account_of_provider(std::string_view provider) {
  return std::string(kProvider).append(provider);
}

std::string account_from(std::string_view account, std::string_view source) {
  return std::string(account).append(kFrom).append(source);
}

}  // namespace rockdove::queue
