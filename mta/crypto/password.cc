#include "mta/crypto/password.h"

#include <array>
#include <cerrno>
#include <crypt.h>
#include <cstring>
#include <memory>

#include "mta/crypto/digest.h"

namespace rockdove::crypto {

using base::Error;
using base::Result;

namespace {

constexpr std::string_view kYescrypt = "$y$";
constexpr std::size_t kHashCharacters = 43;  // 256 bits, 6 a character
constexpr std::size_t kSaltCharactersMax = 86;
constexpr std::size_t kParametersMax = 24;

bool is_acceptable(std::string_view password) {
  return !password.empty() && password.size() <= kPasswordOctetsMax &&
         password.find('\0') == std::string_view::npos;
}

bool is_base64_of_crypt(std::string_view text) {
  return text.find_first_not_of(
             "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
         std::string_view::npos;
}

// The 32 KiB that libcrypt works in; the password in it is overwritten at the end.
class Scratch {
 public:
  Scratch() : data_(std::make_unique<crypt_data>()) {}

  ~Scratch() { ::explicit_bzero(data_.get(), sizeof(crypt_data)); }

  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Null with errno: it did not work.
  const char* run(std::string_view password, const char* setting) {
    std::memcpy(data_->input, password.data(), password.size());  // zeroed, so it ends in a NUL
    return ::crypt_rn(data_->input, setting, data_.get(), sizeof(crypt_data));
  }

 private:
  std::unique_ptr<crypt_data> data_;
};

static_assert(kPasswordOctetsMax < CRYPT_MAX_PASSPHRASE_SIZE);

}  // namespace

Result<std::string> hash_password(std::string_view password) {
  if (password.empty()) return Error("the password is empty");
  if (password.size() > kPasswordOctetsMax)
    return Error("the password has over " + std::to_string(kPasswordOctetsMax) + " octets");
  if (!is_acceptable(password)) return Error("the password has a NUL in it");
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  // 0 and null: libcrypt's own cost, and a salt of the system's chance.
  if (::crypt_gensalt_rn(kYescrypt.data(), 0, nullptr, 0, setting.data(),
                         static_cast<int>(setting.size())) == nullptr)
    return Error::system("making a salt", errno);
  Scratch scratch;
  const char* hash = scratch.run(password, setting.data());
  if (hash == nullptr) return Error::system("hashing a password", errno);
  return std::string(hash);
}

bool is_password_hash(std::string_view text) {
  if (!text.starts_with(kYescrypt)) return false;
  text.remove_prefix(kYescrypt.size());
  const std::size_t parameters = text.find('$');
  if (parameters == std::string_view::npos || parameters == 0 || parameters > kParametersMax)
    return false;
  const std::size_t salt_end = text.find('$', parameters + 1);
  if (salt_end == std::string_view::npos) return false;
  const std::string_view salt = text.substr(parameters + 1, salt_end - parameters - 1);
  const std::string_view hash = text.substr(salt_end + 1);
  return is_base64_of_crypt(text.substr(0, parameters)) && is_base64_of_crypt(salt) &&
         salt.size() <= kSaltCharactersMax && hash.size() == kHashCharacters &&
         is_base64_of_crypt(hash);
}

Result<bool> matches_password(std::string_view password, const std::string& hash) {
  if (!is_acceptable(password)) return false;
  Scratch scratch;
  const char* made = scratch.run(password, hash.c_str());
  if (made == nullptr) return Error::system("hashing a password", errno);
  return equal_in_constant_time(made, hash);
}

}  // namespace rockdove::crypto
