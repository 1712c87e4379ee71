#include <cerrno>
#include <system_error>

#include "mta/net/protocol.h"

namespace rockdove::net {

namespace {

std::string system_text(int code) {
  std::string text = std::generic_category().message(code);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

}  // namespace

std::string describe(const Loss& loss) {
  switch (loss.how) {
    case Loss::How::ConnectFailed:
      return loss.code == 0 ? "could not connect" : system_text(loss.code);
    case Loss::How::ConnectTimedOut:
      return "timed out while connecting";
    case Loss::How::Broken:
      if (loss.code == ECONNRESET || loss.code == EPIPE) return "reset by the peer";
      if (loss.code == ETIMEDOUT) return "the peer stopped answering";
      if (loss.code == ECONNABORTED) return "ended by this side";
      return loss.code == 0 ? "connection broken" : "connection broken: " + system_text(loss.code);
    case Loss::How::TlsFailed:
      return "TLS failed: " + loss.detail;
    case Loss::How::PeerClosed:
      return "closed by the peer";
  }
  return "connection broken";
}

}  // namespace rockdove::net
